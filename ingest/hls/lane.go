package hls

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"tailcast/ingest"
)

// lane is what comes of one playlist, taken apart and waiting for its turn. It is the Sink of its demuxer.
type lane struct {
	pull     *Pull
	follower *follower
	kind     container
	demuxer  demuxer
	era      era
	begun    bool
	pending  *piece // of an era that is not yet on
	ended    bool
	absent   bool // it did not deliver in time, and is not waited for

	queue   []event
	newest  *ingest.Program // that came
	program *ingest.Program // newest that has left the queue
	ids     map[uint8]uint8 // of tracks, in the whole program
	wrap    int64           // added to all times, so that the clocks of two playlists are of one round of 33 bits
	wrapped bool            // wrap is known

	// Wall clock: the sample of time at was captured at wall.
	wall time.Time
	at   int64
}

// event is a sample, or a program.
type event struct {
	program *ingest.Program
	sample  ingest.Sample
}

func newLane(p *Pull, f *follower) *lane {
	return &lane{pull: p, follower: f, ids: make(map[uint8]uint8)}
}

// SetProgram implements ingest.Sink.
func (l *lane) SetProgram(p *ingest.Program) {
	l.newest = p
	l.queue = append(l.queue, event{program: p})
}

// WriteSample implements ingest.Sink.
func (l *lane) WriteSample(s ingest.Sample) {
	s.Data = bytes.Clone(s.Data)
	l.queue = append(l.queue, event{sample: s})
}

// errLate is that a piece did not come within the time that is waited.
var errLate = errors.New("nothing came in time")

// receive takes the next piece; within 0 it does not wait for it, and below 0 it waits as long as it takes. Nil is the end.
func (l *lane) receive(ctx context.Context, within time.Duration) (*piece, error) {
	if p := l.pending; p != nil {
		l.pending = nil
		return p, nil
	}
	var late <-chan time.Time
	if within >= 0 {
		timer := time.NewTimer(within)
		defer timer.Stop()
		late = timer.C
	}
	select { // what is there goes before what is late
	case p, ok := <-l.follower.out:
		return l.got(p, ok), nil
	default:
	}
	select {
	case p, ok := <-l.follower.out:
		return l.got(p, ok), nil
	case <-late:
		return nil, errLate
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lane) got(p piece, ok bool) *piece {
	if l.ended = !ok; l.ended {
		return nil
	}
	return &p
}

// feed takes p apart.
func (l *lane) feed(p *piece) {
	if l.begun && p.era != l.era && l.demuxer != nil {
		l.demuxer.restart()
		l.wrapped, l.wall = false, time.Time{}
	}
	l.begun, l.era = true, p.era
	from := len(l.queue)
	before := l.newest
	if err := l.demux(p); err != nil {
		l.pull.stats.LostSegments.Add(1)
		l.pull.trouble("segment cannot be used", l.follower.stream.name, err)
	}
	l.date(p, before, l.queue[from:])
}

func (l *lane) demux(p *piece) (err error) {
	if len(p.data) == 0 {
		return errors.New("the segment is empty")
	}
	kind := containerOf(p.data)
	if kind == unknown && l.demuxer != nil && !p.whole {
		kind = l.kind // parts of TS may begin anywhere
	}
	if l.demuxer == nil || kind != l.kind {
		d, err := newDemuxer(l.pull, kind, l)
		if err != nil {
			return err
		}
		l.kind, l.demuxer = kind, d
	}
	return l.demuxer.write(*p)
}

// date gives each sample the time of day that the playlist says of the beginning of p (RFC 8216, 4.3.2.6): of its first picture, or its first sound.
func (l *lane) date(p *piece, program *ingest.Program, events []event) {
	if i := firstPicture(program, events); i >= 0 && !p.date.IsZero() && (p.dated || l.wall.IsZero()) {
		l.wall, l.at = p.date, events[i].sample.PTS
	}
	for i := range events {
		if e := &events[i]; e.program == nil && !l.wall.IsZero() {
			e.sample.Wall = l.wall.Add(span(e.sample.PTS - l.at))
		}
	}
}

// firstPicture is the index of the first picture, or else of the first sound; -1 if there is none.
func firstPicture(program *ingest.Program, events []event) int {
	first := -1
	for i, e := range events {
		if e.program != nil {
			program = e.program
			continue
		}
		if first < 0 {
			first = i
		}
		if k := slices.IndexFunc(program.Tracks, func(t ingest.Track) bool { return t.ID == e.sample.Track }); k >= 0 && program.Tracks[k].Codec.IsVideo() {
			first = i
			break
		}
	}
	return first
}

// head is the next sample; programs in front of it have been taken.
func (l *lane) head() *ingest.Sample {
	if len(l.queue) == 0 {
		return nil
	}
	return &l.queue[0].sample
}

func (l *lane) pop() (e event) {
	e = l.queue[0]
	l.queue[0] = event{}
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return e
}

// near shifts the clock of the lane by whole rounds of 33 bits, so that its next sample is near to a time.
func (l *lane) near(to int64) {
	const round = 1 << 33
	if s := l.head(); s != nil && !l.wrapped {
		n := (to - s.DTS + round/2) / round
		if (to-s.DTS+round/2)%round < 0 {
			n--
		}
		l.wrapped, l.wrap = true, n*round
	}
}

func ticks(d time.Duration) int64 { return int64(d.Seconds() * ingest.ClockRate) }

func span(ticks int64) time.Duration {
	return time.Duration(ticks/ingest.ClockRate)*time.Second + time.Duration(ticks%ingest.ClockRate)*time.Second/ingest.ClockRate
}
