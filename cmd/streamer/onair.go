package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/segmenter"
)

// rendition is the name of the one log that a streamer writes.
const rendition = "main"

// probeTime is how much media is looked at before the first block is signed: the number of stripes is fixed for the epoch and
// follows from the bit rate. It delays going on air, once; nothing after that.
const (
	probeTime  = ingest.ClockRate / 2
	probeBytes = 8 << 20
)

// onAir is the Sink at the end of ingest: it looks at the first half second, says in the catalog what there is to watch, and from
// then on puts samples through the segmenter into the feed.
//
//	probing → airing
type onAir struct {
	title string
	log   *slog.Logger

	outlet outlet // has its own lock: the segmenter's timer emits too

	mu        sync.Mutex // held by all methods
	program   *ingest.Program
	held      []ingest.Sample // while probing; copies
	heldBytes int
	begin     int64 // DTS of the first sample of the track that came first
	state     feed.Rendition
	cutter    *segmenter.Segmenter // nil while probing
}

func (a *onAir) SetProgram(p *ingest.Program) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.program = p
	if a.cutter == nil {
		return
	}
	a.cutter.SetProgram(p)
	if codecs := codecNames(p); !slices.Equal(codecs, a.state.Codecs) {
		a.state.Codecs = codecs
		a.announce()
	}
}

func (a *onAir) WriteSample(s ingest.Sample) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cutter != nil {
		a.cutter.WriteSample(s)
		return
	}
	if a.program == nil {
		return
	}
	if len(a.held) == 0 {
		a.begin = s.DTS
	}
	s.Data = bytes.Clone(s.Data)
	a.held = append(a.held, s)
	a.heldBytes += len(s.Data)
	if passed := s.DTS - a.begin; passed >= probeTime || passed < -probeTime || a.heldBytes >= probeBytes {
		a.start(passed)
	}
}

// start ends probing; passed is the media time that was looked at.
func (a *onAir) start(passed int64) {
	rate := int64(0)
	if passed > 0 {
		rate = int64(a.heldBytes) * 8 * ingest.ClockRate / passed
	}
	a.state = feed.Rendition{Name: rendition, Codecs: codecNames(a.program), Stripes: stripes(rate), Bitrate: rate}
	if err := a.open(); err != nil {
		a.log.Error("cannot go on air", "error", err)
		return
	}
	for _, s := range a.held {
		a.cutter.WriteSample(s)
	}
	a.held = nil
	a.log.Info("on air", "bitrate_bps", rate, "stripes", a.state.Stripes, "codecs", a.state.Codecs)
}

// open begins the rendition's log.
func (a *onAir) open() error {
	if err := a.outlet.begin(a.catalog()); err != nil {
		return err
	}
	a.newCutter()
	return nil
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

func (a *onAir) announce() {
	if err := a.outlet.tell(a.catalog()); err != nil {
		a.log.Error("cannot say in the catalog what is on", "error", err)
	}
}

func (a *onAir) catalog() feed.State {
	return feed.State{Title: fit(cmp.Or(a.title, a.program.Name), feed.MaxTitle), Renditions: []feed.Rendition{a.state}}
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

// move goes on in the epoch that next opens, from where the next segment begins; at once, if nothing comes that could begin one. It
// returns the new epoch's writer.
func (a *onAir) move(ctx context.Context, next opens) (*feed.Writer, error) {
	moved := a.outlet.want(next)
	tick := time.NewTicker(lull / 4)
	defer tick.Stop()
	for {
		select {
		case err := <-moved:
			return a.outlet.current(), err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
			if a.outlet.silent(lull) {
				a.restart()
			}
		}
	}
}

// lull is how long nothing comes before an epoch is changed in the middle of a segment.
const lull = time.Second

// restart moves to the epoch that is wanted now, with a new segment.
func (a *onAir) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cutter != nil {
		_ = a.cutter.Close() // what it still holds goes into the epoch before
		defer a.newCutter()
	}
	_ = a.outlet.force() // move is told
}

// Close airs what is still held: a programme may be shorter than the probe.
func (a *onAir) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cutter == nil && len(a.held) > 0 {
		a.start(a.held[len(a.held)-1].DTS - a.begin)
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
