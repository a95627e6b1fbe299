package captions

import "math/bits"

// codewords are the sixteen of Hamming 8/4 (EN 300 706, 8.2), first bit lowest. Any two differ in four bits, so one wrong bit is mended and two
// are seen.
var codewords = [16]byte{0x15, 0x02, 0x49, 0x5e, 0x64, 0x73, 0x38, 0x2f, 0xd0, 0xc7, 0x8c, 0x9b, 0xa1, 0xb6, 0xfd, 0xea}

// nibble decodes Hamming 8/4.
func nibble(b byte) (n byte, ok bool) {
	for n, w := range codewords {
		if bits.OnesCount8(b^w) <= 1 {
			return byte(n), true
		}
	}
	return 0, false
}

// triplet decodes Hamming 24/18 (EN 300 706, 8.3): parity bits stand at the places that are powers of two, and odd parity of each group makes the
// exclusive or of the places of all ones 31. One wrong bit moves it by its own place.
func triplet(b []byte) (v uint32, ok bool) {
	w := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	places := 0
	for i := 1; i < 24; i++ {
		if w>>(i-1)&1 == 1 {
			places ^= i
		}
	}
	if wrong := places ^ 31; wrong != 0 {
		if bits.OnesCount32(w)%2 == 1 || wrong > 23 {
			return 0, false // two bits are wrong
		}
		w ^= 1 << (wrong - 1)
	}
	return w>>2&1 | w>>4&7<<1 | w>>8&0x7f<<4 | w>>16&0x7f<<11, true
}
