package captionstest

import "bytes"

// a53 begins user data with cc_data (ATSC A/53 part 4, 6.2.3).
var a53 = []byte{'G', 'A', '9', '4', 3}

// CCData is cc_data with pairs of the first and the second field of line 21; their parity is put right.
func CCData(first, second string) []byte {
	var triples []byte
	for kind, text := range []string{first, second} {
		for i := 0; i+1 < len(text); i += 2 {
			triples = append(triples, 0xfc|byte(kind), odd(text[i]&0x7f), odd(text[i+1]&0x7f))
		}
	}
	triples = append(triples, 0xfa, 0, 0, 0xf8, 0x94, 0x2c) // CTA-708 padding, and a pair that is not valid
	return append(append([]byte{0xc0 | byte(len(triples)/3), 0xff}, triples...), 0xff)
}

// UserData is a unit of MPEG-2 video with cc_data, without its start code.
func UserData(cc []byte) []byte { return bytes.Join([][]byte{{0xb2}, a53, cc}, nil) }

// SEI is a unit of H.264 with cc_data, without its start code, behind another message that needs two bytes to say how long it is.
func SEI(cc []byte) []byte {
	other := bytes.Repeat([]byte{7}, 300)
	b := append([]byte{6, 5, 0xff, byte(len(other) - 255)}, other...)
	user := bytes.Join([][]byte{{0xb5, 0, 0x31}, a53, cc}, nil)
	b = append(append(b, 4, byte(len(user))), user...)
	return escaped(append(b, 0x80))
}

// SEI265 is SEI of H.265.
func SEI265(cc []byte) []byte { return append([]byte{39 << 1, 1}, SEI(cc)[1:]...) }

// escaped puts emulation prevention into a unit.
func escaped(b []byte) (out []byte) {
	zeros := 0
	for _, c := range b {
		if zeros >= 2 && c <= 3 {
			out, zeros = append(out, 3), 0
		}
		if zeros++; c != 0 {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}
