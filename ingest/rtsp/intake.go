package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// output is the way to the sink that all sessions of a source share, one after the other.
type output struct {
	mu    sync.Mutex // held while a session's packet is worked on, and so during every call of sink
	sink  ingest.Sink
	stats *ingest.Stats
	log   *slog.Logger
	start time.Time // program time is counted from here
	next  int64     // program time that no sample has reached
	begun bool      // a sample went out: what a new session sends first is a discontinuity
}

// intake is one session, from the description to the last packet. Its methods may be called by any goroutine; panics of the
// libraries within are the caller's to recover.
type intake struct {
	out     *output
	title   string
	tracks  []*track
	sender  sender
	loss    limiter
	trouble limiter

	datagrams bool // packets come over UDP. Set before the first

	// All below under out.mu.
	closed  bool
	started time.Time // arrival of the first packet
	decided bool      // the tracks are aligned, nothing is held
	held    []heldUnit
	bytes   int
	newest  int64     // program time of the newest sample
	at      time.Time // and its arrival
}

// heldUnit waits for the alignment; its data is its own.
type heldUnit struct {
	track *track
	unit  unit
	now   time.Time
}

// newIntake understands a description, whose SDP is body and whose sender calls itself agent. What cannot be carried is left out and logged; if that is everything,
// there is no intake. The formats of d are replaced by taps.
func newIntake(out *output, d *description.Session, body []byte, agent base.HeaderValue) (*intake, error) {
	in := &intake{out: out, title: titleOf(d)}
	in.sender.passing = strings.Contains(strings.Join(agent, " "), nameOfPassing)
	rates := clocks(body)
	var refused []string
	for i, m := range d.Medias {
		for j, f := range m.Formats {
			clock := clockOf(rates, i, f)
			decoder, how, err := depacketizerOf(f, clock)
			switch {
			case m.IsBackChannel:
				continue
			case err == nil && (clock <= 0 || len(in.tracks) == ingest.MaxTracks):
				err = fmt.Errorf("%s without a clock, or too many tracks", name(f))
			}
			if err != nil {
				refused = append(refused, err.Error())
				out.log.Warn("rtsp track left out", "media", i, "reason", err)
				continue
			}
			t := &track{id: uint8(len(in.tracks)), media: i, tap: &tap{Format: f}, rate: clock, carriage: how, decoder: decoder}
			m.Formats[j] = t.tap
			in.tracks = append(in.tracks, t)
		}
	}
	if len(in.tracks) == 0 {
		return nil, fmt.Errorf("%w (%s): send H.264, H.265, AAC, Opus, AC-3 or MPEG audio", errNothing, strings.Join(refused, ", "))
	}
	return in, nil
}

var errNothing = errors.New("nothing in the stream can be carried")

// packet takes an RTP packet of track t that arrived now.
func (in *intake) packet(t *track, p *rtp.Packet, now time.Time) {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	if in.closed {
		return
	}
	if t.seen && p.SSRC != t.ssrc {
		in.complain(t, errSender, now)
		return
	}
	in.out.stats.Bytes.Add(uint64(p.MarshalSize()))
	if in.started.IsZero() {
		in.started = now
	}
	if !in.datagrams {
		in.follow(t, p, now)
	} else {
		t.queue.push(p, now, in.follower(t))
		for _, u := range in.tracks {
			u.queue.expire(now, in.follower(u))
		}
	}
	in.settle(now)
}

var errSender = errors.New("packet of another sender")

// follower is follow for what a queue hands out.
func (in *intake) follower(t *track) func(arrived) {
	return func(a arrived) { in.follow(t, a.packet, a.at) }
}

// follow takes the packet that is next in order.
func (in *intake) follow(t *track, p *rtp.Packet, now time.Time) {
	lost, gap, fresh := t.sequence(p)
	if !fresh {
		return
	}
	if lost > 0 {
		in.lose(t, lost, now)
	}
	at, jumped := t.advance(p, now)
	t.resolve()
	if jumped {
		in.jump(t, now)
	}
	err := t.decoder.depacketize(p, at, gap, func(u unit) { in.take(t, u, now) })
	if err != nil {
		in.complain(t, err, now)
	}
}

// report takes a sender report of a media that arrived now.
func (in *intake) report(media int, r *rtcp.SenderReport, now time.Time) {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	if in.closed {
		return
	}
	for _, t := range in.tracks {
		if t.media == media && t.senderReport(r, now) {
			in.sender.learn(t, in.tracks)
		}
	}
	if !in.decided {
		in.settle(now)
		return
	}
	if moved := in.sender.correct(in.tracks); moved > 0 {
		in.out.stats.Discontinuities.Add(1)
		in.out.log.Info("sound and picture realigned by sender reports", "moved", moved.Round(time.Millisecond))
	}
}

// close delivers what is held; nothing goes out after it.
func (in *intake) close(now time.Time) {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	if in.closed {
		return
	}
	for _, t := range in.tracks {
		t.queue.flush(in.follower(t))
		t.decoder.flush(func(u unit) { in.take(t, u, now) })
	}
	if len(in.held) > 0 {
		in.decide()
	}
	in.closed = true
}

// take holds a unit, or delivers it.
func (in *intake) take(t *track, u unit, now time.Time) {
	if in.decided {
		in.deliver(t, u, now)
		return
	}
	dts := scale(u.dts, t.rate)
	lead := ticks(now.Sub(in.started)) - dts
	if !t.waiting {
		t.waiting, t.first, t.lead = true, u.dts, lead
	}
	if !u.guessed {
		t.lead = min(t.lead, lead)
	}
	u.data = append([]byte(nil), u.data...)
	in.held, in.bytes = append(in.held, heldUnit{t, u, now}), in.bytes+len(u.data)
}

// settle ends the holding if it is of no more use. A report may come before the first packet.
func (in *intake) settle(now time.Time) {
	if !in.decided && !in.started.IsZero() && in.ready(now) {
		in.decide()
	}
}

// ready tells whether holding on would be of no use.
func (in *intake) ready(now time.Time) bool {
	if now.Sub(in.started) >= holdFor || in.bytes > holdBytes || len(in.held) > holdUnits {
		return true
	}
	wanted := 0
	for _, t := range in.tracks {
		if t.carriage.codec == ingest.Data {
			continue // may come once a minute
		}
		wanted++
		if !t.waiting || len(in.tracks) > 1 && !t.reported() {
			return false
		}
	}
	return wanted > 0
}

// decide aligns the tracks and lets go of what is held.
func (in *intake) decide() {
	base := max(in.out.next, ticks(in.started.Sub(in.out.start)))
	in.sender.align(in.tracks, base)
	for _, t := range in.tracks {
		t.breaks = in.out.begun
	}
	in.decided, in.newest, in.at = true, base, in.started
	in.setProgram()
	held := in.held
	in.held, in.bytes = nil, 0
	for _, h := range held {
		in.deliver(h.track, h.unit, h.now)
	}
}

func (in *intake) setProgram() {
	for _, t := range in.tracks {
		t.decoder.changed()
	}
	in.out.sink.SetProgram(newProgram(in.title, in.tracks))
}

// deliver gives a unit its times and hands it on.
func (in *intake) deliver(t *track, u unit, now time.Time) {
	if t.decoder.changed() {
		in.setProgram()
	}
	if !t.aligned {
		in.join(t, u, now)
	}
	if t.carriage.codec.IsAudio() && !in.video() {
		u.flags |= ingest.RandomAccess
	}
	s, clamped := t.place(u)
	s.Wall = in.sender.wall(t, u.pts, now)
	if s.DTS > in.newest {
		in.newest, in.at = s.DTS, now
	}
	in.out.begun, in.out.next = true, max(in.out.next, s.DTS+1)
	count(in.out.stats, s, u.guessed || clamped, now)
	in.out.sink.WriteSample(s)
}

// video tells whether the session has pictures.
func (in *intake) video() bool {
	for _, t := range in.tracks {
		if t.carriage.codec.IsVideo() {
			return true
		}
	}
	return false
}

// join aligns a track that comes late, or whose clock has jumped: by its reports, else so that the unit is as new as it is.
func (in *intake) join(t *track, u unit, now time.Time) {
	t.aligned, t.exact = true, false
	t.offset = in.newest + ticks(now.Sub(in.at)) - scale(u.dts, t.rate)
	ref := reference(in.tracks, func(r *track) bool { return r != t && r.aligned && in.sender.believed(t, r) })
	if ref == nil {
		return
	}
	by := ref.offset + in.sender.origin(t) - in.sender.origin(ref)
	if duration(by-t.offset).Abs() <= maxOffset {
		t.offset, t.exact = by, true
	}
}

// jump forgets how t was aligned: its RTP time no longer continues what it was. What came before goes out as it was.
func (in *intake) jump(t *track, now time.Time) {
	t.decoder.flush(func(u unit) { in.take(t, u, now) })
	if !in.decided {
		in.decide()
	}
	t.report, t.aligned, t.breaks = nil, false, true
	in.out.stats.Discontinuities.Add(1)
	in.out.log.Warn("rtp time of a track jumped", "track", t.id, "codec", t.carriage.codec)
	t.decoder.jumped()
}

func (in *intake) lose(t *track, lost int, now time.Time) {
	in.out.stats.LostPackets.Add(uint64(lost))
	if n, ok := in.loss.pass(uint64(lost), now); ok {
		in.out.log.Warn("rtp packets lost", "track", t.id, "codec", t.carriage.codec, "packets", n)
	}
}

func (in *intake) complain(t *track, err error, now time.Time) {
	in.out.stats.SetError(err)
	if n, ok := in.trouble.pass(1, now); ok {
		in.out.log.Warn("rtp packet not understood", "track", t.id, "codec", t.carriage.codec, "packets", n, "reason", err)
	}
}

func count(stats *ingest.Stats, s ingest.Sample, guessed bool, now time.Time) {
	stats.Samples.Add(1)
	stats.LastSample.Store(now.UnixNano())
	if s.Flags&ingest.Damaged != 0 {
		stats.DamagedSamples.Add(1)
	}
	if guessed {
		stats.DTSFallbacks.Add(1)
	}
}

// limiter lets one message pass every five seconds, with the sum of what was not said since the last.
type limiter struct {
	last time.Time
	sum  uint64
}

func (l *limiter) pass(n uint64, now time.Time) (sum uint64, ok bool) {
	l.sum += n
	if !l.last.IsZero() && now.Sub(l.last) < 5*time.Second {
		return 0, false
	}
	sum, l.last, l.sum = l.sum, now, 0
	return sum, true
}
