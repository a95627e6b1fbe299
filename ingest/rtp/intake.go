package rtp

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/rtporder"
)

// Intake is one session, from the description to the last packet. Its methods may be called by any goroutine; panics of the
// libraries within are the caller's to recover.
type Intake struct {
	// Datagrams says that packets may overtake one another, and get lost. Set before the first.
	Datagrams bool

	out     *Output
	title   string
	tracks  []*Track
	needKey func(*Track) // nil if nobody is to be asked
	sender  sender
	loss    Limiter
	trouble Limiter

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
	track *Track
	unit  unit
	now   time.Time
}

// NewIntake begins a session. What cannot be carried is left out and logged; if that is everything, there is no intake.
func NewIntake(out *Output, c Config) (*Intake, error) {
	in := &Intake{out: out, title: c.Title, needKey: c.NeedKey}
	in.sender.passing = strings.Contains(c.Agent, nameOfPassing)
	var refused []string
	for _, s := range c.Streams {
		if err := in.add(s, c.Wait); err != nil {
			refused = append(refused, err.Error())
			out.log.Warn("track left out", "media", s.Media, "reason", err)
		}
	}
	if len(in.tracks) == 0 {
		return nil, fmt.Errorf("%w (%s): send H.264, H.265, AAC, Opus, AC-3 or MPEG audio", errNothing, strings.Join(refused, ", "))
	}
	return in, nil
}

var errNothing = errors.New("nothing in the stream can be carried")

func (in *Intake) add(s Stream, wait time.Duration) error {
	decoder, codec, err := depacketizerOf(s.Format, s.Clock)
	if err == nil && (s.Clock <= 0 || len(in.tracks) == ingest.MaxTracks) {
		err = fmt.Errorf("%s without a clock, or too many tracks", name(s.Format))
	}
	if err != nil {
		return err
	}
	t := &Track{Stream: s, id: uint8(len(in.tracks)), rate: s.Clock, codec: codec, decoder: decoder}
	t.queue.Wait = wait
	in.tracks = append(in.tracks, t)
	return nil
}

// Tracks are the streams that are carried.
func (in *Intake) Tracks() []*Track { return in.tracks }

// Program is the table of tracks as far as it is known.
func (in *Intake) Program() *ingest.Program {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	return program(in.title, in.tracks)
}

// SSRC is the sender of t, once a packet has come.
func (in *Intake) SSRC(t *Track) (ssrc uint32, ok bool) {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	return t.ssrc, t.seen
}

// Packet takes an RTP packet of track t that arrived now.
func (in *Intake) Packet(t *Track, p *rtp.Packet, now time.Time) {
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
	if !in.Datagrams {
		in.follow(t, p, now)
	} else {
		t.queue.Push(p, now, in.follower(t))
		for _, u := range in.tracks {
			u.queue.Expire(now, in.follower(u))
		}
	}
	in.settle(now)
}

var errSender = errors.New("packet of another sender")

// follower is follow for what a queue hands out.
func (in *Intake) follower(t *Track) func(rtporder.Arrived) {
	return func(a rtporder.Arrived) { in.follow(t, a.Packet, a.At) }
}

// follow takes the packet that is next in order.
func (in *Intake) follow(t *Track, p *rtp.Packet, now time.Time) {
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
	if t.gap = t.gap || gap; len(p.Payload) == 0 {
		return // padding, by which browsers find out what the network carries
	}
	gap, t.gap = t.gap, false
	err := t.decoder.depacketize(p, at, gap, func(u unit) { in.take(t, u, now) })
	if err != nil {
		in.complain(t, err, now)
	}
}

// Report takes a sender report of a media that arrived now.
func (in *Intake) Report(media int, r *rtcp.SenderReport, now time.Time) {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	if in.closed {
		return
	}
	for _, t := range in.tracks {
		if t.Media == media && t.senderReport(r, now) {
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

// Close delivers what is held; nothing goes out after it.
func (in *Intake) Close(now time.Time) {
	in.out.mu.Lock()
	defer in.out.mu.Unlock()
	if in.closed {
		return
	}
	for _, t := range in.tracks {
		t.queue.Flush(in.follower(t))
		t.decoder.flush(func(u unit) { in.take(t, u, now) })
	}
	if len(in.held) > 0 {
		in.decide()
	}
	in.closed = true
}

// take holds a unit, or delivers it.
func (in *Intake) take(t *Track, u unit, now time.Time) {
	if in.needKey != nil && t.codec.IsVideo() && !in.decodable(t, u) {
		in.out.stats.Leave(ingest.Undecodable)
		return
	}
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

// decodable tells whether a picture is of use to somebody who saw those before.
func (in *Intake) decodable(t *Track, u unit) bool {
	if u.flags&ingest.RandomAccess != 0 && u.flags&ingest.Damaged == 0 && t.configured() {
		t.keyed, t.broken = true, false
	}
	if !t.keyed || t.broken {
		in.needKey(t)
	}
	return t.keyed
}

// settle ends the holding if it is of no more use. A report may come before the first packet.
func (in *Intake) settle(now time.Time) {
	if !in.decided && !in.started.IsZero() && in.ready(now) {
		in.decide()
	}
}

// ready tells whether holding on would be of no use.
func (in *Intake) ready(now time.Time) bool {
	if now.Sub(in.started) >= holdFor || in.bytes > holdBytes || len(in.held) > holdUnits {
		return true
	}
	wanted := 0
	for _, t := range in.tracks {
		if t.codec == ingest.Data {
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
func (in *Intake) decide() {
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

func (in *Intake) setProgram() {
	for _, t := range in.tracks {
		t.decoder.changed()
	}
	in.out.sink.SetProgram(program(in.title, in.tracks))
}

// deliver gives a unit its times and hands it on.
func (in *Intake) deliver(t *Track, u unit, now time.Time) {
	if t.decoder.changed() {
		in.setProgram()
	}
	if !t.aligned {
		in.join(t, u, now)
	}
	if t.codec.IsAudio() && !in.video() {
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
func (in *Intake) video() bool {
	for _, t := range in.tracks {
		if t.codec.IsVideo() {
			return true
		}
	}
	return false
}

// join aligns a track that comes late, or whose clock has jumped: by its reports, else so that the unit is as new as it is.
func (in *Intake) join(t *Track, u unit, now time.Time) {
	t.aligned, t.exact = true, false
	t.offset = in.newest + ticks(now.Sub(in.at)) - scale(u.dts, t.rate)
	ref := reference(in.tracks, func(r *Track) bool { return r != t && r.aligned && in.sender.believed(t, r) })
	if ref == nil {
		return
	}
	by := ref.offset + in.sender.origin(t) - in.sender.origin(ref)
	if duration(by-t.offset).Abs() <= maxOffset {
		t.offset, t.exact = by, true
	}
}

// jump forgets how t was aligned: its RTP time no longer continues what it was. What came before goes out as it was.
func (in *Intake) jump(t *Track, now time.Time) {
	t.decoder.flush(func(u unit) { in.take(t, u, now) })
	if !in.decided {
		in.decide()
	}
	t.report, t.aligned, t.breaks = nil, false, true
	in.out.stats.Discontinuities.Add(1)
	in.out.log.Warn("rtp time of a track jumped", "track", t.id, "codec", t.codec)
	t.decoder.jumped()
}

func (in *Intake) lose(t *Track, lost int, now time.Time) {
	t.broken = true
	in.out.stats.LostPackets.Add(uint64(lost))
	if n, ok := in.loss.Pass(uint64(lost), now); ok {
		in.out.log.Warn("rtp packets lost", "track", t.id, "codec", t.codec, "packets", n)
	}
}

func (in *Intake) complain(t *Track, err error, now time.Time) {
	in.out.stats.SetError(err)
	if n, ok := in.trouble.Pass(1, now); ok {
		in.out.log.Warn("rtp packet not understood", "track", t.id, "codec", t.codec, "packets", n, "reason", err)
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
