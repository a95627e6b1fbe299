package node

import (
	"strings"
	"testing"
)

func TestRates(t *testing.T) {
	for text, want := range map[string]uint64{
		"12M":      12e6,
		"800k":     800e3,
		"1.5G":     15e8,
		"0.5M":     500e3,
		"1000":     1000,
		"12000000": 12e6,
		"1k":       1000,
		"100G":     100e9,
	} {
		var r Rate
		if err := r.Set(text); err != nil || r.Bits != want || r.String() != text {
			t.Errorf("%q: got %d (%q), %v, want %d", text, r.Bits, r.String(), err, want)
		}
	}
}

func TestWrongRatesAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "is no rate",
		"fast":                  "is no rate",
		"M":                     "is no rate",
		"-5M":                   "is no rate",
		"+5M":                   "is no rate",
		"1e6":                   "is no rate",
		"0x10M":                 "is no rate",
		"infM":                  "is no rate",
		"NaNk":                  "is no rate",
		"1.2.3M":                "is no rate",
		"12M ":                  "did you mean 12M?",
		"12 M":                  "did you mean 12M?",
		"12m":                   "did you mean 12M?",
		"12Mbit/s":              "did you mean 12M?",
		"800K":                  "did you mean 800k?",
		"1gbps":                 "did you mean 1G?",
		"12MB":                  "bytes are 8 bits each",
		"12":                    "12M are 12 million",
		"0":                     "too little",
		"0.2k":                  "too little",
		"1e30G":                 "is no rate",
		"99999999999999999999G": "is no rate",
	} {
		r := Rate{Bits: 7, text: "7"}
		if err := r.Set(text); err == nil || !strings.Contains(err.Error(), want) || r.Bits != 7 {
			t.Errorf("%q: got %+v, %v, want an error with %q and the value as it was", text, r, err, want)
		}
	}
}
