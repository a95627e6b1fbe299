package rtp

import (
	"time"

	"tailcast/ingest"
)

// scale turns n ticks of a clock of rate Hz into ticks of 90 kHz, rounding down. It is computed anew from the whole n each time, so
// no error adds up however long a stream lasts: 48 kHz and 90 kHz meet exactly every 8 samples, 44.1 kHz every 49.
func scale(n int64, rate int) int64 {
	r := int64(rate)
	seconds, rest := n/r, n%r
	if rest < 0 {
		seconds, rest = seconds-1, rest+r
	}
	return seconds*ingest.ClockRate + rest*ingest.ClockRate/r
}

// ticks is d in 90 kHz, rounded down.
func ticks(d time.Duration) int64 { return scale(int64(d), int(time.Second)) }

// duration is n ticks of 90 kHz as a time.Duration.
func duration(n int64) time.Duration {
	return time.Duration(n/ingest.ClockRate)*time.Second + time.Duration(n%ingest.ClockRate)*time.Second/ingest.ClockRate
}

// unwrapper continues 32-bit RTP timestamps, which wrap every 13 hours at 90 kHz, as 64-bit ones. The first stands for itself.
type unwrapper struct {
	started bool
	last    int64
}

// near returns the 64-bit time of v that is closest to the newest one seen.
func (u *unwrapper) near(v uint32) int64 {
	if !u.started {
		return int64(v)
	}
	return u.last + int64(int32(v-uint32(u.last)))
}

// next is near, and remembers.
func (u *unwrapper) next(v uint32) int64 {
	u.last = u.near(v)
	u.started = true
	return u.last
}

// ntpTicks is an NTP time (RFC 3550, section 4) in 90 kHz since 1900. The fraction counts 2^-32 seconds by the RFC, and nanoseconds
// in what gortsplib writes.
func ntpTicks(ntp uint64, nanoseconds bool) int64 {
	seconds, fraction := int64(ntp>>32), int64(ntp&0xffffffff)
	if seconds < 1<<31 { // the next era, which begins in 2036 (RFC 4330, section 3)
		seconds += 1 << 32
	}
	if nanoseconds {
		return seconds*ingest.ClockRate + fraction*ingest.ClockRate/int64(time.Second)
	}
	return seconds*ingest.ClockRate + fraction*ingest.ClockRate>>32
}

// ntpEpoch is the Unix epoch in seconds of NTP (RFC 868).
const ntpEpoch = 2208988800

// wallOf is the time of day that n, 90 kHz ticks since 1900, stands for.
func wallOf(n int64) time.Time {
	return time.Unix(n/ingest.ClockRate-ntpEpoch, 0).Add(duration(n % ingest.ClockRate))
}
