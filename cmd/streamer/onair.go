package main

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/player"
	"tailcast/segmenter"
)

// probeTime is how much media is looked at before the first block is signed: the number of stripes is fixed for the epoch and
// follows from the bit rate. It delays going on air, once; nothing after that.
const (
	probeTime    = ingest.ClockRate / 2
	probeWait    = 3 * ingest.ClockRate // of another track, without the lead: tracks of a multiplex come up to a second apart
	probeBytes   = 8 << 20
	probeSamples = 1 << 14
)

// onAir is the Sink at the end of a rendition's ingest: it looks at the first half second, says in the catalog what there is to watch, and from
// then on puts samples through the segmenter into the feed.
//
//	probing → airing
type onAir struct {
	log    *slog.Logger
	outlet *outlet      // has its own lock: the segmenter's timer emits too
	timing *timing      // nil: alone on the channel, whose clock is its own
	assume func() int64 // the least bit rate to plan for, whatever comes first; nil: none

	mu      sync.Mutex // held by all methods
	program *ingest.Program
	held    []ingest.Sample // while probing; copies
	probe   probe           // of those held
	state   feed.Rendition
	kinds   []string             // the codecs of the program, as we call them
	cutter  *segmenter.Segmenter // nil while probing
	said    notice               // what the catalog was told, at saidAt
	saidAt  time.Time
	behind  bool // there is more to say, but it is too early
}

func (a *onAir) SetProgram(p *ingest.Program) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.program = p
	if a.timing != nil {
		a.timing.setProgram(p)
	}
	if a.cutter == nil {
		return
	}
	a.cutter.SetProgram(p)
	before := a.state
	a.describe()
	a.announce(!slices.Equal(before.Codecs, a.state.Codecs) || before.Width != a.state.Width || before.Height != a.state.Height)
}

func (a *onAir) WriteSample(s ingest.Sample) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.program == nil {
		return
	}
	if a.timing != nil {
		a.timing.observe(&s)
	}
	if a.cutter != nil {
		a.air(s)
		if a.behind {
			a.announce(false)
		}
		return
	}
	s.Data = bytes.Clone(s.Data)
	a.held = append(a.held, s)
	a.probe.add(&s)
	if a.probe.done(a.program) {
		a.start()
	}
}

// A probe measures the bit rate of what comes first, by the times of one track: those of two tracks that come together may be a second apart.
type probe struct {
	bytes, samples int
	lanes          [ingest.MaxTracks]probeLane
}

// probeLane is one track, since it came first or its clock jumped.
type probeLane struct {
	used        bool
	begin, last int64 // DTS
	before      int   // bytes that came sooner, of all tracks
}

func (l *probeLane) passed() int64 { return l.last - l.begin }

func (p *probe) add(s *ingest.Sample) {
	l := &p.lanes[s.Track%ingest.MaxTracks]
	step := s.DTS - l.last
	if !l.used || step < 0 || step >= probeTime && s.Flags&ingest.Discontinuity != 0 {
		*l = probeLane{used: true, begin: s.DTS, before: p.bytes}
	}
	l.last = s.DTS
	p.bytes += len(s.Data)
	p.samples++
}

// lane is that of the program's lead, if half a second of it has come; else of the pictures or sound of which there is most.
func (p *probe) lane(program *ingest.Program) (longest *probeLane, enough bool) {
	longest = &probeLane{}
	if t := program.Lead(); t != nil {
		longest = &p.lanes[t.ID%ingest.MaxTracks]
	}
	if longest.passed() >= probeTime {
		return longest, true
	}
	for _, t := range program.Tracks {
		if l := &p.lanes[t.ID%ingest.MaxTracks]; t.Codec != ingest.Data && l.passed() > longest.passed() {
			longest = l
		}
	}
	return longest, longest.passed() >= probeWait // a lead that is listed and does not come is not waited for for ever
}

// done tells whether enough has come.
func (p *probe) done(program *ingest.Program) bool {
	_, enough := p.lane(program)
	return enough || p.bytes >= probeBytes || p.samples >= probeSamples
}

// rate is in bit/s; 0 if no time has passed.
func (p *probe) rate(program *ingest.Program) int64 {
	l, _ := p.lane(program)
	if l.passed() <= 0 {
		return 0
	}
	return int64(p.bytes-l.before) * 8 * ingest.ClockRate / l.passed()
}

// air puts a sample into the feed, on the channel's clock.
func (a *onAir) air(s ingest.Sample) {
	if a.timing != nil {
		a.timing.shift(&s)
	}
	a.cutter.WriteSample(s)
}

// start ends probing.
func (a *onAir) start() {
	rate := a.probe.rate(a.program)
	if a.assume != nil {
		rate = max(rate, a.assume())
	}
	a.state = feed.Rendition{Name: a.outlet.name, Codecs: a.state.Codecs, Stripes: stripes(rate), Bitrate: rate}
	a.describe()
	a.said, a.saidAt = a.notice(), time.Now()
	if err := a.outlet.begin(a.said); err != nil {
		a.log.Error("cannot go on air", "error", err)
		a.held, a.probe = nil, probe{} // tries again with what comes next
		return
	}
	a.newCutter()
	for _, s := range a.held {
		a.air(s)
	}
	a.held = nil
	a.log.Info("on air", "bitrate_bps", rate, "stripes", a.state.Stripes, "codecs", a.state.Codecs)
}

// describe says what the rendition is made of. What samples have told of a codec stays true while the program has the same ones.
func (a *onAir) describe() {
	before, kinds := a.state.Codecs, codecNames(a.program)
	codecs := player.CodecNames(a.program, a.held)
	codecs = codecs[:len(kinds)]
	for i := range codecs {
		if codecs[i] == kinds[i] && slices.Equal(kinds, a.kinds) && i < len(before) {
			codecs[i] = before[i]
		}
	}
	a.state.Codecs, a.kinds = codecs, kinds
	a.state.Width, a.state.Height = 0, 0
	for _, t := range a.program.Tracks {
		if t.Codec.IsVideo() {
			if max(t.Width, t.Height) <= feed.MaxPicture && min(t.Width, t.Height) >= 0 {
				a.state.Width, a.state.Height = t.Width, t.Height
			}
			break
		}
	}
}

func (a *onAir) newCutter() {
	a.cutter = segmenter.New(segmenter.Config{}, a.emit)
	a.cutter.SetProgram(a.program)
}

// stripes is how many a rendition of rate bit/s has: docs/swarm.md, the table of parameters.
func stripes(rate int64) int {
	switch {
	case rate < 400_000:
		return 1
	case rate < 3_500_000:
		return 8
	case rate < 16_000_000:
		return 16
	default:
		return 32
	}
}

// announce tells the catalog what is on, if that is news: at once if urgent, else when it is time.
func (a *onAir) announce(urgent bool) {
	now, next := time.Now(), a.notice()
	news := !reflect.DeepEqual(next, a.said)
	a.behind = news && !urgent && now.Sub(a.saidAt) < catalogEvery
	if !news || a.behind {
		return
	}
	a.saidAt = now
	if err := a.outlet.tell(next); err != nil {
		a.log.Error("cannot say in the catalog what is on", "error", err)
		a.behind = true // it may be taken later, as in the next epoch
		return
	}
	a.said = next
}

// fit makes a text from outside fit for the catalog: valid UTF-8 of at most so many bytes.
func fit(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

func (a *onAir) emit(b segmenter.Block) error {
	err := a.outlet.append(feed.Entry{Kind: feed.Media, Flags: flags(b), DTS: b.DTS, Duration: b.Duration, Payload: b.Payload})
	if err != nil && !errors.Is(err, feed.ErrEnded) { // an epoch that has ended; the writer says why
		a.log.Error("block lost", "error", err)
	}
	return err
}

func flags(b segmenter.Block) (f feed.Flags) {
	for _, m := range []struct {
		set  bool
		flag feed.Flags
	}{
		{b.SegmentFirst, feed.SegmentFirst},
		{b.RandomAccess, feed.RandomAccess},
		{b.Discontinuity, feed.Discontinuity},
		{b.Damaged, feed.Damaged},
	} {
		if m.set {
			f |= m.flag
		}
	}
	return f
}

// restart goes over to the newest epoch now, with a new segment.
func (a *onAir) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cutter != nil {
		_ = a.cutter.Close() // what it still holds goes into the epoch before
		defer a.newCutter()
	}
	_ = a.outlet.force() // desk.move is told
}

// Close airs what is still held: a programme may be shorter than the probe.
func (a *onAir) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cutter == nil && len(a.held) > 0 {
		a.start()
	}
	if a.cutter == nil {
		return nil
	}
	if err := a.cutter.Close(); !errors.Is(err, feed.ErrEnded) {
		return err
	}
	return nil // an epoch ended before the next began, as a condemned one does; the writer has said why
}

// codecNames lists the codecs of what can be seen or heard, data tracks left out.
func codecNames(p *ingest.Program) []string {
	names := []string{}
	for _, t := range p.Tracks {
		if t.Codec != ingest.Data && len(names) < feed.MaxCodecs {
			names = append(names, string(t.Codec))
		}
	}
	return names
}
