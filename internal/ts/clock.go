package ts

import "tailcast/ingest"

// jump is how far a media clock may move between two units without being called discontinuous: 10 s.
const jump = 10 * ingest.ClockRate

// clock turns the 33-bit times of a program into times that do not wrap. There is one for all tracks: each time is taken as
// the nearest to the newest one of any track, so tracks cannot come out 2^33 ticks (26.5 hours) apart, whichever wraps first.
//
// A jump is followed as it is: a stream whose times go back by an hour goes on an hour earlier. The samples at the jump
// are flagged, and what to do about it is left to those who care; to hide it here would need a guess about its true length.
type clock struct {
	known bool
	last  int64 // newest time of any track
}

func (c *clock) unwrap(raw int64) int64 {
	c.last = c.near(raw)
	c.known = true
	return c.last
}

// near is what unwrap would answer.
func (c *clock) near(raw int64) int64 {
	if !c.known {
		return raw
	}
	return c.last + signed33(raw-c.last)
}

// signed33 reads the lowest 33 bits of d as a signed number.
func signed33(d int64) int64 { return d << 31 >> 31 }
