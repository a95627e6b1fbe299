package ingest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// Backoff is the pause before another attempt at an input that failed: it doubles with each failure in a row, and is spread by a third,
// so that many who lost one server do not come back at once. It stays so short that an input is taken within 3 s of its return, however
// long it was away. The zero value is ready; it belongs to one goroutine.
type Backoff struct {
	Min, Max time.Duration // of the pause, before it is spread. If zero, 250 ms and 1.5 s.

	next time.Duration
}

// Reset is called when an attempt went well: the next pause is the shortest again.
func (b *Backoff) Reset() { b.next = 0 }

// Next is how long to pause now.
func (b *Backoff) Next() time.Duration {
	least := cmp.Or(b.Min, 250*time.Millisecond)
	most := max(cmp.Or(b.Max, longestPause), least)
	d := max(b.next, least)
	b.next = min(2*d, most)
	return d - d/3 + time.Duration(rand.Int64N(int64(2*d/3)+1))
}

// longestPause is 2 s when it is spread, which leaves one of the three for a connection.
const longestPause = 1500 * time.Millisecond

// AfterRefusal is the pause of who was told that the password is wrong: that does not change by itself, and who asks too often may be locked out.
func AfterRefusal() Backoff { return Backoff{Min: 5 * time.Second, Max: time.Minute} }

// Dialer is for pulls. It gives up a host that does not answer after 1.5 s: the next attempt sends anew, and the system of this one would wait for
// longer and longer before it does. It asks again after a second (RFC 6298, 2.1): who is back just after that waits for the rest and a pause.
func Dialer() *net.Dialer { return &net.Dialer{Timeout: 1500 * time.Millisecond} }

// Sleep waits for d; false if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
