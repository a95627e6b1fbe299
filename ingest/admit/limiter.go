package admit

import "time"

// Limiter lets one message pass every five seconds, with the sum of what was not said since the last: strangers do not fill logs.
type Limiter struct {
	last time.Time
	sum  uint64
}

// Pass adds n and tells whether to speak of the sum now.
func (l *Limiter) Pass(n uint64, now time.Time) (sum uint64, ok bool) {
	l.sum += n
	if !l.last.IsZero() && now.Sub(l.last) < 5*time.Second {
		return 0, false
	}
	sum, l.last, l.sum = l.sum, now, 0
	return sum, true
}
