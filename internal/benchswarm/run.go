package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// settle is how long after the window children may still be measured: until its last block is judged.
const settle = onTime + 500*time.Millisecond

// once makes one run of a row and returns its figures. Without sharing everybody takes everything from the streamer, which has as many
// places as there are viewers.
func (o *options) once(ctx context.Context, r row, sharing bool) (outcome, error) {
	s := spec{Stream: r.stream, Viewers: r.viewers, NoShare: !sharing}
	if !sharing {
		s.Copies = r.viewers
	}
	m, err := o.swarm(ctx, s)
	if err != nil {
		return outcome{}, err
	}
	if o.verbose {
		m.print(os.Stderr)
	}
	return m.outcome(), nil
}

// A measurement is what one run brought.
type measurement struct {
	spec     spec
	window   window
	load     load // of the machine, during the window
	streamer report
	viewers  []report
}

// swarm runs a streamer and viewers, until the window has been measured.
func (o *options) swarm(ctx context.Context, s spec) (m measurement, err error) {
	if s.Dir, err = os.MkdirTemp("", "benchswarm-"); err != nil {
		return m, err
	}
	defer os.RemoveAll(s.Dir)
	var children sync.WaitGroup
	defer children.Wait()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.Profile = o.profile(s, "streamer")
	streamer, err := launch(ctx, "streamer", s)
	if err != nil {
		return m, err
	}
	var up ready
	err = streamer.out.Decode(&up)
	children.Go(func() { streamer.await(end) })
	if err != nil {
		return m, fmt.Errorf("the streamer does not start: %w", err)
	}
	s.Link, s.Begin, s.Every, s.Join = up.Link, up.Begin, o.join, time.Now().Add(time.Second)
	from := s.Join.Add(time.Duration(s.Viewers) * s.Every).Add(o.warm)
	m = measurement{spec: s, window: window{from, from.Add(o.window)}}
	viewers, err := o.launchViewers(ctx, &m, func(p *process) { children.Go(func() { p.await(end) }) })
	if err := errors.Join(err, streamer.send(m.window)); err != nil {
		return m, err
	}
	if err := m.wait(ctx); err != nil {
		return m, err
	}
	return m, m.collect(streamer, viewers)
}

// launchViewers starts as many processes as it takes, and tells started of each.
func (o *options) launchViewers(ctx context.Context, m *measurement, started func(*process)) (list []*process, err error) {
	for first := 0; first < m.spec.Viewers; first += o.each {
		s := m.spec
		s.Viewers = min(o.each, m.spec.Viewers-first)
		s.Join = s.Join.Add(time.Duration(first) * s.Every)
		s.Profile = o.profile(m.spec, fmt.Sprintf("viewers%d", first/o.each))
		p, err := launch(ctx, "viewers", s)
		if err != nil {
			return nil, err
		}
		started(p)
		list = append(list, p)
		if err := p.send(m.window); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// wait waits for the end of the window and what follows from it, and measures how busy the machine is meanwhile. If ctx ends before, as it does
// when a child dies, it returns why.
func (m *measurement) wait(ctx context.Context) error {
	sleep(ctx, m.window.From)
	before := readLoad()
	sleep(ctx, m.window.To)
	m.load = readLoad().since(before)
	sleep(ctx, m.window.To.Add(settle))
	return context.Cause(ctx)
}

// collect ends all children, the streamer last.
func (m *measurement) collect(streamer *process, viewers []*process) (err error) {
	for _, p := range viewers {
		r, failed := p.report()
		m.viewers = append(m.viewers, r)
		err = errors.Join(err, failed)
	}
	r, failed := streamer.report()
	m.streamer = r
	return errors.Join(err, failed)
}

// profile returns how the names of a child's profiles begin; empty if there shall be none.
func (o *options) profile(s spec, who string) string {
	if o.cpuprofile == "" {
		return ""
	}
	how := "sharing"
	if s.NoShare {
		how = "direct"
	}
	name := fmt.Sprintf("%gM-%ds-%dv-%s-%s", float64(s.Stream.Rate)/1e6, s.Stream.Stripes, s.Viewers, how, who)
	return filepath.Join(o.cpuprofile, name)
}

// idleSession returns how much memory the streamer has for a session on which nothing flows but what both say of themselves, in KiB: what
// so many of them take, by their number.
func (o *options) idleSession(ctx context.Context) (float64, error) {
	quiet := newStream(4_000_000) // of a thinner one a streamer has fewer sessions
	var memory [2]float64
	for k, n := range []int{0, o.idle} {
		as := *o
		as.warm += time.Duration(o.idle-n) * o.join // as long a run, so that as much of the stream is in memory
		m, err := as.swarm(ctx, spec{Stream: quiet, Viewers: n, Idle: true})
		if err != nil {
			return 0, err
		}
		memory[k] = m.streamer.Memory
		if n > 0 {
			n = m.streamer.To.Nodes[0].Sessions
			return (memory[1] - memory[0]) / 1024 / float64(n), nil
		}
	}
	return 0, errors.New("-idle needs a number above 0")
}
