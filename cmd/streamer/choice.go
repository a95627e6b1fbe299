package main

import (
	"fmt"
	"strconv"
	"strings"
)

// choice is the value of --program: a number, or else the name of a service.
type choice struct{ o *options }

func (c *choice) String() string {
	switch {
	case c.o == nil: // asked for its zero value
		return ""
	case c.o.program != 0:
		return strconv.Itoa(int(c.o.program))
	}
	return c.o.service
}

func (c *choice) Set(text string) error {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		c.o.program, c.o.service = 0, text
		return nil
	}
	if n > 0xffff {
		return fmt.Errorf("programme numbers are 1 to 65535")
	}
	c.o.program, c.o.service = uint16(n), ""
	return nil
}

// Type implements pflag.Value.
func (c *choice) Type() string { return "string" }
