// Package captionstest makes captions for tests, as a broadcaster does: teletext packets, and cc_data in pictures. It is written from the
// standards, and not from the code that reads.
package captionstest

import "math/bits"

const packetSize = 42

// A Teletext makes the payload of PES packets (ETSI EN 300 472), of pages 100 to 899.
type Teletext struct{ units []byte }

func (t *Teletext) packet(magazine, number int, rest []byte) {
	b := append([]byte{nibble(magazine&7 | number&1<<3), nibble(number >> 1)}, rest...)
	for len(b) < packetSize {
		b = append(b, odd(' '))
	}
	t.units = append(t.units, 3, 2+packetSize, 0xe7, 0xe4)
	for _, c := range b[:packetSize] {
		t.units = append(t.units, bits.Reverse8(c)) // first bit first, from the highest
	}
}

// odd adds the parity bit.
func odd(c byte) byte {
	if bits.OnesCount8(c)%2 == 0 {
		return c | 0x80
	}
	return c
}

// nibble encodes Hamming 8/4: P1 D1 P2 D2 P3 D3 P4 D4, first bit lowest (EN 300 706, 8.2).
func nibble(n int) byte {
	d := func(i int) byte { return byte(n >> (i - 1) & 1) }
	b := d(1)<<1 | d(2)<<3 | d(3)<<5 | d(4)<<7
	b |= (1 ^ d(1) ^ d(3) ^ d(4)) | (1^d(1)^d(2)^d(4))<<2 | (1^d(1)^d(2)^d(3))<<4
	return b | byte(bits.OnesCount8(b)+1)%2<<6
}

// Hamming encodes Hamming 24/18 by its definition: each parity bit makes its group odd (EN 300 706, 8.3).
func Hamming(v uint32) []byte {
	var w uint32
	for i, place := 0, 1; place < 24; place++ {
		if bits.OnesCount32(uint32(place)) > 1 {
			w |= v >> i & 1 << (place - 1)
			i++
		}
	}
	for p := 1; p < 24; p *= 2 {
		ones := 0
		for place := 1; place < 24; place++ {
			if place&p != 0 && w>>(place-1)&1 == 1 {
				ones++
			}
		}
		if ones%2 == 0 {
			w |= 1 << (p - 1)
		}
	}
	if bits.OnesCount32(w)%2 == 0 {
		w |= 1 << 23
	}
	return []byte{byte(w), byte(w >> 8), byte(w >> 16)}
}

// Header begins a page of subtitles, empty, and ends all others; option is C12 to C14, C12 lowest.
func (t *Teletext) Header(page int, option byte) {
	b := []byte{nibble(page % 10), nibble(page / 10 % 10), nibble(0), nibble(8), nibble(0), nibble(8), nibble(0), nibble(int(option)<<1 | 1)}
	t.packet(page/100, 0, b)
}

// Line writes boxed text of double height, seven bits a letter.
func (t *Teletext) Line(page, row int, text string) {
	b := []byte{odd(0x0d), odd(0x0b), odd(0x0b)}
	for i := range len(text) {
		b = append(b, odd(text[i]))
	}
	t.packet(page/100, row, append(b, odd(0x0a), odd(0x0a)))
}

// Triplets makes a packet 26, 28 or 29 of designation 0: address, mode and data each.
func (t *Teletext) Triplets(page, number int, list ...[3]int) {
	b := []byte{nibble(0)}
	for _, x := range list {
		b = append(b, Hamming(uint32(x[0]|x[1]<<6|x[2]<<11))...)
	}
	t.packet(page/100, number, b)
}

// Take is the payload of a PES packet with what was written since.
func (t *Teletext) Take() []byte {
	out := append([]byte{0x10}, t.units...)
	t.units = nil
	return out
}
