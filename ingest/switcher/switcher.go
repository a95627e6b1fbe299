// Package switcher is a broadcaster's master switch: it takes several inputs in order of preference and delivers one program that goes on.
//
//	primary ──▶ lane ─┐
//	backup  ──▶ lane ─┼─ switcher ──▶ Sink     one clock, no time that goes back
//	slate   ──▶ lane ─┘
//
// Each input runs all the time, in goroutines of its own, into a lane: a queue of a bounded size. The input on air is handed on from there;
// the others are kept warm, which is to say that a lane remembers the newest group of pictures and a little more. When the input on
// air says nothing for a second, or its pictures stop though sound goes on, the next one takes over at a picture where decoding can
// start; when a better one has been well for some seconds, it returns at its next keyframe. The slate is run only while there is nothing else.
// An input of which a part alone stops, sound as a rule, is replaced too, by one that has it (see parts).
//
// One shift is added to all times of an input, so that they go on where the program's clock is (see timeline), and sound and picture keep
// their distance to the tick. The clock is real time as the input on air tells it: delays, jitter and the system's clock do not move it.
//
// An input that fails, panics, floods or stands still costs only itself. A Sink that is busy never holds up an input for long: samples
// are dropped then, up to the next keyframe, and counted.
package switcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tailcast/ingest"
)

// Input is one way in.
type Input struct {
	Name   string // for people; unique
	Source ingest.Source
	// Slate is shown while no other input delivers; it is run only then. It should be a recording that loops.
	Slate bool
}

// Config says what to switch and when. Times that are zero have the value named.
type Config struct {
	Inputs []Input // in order of preference, a slate last. With a single one nothing is switched, and its end is the end.

	Stall  time.Duration // without a picture (or sound, if there are none), after which an input is down. If zero, 1 s.
	Return time.Duration // for which a better input must have been well before it is taken back. If zero, 5 s.
	Grace  time.Duration // at the start, for which a better input is waited for. If zero, 2 s.
	Logger *slog.Logger  // If nil, silent.
}

const (
	tick      = 50 * time.Millisecond // how often silence is looked for
	leave     = 5 * time.Second       // what sources get to end in; one that does not is left behind
	flapping  = time.Minute           // a return that lasts so long was right
	maxReturn = 2 * time.Minute       // the longest that an input which fails again and again has to wait
)

// Switcher is an ingest.Source made of several. Make it with New.
type Switcher struct {
	cfg   Config
	log   *slog.Logger
	start time.Time
	lanes []*lane
	lone  bool
	woken chan struct{} // a lane has something

	desk   desk      // owned by Run
	looked time.Time // when Run last looked for tracks that have stopped

	mu       sync.Mutex // guards all below
	on       int        // on air, or -1
	switches uint64
}

// New makes a Switcher of at least one input.
func New(cfg Config) *Switcher {
	cfg.Stall = cmp.Or(cfg.Stall, time.Second)
	cfg.Return = cmp.Or(cfg.Return, 5*time.Second)
	cfg.Grace = cmp.Or(cfg.Grace, 2*time.Second)
	s := &Switcher{cfg: cfg, log: cfg.Logger, start: time.Now(), lone: len(cfg.Inputs) == 1, woken: make(chan struct{}, 1), on: -1}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, in := range cfg.Inputs {
		s.lanes = append(s.lanes, &lane{
			name: in.Name, slate: in.Slate, stall: cfg.Stall, start: s.start, wake: s.wake, air: s.lone, demand: make(chan context.Context, 1), room: make(chan struct{}, 1),
		})
	}
	return s
}

func (s *Switcher) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Run implements ingest.Source. It ends when all inputs but the slate have ended for good; a single input's error is returned.
func (s *Switcher) Run(ctx context.Context, sink ingest.Sink) error {
	running, stop := context.WithCancel(ctx)
	var feeders sync.WaitGroup
	for i, l := range s.lanes {
		feeders.Go(func() { s.feed(running, l, s.cfg.Inputs[i].Source) })
	}
	s.desk = desk{sink: sink}
	err := s.loop(running)
	stop()
	ended := make(chan struct{})
	go func() { feeders.Wait(); close(ended) }()
	select {
	case <-ended:
		s.last()
	case <-time.After(leave):
		s.log.Error("an input does not end, it is left behind")
	}
	return err
}

// last hands on what came while the inputs ended.
func (s *Switcher) last() {
	if s.on < 0 && s.lone {
		s.take(0, time.Now())
	}
	if s.on >= 0 {
		s.desk.deliver(s.lanes[s.on])
	}
}

// loop is the master switch's hand.
func (s *Switcher) loop(ctx context.Context) error {
	var look <-chan time.Time
	if !s.lone {
		t := time.NewTicker(tick)
		defer t.Stop()
		look = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.woken:
		case <-look:
		}
		over, err := s.over() // before what is there is handed on: after the end nothing comes
		s.step(ctx, time.Now())
		if over {
			return err
		}
	}
}

// step hands on what has come, and switches if that is due. Handing on comes first: what has come is known to be good.
func (s *Switcher) step(ctx context.Context, now time.Time) {
	if s.on >= 0 {
		s.desk.deliver(s.lanes[s.on])
	}
	if next := s.choose(now); next >= 0 && next != s.on && ctx.Err() == nil { // that inputs end with ctx is no reason to switch
		s.take(next, now)
	}
	s.call(ctx, now)
	s.tell(now)
}

// tell logs what of an input stops while the rest goes on, and when it comes again.
func (s *Switcher) tell(now time.Time) {
	if now.Sub(s.looked) < time.Second {
		return
	}
	s.looked = now
	for _, l := range s.lanes {
		names := l.missed()
		switch said := lost(names); {
		case said == l.said:
			continue
		case said != "":
			s.log.Warn("a part of the input has stopped, the rest goes on", "input", l.name, "stopped", names)
		default:
			s.log.Info("all parts of the input come again", "input", l.name)
		}
		l.said = lost(names)
	}
}

// over tells whether no input will deliver again, and why.
func (s *Switcher) over() (over bool, err error) {
	for _, l := range s.lanes {
		ended, e := l.over()
		if l.slate && !s.lone {
			continue
		}
		if !ended {
			return false, nil
		}
		err = errors.Join(err, e)
	}
	return true, err
}

// take puts lane i on air, if it has where to begin.
func (s *Switcher) take(i int, now time.Time) {
	l, from, why, urgent := s.lanes[i], "", "it is the first that delivers", true
	if s.on >= 0 {
		old := s.lanes[s.on]
		from, urgent = old.name, old.slate || !old.alive(now)
		why = cmp.Or(old.condition(now), fmt.Sprintf("it has been well for %v", l.well(now).Round(time.Second/10)))
	}
	begins, ok := s.desk.enter(l, s.lone, urgent)
	if !ok {
		return
	}
	if s.on >= 0 {
		s.release(s.lanes[s.on], i, now)
	}
	l.since, l.returning = now, s.on > i || !urgent
	s.mu.Lock()
	if s.on >= 0 {
		s.switches++
	}
	s.on = i
	s.mu.Unlock()
	if !s.lone {
		s.log.Info("input on air", "input", l.name, "instead_of", from, "because", why)
	}
	s.desk.deliverAll(begins)
}

// release takes a lane off the air. One that had just returned and failed again has to be well for longer the next time.
func (s *Switcher) release(old *lane, next int, now time.Time) {
	old.rest()
	if next < s.on && len(old.missed()) == 0 {
		return // it was good enough
	}
	lasted := now.Sub(old.since)
	if old.alive(now) {
		lasted -= quiet // so long ago a part of it stopped
	}
	switch {
	case lasted >= flapping:
		old.penalty = 0
	case old.returning && lasted < s.hold(old):
		old.penalty = min(old.penalty+1, 6)
	}
}

// hold is for how long l must have been well before it replaces what is on air though that is well too.
func (s *Switcher) hold(l *lane) time.Duration {
	base := s.cfg.Return
	if s.on >= 0 && s.lanes[s.on].slate {
		base = min(base, time.Second) // whatever it is, it is better than a slate
	}
	return min(base<<l.penalty, max(maxReturn, s.cfg.Return))
}

// choose says which lane should be on air; -1: none yet.
func (s *Switcher) choose(now time.Time) int {
	if s.lone {
		return 0
	}
	if s.on >= 0 && s.lanes[s.on].alive(now) {
		for i, l := range s.lanes[:s.on] {
			if !l.alive(now) || s.lanes[s.on].suffices(l, now) {
				continue
			}
			rest := s.hold(l) - l.well(now)
			if rest <= 0 {
				return i
			}
			s.desk.prepare(l, rest)
		}
		for i, l := range s.lanes {
			if l.relieves(s.lanes[s.on], now) && l.well(now) >= s.hold(l) {
				return i
			}
		}
		return s.on
	}
	for i, l := range s.lanes {
		if !l.slate && l.alive(now) && l.well(now) >= s.hold(l) {
			return i
		}
	}
	for i, l := range s.lanes {
		if l.alive(now) && (i == 0 || s.on >= 0 || now.Sub(s.start) >= s.cfg.Grace) {
			return i
		}
	}
	return s.on
}

// call runs the slate while no input is alive, and until another is on air.
func (s *Switcher) call(ctx context.Context, now time.Time) {
	needed := now.Sub(s.start) >= s.cfg.Grace || s.on >= 0
	for i, l := range s.lanes {
		if !l.slate {
			needed = needed && !l.alive(now)
			continue
		}
		switch {
		case (needed || s.on == i) && !s.lone:
			l.call(ctx)
		default:
			l.dismiss()
		}
		needed = false // one slate is enough
	}
}
