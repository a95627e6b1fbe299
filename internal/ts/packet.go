package ts

import (
	"hash/crc32"
	"math/bits"
)

// A transport packet (H.222.0, 2.4.3.2):
//
//	0      1                2         3                         4
//	0x47 | T S P PID(13) ...        | scr(2) AF(2) counter(4) | adaptation field | payload     188 bytes in all
//
// T: transport error, S: a unit (PES packet or section) starts in the payload, AF: adaptation field, payload, or both.
const (
	packetSize = 188
	syncByte   = 0x47
	nullPID    = 0x1fff
	maxPIDs    = 8192
)

type packet struct {
	pid           uint16
	start         bool
	scrambled     bool
	hasPayload    bool
	counter       byte
	discontinuity bool // of the continuity counter and, with a PCR, of the clock
	randomAccess  bool // as the sender says
	stuffed       bool // the adaptation field is longer than what it holds: the sender had no more payload for this unit
	suspect       bool // bytes of it may be missing
	hasPCR        bool
	pcr           int64  // in 90 kHz ticks, 33 bits; the 27 MHz remainder is of no use here
	payload       []byte // of the packet itself
}

// parsePacket reads p, 188 bytes that begin with 0x47. It refuses packets marked as damaged and those that contradict themselves.
func parsePacket(p []byte) (k packet, ok bool) {
	k = packet{
		pid:        uint16(p[1]&0x1f)<<8 | uint16(p[2]),
		start:      p[1]&0x40 != 0,
		scrambled:  p[3]&0xc0 != 0,
		hasPayload: p[3]&0x10 != 0,
		counter:    p[3] & 0x0f,
	}
	if p[1]&0x80 != 0 {
		return k, false
	}
	body := p[4:packetSize]
	if p[3]&0x20 != 0 {
		n := int(body[0])
		if n >= len(body) {
			return k, false
		}
		k.adaptation(body[1 : 1+n])
		body = body[1+n:]
	}
	k.payload = body
	return k, true
}

// adaptation reads an adaptation field without its length byte (H.222.0, 2.4.3.4).
func (k *packet) adaptation(a []byte) {
	if len(a) == 0 {
		k.stuffed = true
		return
	}
	flags, used := a[0], 1
	k.discontinuity = flags&0x80 != 0
	k.randomAccess = flags&0x40 != 0
	if flags&0x10 != 0 && len(a) >= 7 {
		k.hasPCR, k.pcr = true, int64(a[1])<<25|int64(a[2])<<17|int64(a[3])<<9|int64(a[4])<<1|int64(a[5])>>7
		used += 6
	}
	if flags&0x08 != 0 { // original PCR
		used += 6
	}
	if flags&0x04 != 0 { // splice countdown
		used++
	}
	for _, bit := range []byte{0x02, 0x01} { // private data, extension: each with its length
		if flags&bit != 0 && used < len(a) {
			used += 1 + int(a[used])
		}
	}
	k.stuffed = used < len(a)
}

// times are 33 bits of the 90 kHz clock, in 5 bytes with marker bits between (H.222.0, 2.4.3.7).
const timeMask = 1<<33 - 1

func readTime(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

func appendTime(b []byte, mark byte, t int64) []byte {
	return append(b, mark<<4|byte(t>>29)&14|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

func appendPCR(b []byte, t int64) []byte {
	return append(b, byte(t>>25), byte(t>>17), byte(t>>9), byte(t>>1), byte(t<<7)|0x7e, 0)
}

// crc is the CRC-32 of sections (H.222.0, Annex A): that of Ethernet with the bits of each byte, and of the result, in the
// opposite order and without the final inversion. Over a section with its CRC it is 0.
func crc(b []byte) uint32 {
	var mirrored [256]byte
	var sum uint32
	for len(b) > 0 {
		n := min(len(b), len(mirrored))
		for i, x := range b[:n] {
			mirrored[i] = bits.Reverse8(x)
		}
		sum = crc32.Update(sum, crc32.IEEETable, mirrored[:n])
		b = b[n:]
	}
	return bits.Reverse32(^sum)
}
