package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is the value of --up: bits per second on the wire, as 12M, 800k or 1.5G. It is a pflag.Value; the zero value is no rate at all.
type Rate struct {
	Bits uint64 // per second. If zero, not set
	text string
}

func (r *Rate) String() string { return r.text }

// Type implements pflag.Value.
func (r *Rate) Type() string { return "rate" }

// Set implements pflag.Value. The value replaces the one before.
func (r *Rate) Set(text string) error {
	bits, err := parseRate(text)
	if err != nil {
		return err
	}
	*r = Rate{Bits: bits, text: text}
	return nil
}

// minRate is the lowest rate that can be meant: who writes 12 means 12M.
const minRate = 1000

// rateUnits are decimal, as those of lines and encoders.
var rateUnits = map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9}

func parseRate(text string) (uint64, error) {
	number, factor := text, 1.0
	for unit, f := range rateUnits {
		if n, ok := strings.CutSuffix(text, unit); ok {
			number, factor = n, f
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" || n*factor >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no rate: want bits per second as a number with k, M or G after it, as in 800k, 12M or 1.5G%s", text, rateHint(text))
	}
	if n*factor < minRate {
		return 0, fmt.Errorf("%q is %g bits per second, too little for any channel: 12M are 12 million", text, n*factor)
	}
	return uint64(n * factor), nil
}

// rateHint says what was probably meant.
func rateHint(text string) string {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/ ")
	unit := strings.TrimSpace(text[len(number):])
	switch {
	case number == "" || unit == "":
		return ""
	case strings.Contains(unit, "B"):
		return "; bytes are 8 bits each"
	case unit[0] == 'k' || unit[0] == 'K':
		return "; did you mean " + number + "k?"
	case unit[0] == 'M' || unit[0] == 'm':
		return "; did you mean " + number + "M?"
	case unit[0] == 'G' || unit[0] == 'g':
		return "; did you mean " + number + "G?"
	}
	return ""
}
