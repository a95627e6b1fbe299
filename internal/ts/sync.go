package ts

import "bytes"

// synchronizer cuts a byte stream into transport packets: of 188 bytes, of 192 (with a time in front, as recorders write them), or of
// 204 (with parity behind, as modulators do). It locks on three sync bytes at one of these distances and begins to search
// again where one is missing.
type synchronizer struct {
	packet func(p []byte, suspect bool) // suspect: not followed by another packet, so bytes of it may be missing
	lost   func()                       // the last packet was suspect, as turned out only now

	rest    []byte // not yet consumed, fewer bytes than lookahead
	stride  int    // 0 while searching
	gap     int    // bytes between the last packet and the next that have not come yet
	skipped uint64 // bytes that were no packets
}

// hasContents are the bits of a packet's fourth byte of which one at least is set.
const hasContents = 0x30

// lookahead is what it takes to lock: the largest distance twice, and one.
const lookahead = 2*204 + 1

// write calls packet for each packet that p completes.
func (y *synchronizer) write(p []byte) {
	if len(y.rest) > 0 {
		// Join the rest with just enough to consume it, then go on in p itself: nothing is copied twice.
		n := min(len(p), 2*lookahead)
		y.rest = append(y.rest, p[:n]...)
		left := len(y.rest) - y.consume(y.rest)
		if left > n {
			y.rest = append(y.rest[:0], y.rest[len(y.rest)-left:]...)
			return // p is all in there
		}
		y.rest, p = y.rest[:0], p[n-left:]
	}
	p = p[y.consume(p):]
	y.rest = append(y.rest[:0], p...)
}

// consume says how many bytes of p are done with.
func (y *synchronizer) consume(p []byte) int {
	i := 0
	for {
		n := min(y.gap, len(p)-i)
		i, y.gap = i+n, y.gap-n
		if y.stride != 0 && i < len(p) && p[i] != syncByte {
			y.stride = 0
			y.lost()
		}
		if y.stride == 0 {
			var skip int
			skip, y.stride = lockOn(p[i:])
			y.skipped += uint64(skip)
			i += skip
			if y.stride == 0 {
				return i
			}
		}
		if len(p)-i < packetSize {
			return i
		}
		if p[i+3]&hasContents == 0 {
			// No packet has neither payload nor adaptation field: this sync byte is a byte that happens to return.
			i, y.stride = i+1, 0
			y.skipped++
			y.lost()
			continue
		}
		next := i + y.stride
		y.packet(p[i:i+packetSize], next < len(p) && p[next] != syncByte)
		i, y.gap = i+packetSize, y.stride-packetSize
	}
}

// lockOn says how many bytes of p cannot begin a packet and, if p[skip] does for sure, the distance to the next; else 0.
func lockOn(p []byte) (skip, stride int) {
	for i := 0; ; i++ {
		j := bytes.IndexByte(p[i:], syncByte)
		if j < 0 {
			return len(p), 0
		}
		if i += j; i+3 >= len(p) {
			return i, 0
		}
		if p[i+3]&hasContents == 0 {
			continue
		}
		for _, n := range [...]int{188, 192, 204} {
			if i+n < len(p) && p[i+n] != syncByte {
				continue
			}
			if i+2*n >= len(p) {
				return i, 0 // cannot tell yet
			}
			if p[i+2*n] == syncByte {
				return i, n
			}
		}
	}
}

// reset forgets what is left; the next bytes are of another stream.
func (y *synchronizer) reset() {
	y.skipped += uint64(len(y.rest))
	y.rest, y.stride, y.gap = y.rest[:0], 0, 0
}
