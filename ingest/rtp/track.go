package rtp

import (
	"time"

	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/rtporder"
)

// Track is one elementary stream of a session. All of it but the Stream, which does not change, is owned by the Intake, under its lock.
type Track struct {
	Stream
	id      uint8
	rate    int // of the RTP clock, Hz
	codec   ingest.Codec
	decoder depacketizer

	// The RTP packets.
	queue rtporder.Queue // of datagrams
	gap   bool           // packets are missing before the next that has a payload
	seen  bool           // one has arrived; seq, ssrc, clock and arrival are valid
	seq   uint16
	ssrc  uint32
	// clock continues their timestamps; arrival is when the newest came.
	clock   unwrapper
	arrival time.Time

	// The alignment, see align.go. Times are 90 kHz.
	report  *report // newest sender report; nil until there is one, and after a jump
	waiting bool    // a unit is held, first and lead are valid
	first   int64   // decoding time of the first unit
	lead    int64   // least of arrival minus decoding time, over the units held
	aligned bool    // offset is valid
	exact   bool    // offset is by sender reports
	offset  int64   // program time minus RTP time
	odd     int     // sender reports in a row that contradict offset

	// What can be decoded, if somebody wants to know.
	keyed  bool // a random access point has come
	broken bool // something was lost since the last

	// What went out.
	sent   bool
	last   int64 // decoding time
	breaks bool  // the next sample is a discontinuity
}

// maxJump is how far RTP time may run apart from ours between two packets of a track before it counts as a jump.
const maxJump = 10 * time.Second

// sequence takes the next packet's number into account: how many are missing before it, whether it follows the one before, and
// whether it is new at all.
func (t *Track) sequence(p *rtp.Packet) (lost int, gap, fresh bool) {
	step := int16(p.SequenceNumber - t.seq)
	if t.seen && step == 0 {
		return 0, false, false
	}
	t.seq = p.SequenceNumber
	if !t.seen || step < 0 { // below zero: the sender began anew
		return 0, t.seen, true
	}
	return int(step) - 1, step > 1, true
}

// advance puts a packet on the track's clock and tells whether that jumped.
func (t *Track) advance(p *rtp.Packet, now time.Time) (at int64, jumped bool) {
	before := t.clock.last
	at = t.clock.next(p.Timestamp)
	if t.seen {
		moved := duration(scale(at, t.rate) - scale(before, t.rate))
		jumped = (moved - now.Sub(t.arrival)).Abs() > maxJump
	}
	t.seen, t.ssrc, t.arrival = true, p.SSRC, now
	return at, jumped
}

// configured tells whether a decoder knows all that it needs before the first unit.
func (t *Track) configured() bool {
	if t.codec != ingest.H264 && t.codec != ingest.H265 {
		return true
	}
	var info ingest.Track
	t.decoder.describe(&info)
	return info.Config != nil
}

// place gives a unit its times on the program's clock. A decoding time is always above the one before.
func (t *Track) place(u unit) (s ingest.Sample, clamped bool) {
	s = ingest.Sample{Track: t.id, Flags: u.flags, Data: u.data}
	s.PTS, s.DTS = scale(u.pts, t.rate)+t.offset, scale(u.dts, t.rate)+t.offset
	if t.sent && s.DTS <= t.last {
		s.DTS, clamped = t.last+1, true
		s.PTS = max(s.PTS, s.DTS)
	}
	if t.breaks {
		s.Flags |= ingest.Discontinuity
	}
	t.sent, t.last, t.breaks = true, s.DTS, false
	return s, clamped
}
