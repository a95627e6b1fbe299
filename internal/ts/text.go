package ts

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	enc "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"
)

// text reads a string of ETSI EN 300 468, annex A: its first byte may say which alphabet it is in. Without one it is in
// ISO 6937, by the letter; some multiplexers write UTF-8 nevertheless, which is told by being valid.
func text(b []byte) string {
	return strings.Map(printable, decoded(b))
}

func decoded(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case b[0] >= 0x20 && utf8.Valid(b):
		return string(b)
	case b[0] >= 0x20:
		return latin(b)
	case b[0] == 0x10 && len(b) > 2:
		return with(part8859(int(b[1])<<8|int(b[2])), b[3:])
	case b[0] == 0x11:
		return with(enc.UTF16(enc.BigEndian, enc.IgnoreBOM), b[1:])
	case b[0] == 0x15:
		return strings.ToValidUTF8(string(b[1:]), "\uFFFD")
	}
	return with(part8859(int(b[0])+4), b[1:])
}

// part8859 is a part of ISO 8859; nil if there is none with that number.
func part8859(n int) encoding.Encoding {
	parts := [...]encoding.Encoding{
		1: charmap.ISO8859_1, charmap.ISO8859_2, charmap.ISO8859_3, charmap.ISO8859_4, charmap.ISO8859_5, charmap.ISO8859_6,
		charmap.ISO8859_7, charmap.ISO8859_8, charmap.ISO8859_9, charmap.ISO8859_10, charmap.Windows874, 13: charmap.ISO8859_13,
		14: charmap.ISO8859_14, 15: charmap.ISO8859_15,
	}
	if n >= len(parts) {
		return nil
	}
	return parts[n]
}

// with decodes b. Of an alphabet that we do not know, the letters of ASCII are right.
func with(e encoding.Encoding, b []byte) string {
	if e != nil {
		if s, err := e.NewDecoder().Bytes(b); err == nil {
			return string(s)
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// latin reads ISO 6937 with the euro sign of DVB: an accent comes before its letter, where Unicode has it behind.
func latin(b []byte) string {
	const (
		signs = "\u00a0¡¢£€¥\uFFFD§¤‘“«←↑→↓°±²³×µ¶·÷’”»¼½¾¿"                                                       // from 0xa0
		marks = "\uFFFD\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\uFFFD\u030a\u0327\uFFFD\u030b\u0328\u030c" // from 0xc0
		more  = "―¹®©™♪¬¦\uFFFD\uFFFD\uFFFD\uFFFD⅛⅜⅝⅞ΩÆĐªĦ\uFFFDĲĿŁØŒºÞŦŊŉĸæđðħıĳŀłøœßþŧŋ\u00ad"
	)
	table := []rune(signs + marks + more)
	var out []rune
	accent := rune(0)
	for _, c := range b {
		r := rune(c)
		if c >= 0xa0 {
			r = table[c-0xa0]
		}
		if unicode.Is(unicode.Mn, r) {
			accent = r
			continue
		}
		if out = append(out, r); accent != 0 {
			out, accent = append(out, accent), 0
		}
	}
	return norm.NFC.String(string(out))
}

// printable maps the line break of DVB to ours and drops the other control codes, as those that switch emphasis on and off. In
// alphabets of two bytes they are in the private use area.
func printable(r rune) rune {
	if r >= 0xe080 && r <= 0xe09f {
		r -= 0xe000
	}
	switch {
	case r == 0x8a:
		return '\n'
	case r != '\n' && unicode.IsControl(r):
		return -1
	}
	return r
}
