package switcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
)

// encoder is a Source on demand: 25 pictures and 50 frames of sound a second on a clock of its own.
type encoder struct {
	name   string
	origin int64         // of its clock, in 90 kHz
	gop    int           // pictures; if zero, 25
	ppm    float64       // by how many millionths its clock is fast
	jitter time.Duration // of arrivals, at most
	tracks func(p *ingest.Program)
	lag    int64 // how much earlier the sound's times are than the picture's

	mu     sync.Mutex
	off    bool  // nothing is delivered
	mute   bool  // no pictures
	deaf   bool  // no sound
	crash  error // returned by the next sample
	panics bool
	stands bool // blocks until its context ends
	jump   int64
	runs   int
	ends   int // samples after which it ends for good; 0: never
}

func (e *encoder) set(f func(e *encoder)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(e)
}

func (e *encoder) ran() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs
}

func (e *encoder) program() *ingest.Program {
	p := &ingest.Program{Number: 1, Name: e.name, Tracks: []ingest.Track{
		{ID: 0, Codec: ingest.H264, PID: 256, Width: 1280, Height: 720, Config: []byte(e.name)}, {ID: 1, Codec: ingest.AAC, PID: 257, SampleRate: 48000},
	}}
	if e.tracks != nil {
		e.tracks(p)
	}
	return p
}

// Run delivers picture n at n/25 s of its clock, and two frames of sound beside it.
func (e *encoder) Run(ctx context.Context, sink ingest.Sink) error {
	gop, rng := e.gop, rand.New(rand.NewPCG(1, uint64(len(e.name))))
	if gop == 0 {
		gop = 25
	}
	e.set(func(e *encoder) { e.runs++ })
	begin, announced, n, late := time.Now(), false, 0, time.Duration(0)
	for ; ; n++ {
		due := time.Duration(float64(n) * float64(40*time.Millisecond) / (1 + e.ppm/1e6))
		late = max(late-40*time.Millisecond, time.Duration(rng.Int64N(int64(e.jitter)+1))) // what comes late does not overtake
		if !ingest.Sleep(ctx, time.Until(begin.Add(due+late))) {
			return ctx.Err()
		}
		e.mu.Lock()
		off, mute, deaf, crash, panics, stands, jump := e.off, e.mute, e.deaf, e.crash, e.panics, e.stands, e.jump
		e.crash, e.panics, e.jump = nil, false, 0
		e.origin += jump
		origin := e.origin
		e.mu.Unlock()
		switch {
		case panics:
			panic("index out of range")
		case stands:
			<-ctx.Done()
			return ctx.Err()
		case crash != nil:
			return crash
		case e.ends > 0 && n >= e.ends:
			return nil
		case off:
			announced = false // who comes back says what it is, and begins with a keyframe
			continue
		}
		if !announced {
			sink.SetProgram(e.program())
		}
		e.deliver(sink, origin+int64(n)*3600, n, n%gop == 0 || !announced, mute, deaf, jump != 0)
		announced = true
	}
}

func (e *encoder) deliver(sink ingest.Sink, dts int64, n int, key, mute, deaf, jumped bool) {
	flags := ingest.Flags(0)
	if jumped {
		flags = ingest.Discontinuity
	}
	if !mute {
		v := ingest.Sample{Track: 0, Flags: flags, DTS: dts, PTS: dts + 7200, Data: []byte(fmt.Sprintf("%s picture %d", e.name, n))}
		if key {
			v.Flags |= ingest.RandomAccess
		}
		sink.WriteSample(v)
	}
	for i := range int64(2) {
		if deaf {
			return
		}
		at := dts - e.lag + i*1800
		sink.WriteSample(ingest.Sample{Track: 1, Flags: flags, DTS: at, PTS: at, Data: []byte(fmt.Sprintf("%s sound %d %d", e.name, n, i))})
		flags = 0
	}
}

// screen is a Sink that checks what every viewer relies on, and notes what it saw.
type screen struct {
	t     testing.TB
	block chan struct{} // if not nil, samples wait until it is closed

	mu      sync.Mutex
	program *ingest.Program
	last    [ingest.MaxTracks]int64
	seen    [ingest.MaxTracks]bool
	top     int64 // PTS of pictures
	waits   bool  // for a keyframe, after a program began
	shown   []frame
	sounds  []frame
	names   []string // of programs, one after the other
}

type frame struct {
	at       time.Time
	dts      int64
	from     string
	n        int
	break_   bool
	walltime time.Time
}

func (s *screen) SetProgram(p *ingest.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.program == nil || s.program.Name != p.Name {
		s.names, s.waits = append(s.names, p.Name), true
	}
	s.program = p
	p.Tracks[0].Config = nil // it is ours
}

func (s *screen) WriteSample(m ingest.Sample) {
	if s.block != nil {
		<-s.block
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := frame{at: time.Now(), dts: m.DTS, break_: m.Flags&ingest.Discontinuity != 0, walltime: m.Wall}
	var what string
	if _, err := fmt.Sscanf(string(m.Data), "%s %s %d", &f.from, &what, &f.n); err != nil {
		s.t.Fatalf("unknown sample %q", m.Data)
	}
	if s.program == nil || f.from != s.program.Name {
		s.t.Errorf("a sample of %s under the program of %v", f.from, s.program)
	}
	if s.seen[m.Track] && m.DTS < s.last[m.Track] {
		s.t.Errorf("time goes back on track %d: %d after %d (%s)", m.Track, m.DTS, s.last[m.Track], m.Data)
	}
	s.seen[m.Track], s.last[m.Track] = true, m.DTS
	if m.Track != 0 {
		s.sounds = append(s.sounds, f)
		return
	}
	if m.PTS <= s.top && s.top != 0 {
		s.t.Errorf("a picture is shown at %d after one at %d (%s)", m.PTS, s.top, m.Data)
	}
	if s.waits && m.Flags&ingest.RandomAccess == 0 {
		s.t.Errorf("%s begins with a picture that cannot be decoded", f.from)
	}
	s.waits, s.top = false, m.PTS
	s.shown = append(s.shown, f)
}

// now is who was last seen, and how long ago.
func (s *screen) now() (from string, ago time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.shown) == 0 {
		return "", 0
	}
	f := s.shown[len(s.shown)-1]
	return f.from, time.Since(f.at)
}

func (s *screen) programs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// holes are the longest times without a picture, on the wall and on the program's clock.
func (s *screen) holes() (wall time.Duration, media int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.shown[1:] {
		a, b := s.shown[i], s.shown[i+1]
		wall, media = max(wall, b.at.Sub(a.at)), max(media, b.dts-a.dts)
	}
	return wall, media
}

// synced checks that sound n is lag before picture n, whoever they are of: offsets are kept to the tick.
func (s *screen) synced(lags map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type id struct {
		from string
		n    int
	}
	pictures, twice := map[id]int64{}, map[id]bool{}
	for _, f := range s.shown {
		k := id{f.from, f.n}
		_, twice[k] = pictures[k] // who was run again counts anew
		pictures[k] = f.dts
	}
	checked := 0
	for i, f := range s.sounds {
		if i > 0 && s.sounds[i-1].n == f.n && s.sounds[i-1].from == f.from {
			continue // the second of two
		}
		if at, ok := pictures[id{f.from, f.n}]; ok && !twice[id{f.from, f.n}] && i > 0 && i < len(s.sounds)-1 && s.sounds[i+1].n == f.n {
			checked++
			if got := at - f.dts; got != lags[f.from] {
				s.t.Fatalf("%s: sound %d is %d ticks before its picture, want %d", f.from, f.n, got, lags[f.from])
			}
		}
	}
	if checked < len(s.shown)/2 {
		s.t.Errorf("only %d of %d pictures had sound to compare with", checked, len(s.shown))
	}
}

// run starts a Switcher; the function it returns ends it.
func run(t testing.TB, cfg Config, sink ingest.Sink) (*Switcher, func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := New(cfg)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sink) }()
	return s, func() error {
		cancel()
		return <-done
	}
}

var errCable = errors.New("somebody pulled the cable")
