package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is the value of a flag that takes an amount of bytes, as 50GB or 2TiB. It is a pflag.Value; the zero value is no size at all.
type Size struct {
	Bytes int64 // If zero, not set
	text  string
}

func (s *Size) String() string { return s.text }

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }

// Set implements pflag.Value. The value replaces the one before.
func (s *Size) Set(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	*s = Size{Bytes: n, text: text}
	return nil
}

// units are those of sizes, as disks are sold and as memory is counted.
var units = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

func parseSize(text string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" || n*u.bytes < 1 || n*u.bytes >= math.MaxInt64 {
			break
		}
		return int64(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is no size: want a number above 0 and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, as in 50GB", text)
}
