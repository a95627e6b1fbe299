package rtp

import (
	"time"

	"github.com/pion/rtcp"
)

// Each track counts on an RTP clock of its own, from a random start. What ties the tracks of a session together are the RTCP sender
// reports: "this RTP time was that time of day" (RFC 3550, 6.4.1). Until they are there, only the arrival is known.
//
//	holding ── every track has a unit and a report, or 500 ms, or too much is held ──▶ aligned
//
// Units are held while we wait, so that time never has to be taken back. ffmpeg reports before its first packet and is held for
// as long as its first audio packet takes; senders that report late are aligned by arrival, and corrected when they do: by moving
// forward whichever tracks are behind, marked as a discontinuity.

const (
	holdFor   = 500 * time.Millisecond
	holdBytes = 16 << 20
	holdUnits = 4096
)

// Reports that a correction needs: by how much they contradict the alignment in use, and how often in a row.
const (
	coarseError = 10 * time.Millisecond // of an alignment by arrival, once
	exactError  = 30 * time.Millisecond // of an alignment by reports, steadyCount times: a drift of clocks, not a hiccup
	steadyCount = 3
)

// Reports that are not believed: those of two tracks that say of themselves to be further apart than they came, and those that put
// tracks further apart than any encoder holds sound or picture back.
const (
	maxReportSkew = 300 * time.Millisecond
	maxOffset     = 5 * time.Second
)

// report is a sender report.
type report struct {
	ssrc     uint32
	ntp      uint64
	rtp      uint32
	at       int64 // rtp, unwrapped; valid if resolved
	resolved bool
	arrival  time.Time
}

// resolve unwraps the report's RTP time, for which a packet must have come; a report of another sender is dropped.
func (t *Track) resolve() {
	r := t.report
	if r == nil || !t.seen || r.resolved {
		return
	}
	r.at, r.resolved = t.clock.near(r.rtp), true
	if r.ssrc != t.ssrc {
		t.report = nil
	}
}

// reported tells whether the time of day of t is known.
func (t *Track) reported() bool { return t.report != nil && t.report.resolved }

// sender is what the reports of a session have in common.
//
// gortsplib, which MediaMTX and others are built on, reports when a packet passed it: not when it was captured. Sound of which
// several frames share a packet comes out up to 200 ms late by such reports (measured), where by arrival it is right to 25 ms. It
// can be told by its name and by its fractions of a second: it writes nanoseconds where the RFC has units of 2^-32 s.
type sender struct {
	passing bool // reports tell of passing packets; they are good for the time of day alone
	proven  bool // a fraction was above any number of nanoseconds
}

// nameOfPassing is in the Server or User-Agent header of who reports when packets passed.
const nameOfPassing = "gortsplib"

// learn draws conclusions from a new report of t.
func (s *sender) learn(t *Track, all []*Track) {
	if s.passing || s.proven {
		return
	}
	if uint32(t.report.ntp) >= uint32(time.Second) {
		s.proven = true
		return
	}
	for _, u := range all {
		if u != t && t.reported() && u.reported() && skew(t, u, false) > maxReportSkew && skew(t, u, true) <= maxReportSkew {
			s.passing = true
		}
	}
}

// skew is how far two reports contradict the time between their arrivals.
func skew(t, u *Track, nanoseconds bool) time.Duration {
	said := ntpTicks(t.report.ntp, nanoseconds) - ntpTicks(u.report.ntp, nanoseconds)
	return (duration(said) - t.report.arrival.Sub(u.report.arrival)).Abs()
}

// believed tells whether the reports of t and u say how to align the two.
func (s *sender) believed(t, u *Track) bool {
	return !s.passing && t.reported() && u.reported() && skew(t, u, false) <= maxReportSkew
}

// origin is the time of day, in 90 kHz since 1900, at which the RTP time of t was zero.
func (s *sender) origin(t *Track) int64 {
	return ntpTicks(t.report.ntp, s.passing) - scale(t.report.at, t.rate)
}

// wall is the time of day of RTP time at; zero if unknown, or too far from ours to be one.
func (s *sender) wall(t *Track, at int64, now time.Time) time.Time {
	if !t.reported() {
		return time.Time{}
	}
	w := wallOf(s.origin(t) + scale(at, t.rate))
	if w.Sub(now).Abs() > maxClockError {
		return time.Time{}
	}
	return w
}

// maxClockError is how far an encoder's clock may be from ours to be taken for the time of day.
const maxClockError = 10 * time.Second

// reference is the track that the others are aligned to: the first picture, else the first that has come.
func reference(tracks []*Track, ok func(*Track) bool) *Track {
	var ref *Track
	for _, t := range tracks {
		if ok(t) && (ref == nil || t.codec.IsVideo() && !ref.codec.IsVideo()) {
			ref = t
		}
	}
	return ref
}

// align gives an offset to every track that has a unit waiting, so that the earliest begins at base.
func (s *sender) align(tracks []*Track, base int64) {
	waiting := func(t *Track) bool { return t.waiting }
	ref := reference(tracks, waiting)
	if ref == nil {
		return
	}
	earliest := int64(0)
	for _, t := range tracks {
		if !t.waiting {
			continue
		}
		t.offset, t.exact = t.lead-ref.lead, false
		if s.believed(t, ref) {
			if by := s.origin(t) - s.origin(ref); duration(by-t.offset).Abs() <= maxOffset {
				t.offset, t.exact = by, true
			}
		}
		t.aligned = true
		earliest = min(earliest, scale(t.first, t.rate)+t.offset-scale(ref.first, ref.rate))
	}
	for _, t := range tracks {
		t.offset += base - earliest - scale(ref.first, ref.rate)
	}
}

// correct compares the offsets in use with the reports. What has to change moves forward, never back; moved is the farthest.
func (s *sender) correct(tracks []*Track) (moved time.Duration) {
	ref := reference(tracks, func(t *Track) bool { return t.aligned && t.reported() })
	if ref == nil || !s.proven {
		return 0
	}
	errs := make([]int64, len(tracks)) // of the offset against the reference's; zero if it stays
	least := int64(0)
	for i, t := range tracks {
		errs[i] = s.contradiction(t, ref)
		least = min(least, errs[i])
	}
	for i, t := range tracks {
		by := errs[i] - least
		if !t.aligned || by == 0 {
			continue
		}
		t.offset += by
		t.breaks = true
		moved = max(moved, duration(by))
	}
	return moved
}

// contradiction is by how much the offset of t has to grow against that of ref, if it is to be corrected now.
func (s *sender) contradiction(t, ref *Track) int64 {
	if t == ref || !t.aligned || !s.believed(t, ref) {
		return 0
	}
	by := (s.origin(t) - s.origin(ref)) - (t.offset - ref.offset)
	wrong := duration(by).Abs()
	switch {
	case wrong > maxOffset:
		return 0
	case !t.exact:
		t.exact, t.odd = true, 0
		if wrong <= coarseError {
			return 0
		}
	case wrong <= exactError:
		t.odd = 0
		return 0
	default:
		if t.odd++; t.odd < steadyCount {
			return 0
		}
		t.odd = 0
	}
	return by
}

// senderReport stores what a sender said about t, if it is about t.
func (t *Track) senderReport(r *rtcp.SenderReport, now time.Time) bool {
	if r.NTPTime == 0 || t.seen && r.SSRC != t.ssrc {
		return false
	}
	t.report = &report{ssrc: r.SSRC, ntp: r.NTPTime, rtp: r.RTPTime, arrival: now}
	t.resolve()
	return true
}
