package rtmp

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/bluenviron/gortmplib/pkg/message"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/internal/es"
)

// output is the way to the sink that all publishers of a room share, one after the other.
type output struct {
	sink  ingest.Sink
	stats *ingest.Stats
	log   *slog.Logger
	start time.Time // program time is counted from here
	next  int64     // program time that no sample has reached
	begun bool      // a sample went out: what a new publisher sends first is a discontinuity
}

// crossing is what lies between the newest sample of a publisher and the first of the next at least: tracks do not begin together.
const crossing = ingest.ClockRate / 2

// base is where a publisher begins that comes now.
func (o *output) base(now time.Time) int64 {
	elapsed := scale(int64(now.Sub(o.start)), int64(time.Second))
	if !o.begun {
		return elapsed
	}
	return max(o.next+crossing, elapsed)
}

// stream is what one publisher sends. It is owned by the goroutine that reads the connection.
//
//	holding ── there are pictures and sound, or one alone for half a second ──▶ delivering
type stream struct {
	out     *output
	clock   clock
	tracks  []*track // by id
	trouble admit.Limiter
	left    map[string]bool // what is not carried, and has been said

	delivering bool
	began      int64           // program time of the first sample
	held       []ingest.Sample // copies
	bytes      int
	buf        []byte // reused for every unit
}

// track is one elementary stream.
type track struct {
	id     uint8
	codec  ingest.Codec
	form   form
	steady steady
	rate   frameRate // of pictures; zero if unknown
	sent   bool
	last   int64 // decoding time
	breaks bool  // the next sample is a discontinuity
}

// What is held until it is known what tracks there are. Encoders send all sequence headers first.
const (
	holdFor   = ingest.ClockRate / 2
	holdBytes = 8 << 20
)

func newStream(out *output) *stream { return &stream{out: out, left: map[string]bool{}} }

// take takes the next message, which came now.
func (s *stream) take(m message.Message, now time.Time) {
	e, ok := read(m)
	if !ok {
		return
	}
	t := s.track(&e)
	if t == nil {
		return
	}
	if e.begins {
		s.configure(t, &e, now)
		return
	}
	out, about, err := t.form.convert(s.buf[:0], &e)
	s.buf = out
	if err != nil {
		s.complain(t, err, now)
	}
	if err != nil || len(out) == 0 {
		return
	}
	if about.fresh {
		s.described(t)
	}
	s.place(t, &e, about, out, now)
}

// track is that of an event, which may be new; nil if it is not carried.
func (s *stream) track(e *event) *track {
	id := 2 * int(e.number)
	if !e.video {
		id++
	}
	at, found := slices.BinarySearchFunc(s.tracks, id, func(t *track, id int) int { return int(t.id) - id })
	if found && s.tracks[at].codec == e.codec {
		return s.tracks[at]
	}
	f := newForm(e.codec)
	if f == nil || id >= ingest.MaxTracks {
		s.leaveOut(e)
		return nil
	}
	t := &track{id: uint8(id), codec: e.codec, form: f, breaks: s.out.begun}
	if found { // the encoder has changed its mind about the codec
		old := s.tracks[at]
		t.sent, t.last, t.breaks = old.sent, old.last, true
		s.tracks[at] = t
	} else {
		s.tracks = slices.Insert(s.tracks, at, t)
	}
	s.described(t)
	return t
}

func (s *stream) leaveOut(e *event) {
	what := fmt.Sprintf("%s track %d", e.called, e.number)
	if e.called == "" {
		what = fmt.Sprintf("track %d: there are too many", e.number)
	}
	if s.left[what] || len(s.left) > 2*ingest.MaxTracks {
		return
	}
	s.left[what] = true
	s.out.log.Warn("rtmp track left out", "track", what)
}

func (s *stream) configure(t *track, e *event, now time.Time) {
	if err := t.form.begin(e); err != nil {
		s.complain(t, err, now)
		return
	}
	s.described(t)
}

// described tells the program anew: there is more to say of t than before.
func (s *stream) described(t *track) {
	if n, ok := t.form.(*nal); ok {
		t.rate = rateOf(n.frame())
	}
	if s.delivering {
		s.setProgram()
	}
}

func (s *stream) setProgram() {
	var tracks []ingest.Track
	for _, t := range s.tracks {
		info := es.NewTrack(t.id, t.codec)
		t.form.describe(&info)
		tracks = append(tracks, info)
	}
	s.out.sink.SetProgram(es.NewProgram("", tracks))
}

// place gives a unit its times and hands it on.
func (s *stream) place(t *track, e *event, about unit, data []byte, now time.Time) {
	stamp, jumped := s.clock.place(e.dts, s.out.base(now), now)
	if jumped {
		s.jump()
	}
	d := ingest.Sample{Track: t.id, Flags: about.flags, Data: data}
	if e.video {
		d.DTS, d.PTS = t.steady.picture(stamp, e.delta.Milliseconds()*ticksPerMS, t.rate)
	} else {
		d.DTS = t.steady.sound(stamp, about.samples, about.rate)
		d.PTS = d.DTS
	}
	guessed := d.PTS < d.DTS || t.sent && d.DTS <= t.last
	if t.sent && d.DTS <= t.last {
		d.DTS = t.last + 1
	}
	d.PTS = max(d.PTS, d.DTS)
	if guessed {
		s.out.stats.DTSFallbacks.Add(1)
	}
	if t.breaks {
		d.Flags |= ingest.Discontinuity
	}
	t.sent, t.last, t.breaks = true, d.DTS, false
	s.deliver(d, now)
}

// jump begins to count anew in every track.
func (s *stream) jump() {
	s.out.stats.Discontinuities.Add(1)
	s.out.log.Warn("rtmp time jumped")
	for _, t := range s.tracks {
		t.steady, t.breaks = steady{}, true
	}
}

// deliver hands a sample on, or holds it until the tracks are known.
func (s *stream) deliver(d ingest.Sample, now time.Time) {
	if s.delivering {
		s.write(d, now)
		return
	}
	if len(s.held) == 0 {
		s.began = d.DTS
	}
	d.Data = bytes.Clone(d.Data)
	s.held, s.bytes = append(s.held, d), s.bytes+len(d.Data)
	if s.has(true) && s.has(false) || d.DTS-s.began >= holdFor || s.bytes > holdBytes {
		s.release(now)
	}
}

// has tells whether there are pictures, or sound.
func (s *stream) has(video bool) bool {
	return slices.ContainsFunc(s.tracks, func(t *track) bool { return t.codec.IsVideo() == video })
}

func (s *stream) release(now time.Time) {
	s.delivering = true
	s.setProgram()
	for _, d := range s.held {
		s.write(d, now)
	}
	s.held, s.bytes = nil, 0
}

func (s *stream) write(d ingest.Sample, now time.Time) {
	if !s.has(true) {
		d.Flags |= ingest.RandomAccess
	}
	s.out.begun, s.out.next = true, max(s.out.next, d.DTS+1)
	s.out.stats.Samples.Add(1)
	s.out.stats.LastSample.Store(now.UnixNano())
	s.out.sink.WriteSample(d)
}

// close delivers what is held still: the publisher has left.
func (s *stream) close() {
	if !s.delivering && len(s.held) > 0 {
		s.release(time.Now())
	}
}

func (s *stream) complain(t *track, err error, now time.Time) {
	s.out.stats.SetError(fmt.Errorf("rtmp: %s: %w", t.codec, err))
	if n, ok := s.trouble.Pass(1, now); ok {
		s.out.log.Warn("rtmp media not understood", "track", t.id, "codec", t.codec, "units", n, "reason", err)
	}
}
