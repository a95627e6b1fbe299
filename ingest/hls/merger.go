package hls

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"tailcast/ingest"
	"tailcast/internal/pace"
)

// How long the pictures wait for a sound that has a playlist of its own, at the beginning and later.
const (
	firstPatience = 5 * time.Second
	patience      = time.Second
	early         = ingest.ClockRate / 2 // sound that comes before the first picture by more is dropped
)

// merger makes one program of all lanes: the earliest sample goes first. The first lane, of the pictures, says which era is on.
type merger struct {
	pull  *Pull
	pacer *pace.Pacer
	join  *pace.Joiner
	lanes []*lane
	era   era
	on    bool  // era is valid
	first int64 // time of the first picture of the era
	timed bool  // first is known
	until int64 // when the last picture of the first lane, as far as delivered, is over
	last  int64 // its decoding time
	took  bool  // the last round took some time

	ahead time.Duration // that the playlist was, of what was aired first; the pace keeps it so
	known bool          // ahead is valid
	speed float64
}

// run merges until the first lane ends.
func (m *merger) run(ctx context.Context, lanes []*lane) error {
	m.lanes, m.on, m.known, m.speed = lanes, false, false, 1
	m.pacer.SetSpeed(1)
	m.join.Next()
	for {
		more, err := m.fill(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		m.programs()
		if l := m.earliest(); l != nil {
			m.deliver(l)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	m.rest(math.MaxInt64)
	m.took = m.join.Took()
	return nil
}

// fill sees to it that every lane has something to show, as far as that is to be had. More is false at the end.
func (m *merger) fill(ctx context.Context) (more bool, err error) {
	main := m.lanes[0]
	for len(main.queue) == 0 {
		p, err := main.receive(ctx, -1)
		if err != nil || p == nil {
			return false, err
		}
		m.turn(p.era)
		m.steer(p)
		main.feed(p)
	}
	for _, l := range m.lanes[1:] {
		if err := m.await(ctx, l); err != nil {
			return false, err
		}
	}
	return true, nil
}

// await gets something of a lane with sound.
func (m *merger) await(ctx context.Context, l *lane) error {
	for len(l.queue) == 0 && !l.ended {
		within := patience
		switch {
		case l.absent || l.pending != nil:
			within = 0
		case !l.begun:
			within = firstPatience
		}
		p, err := l.receive(ctx, within)
		switch {
		case errors.Is(err, errLate):
			if !l.absent {
				m.pull.trouble("sound is late, the pictures go on without it", l.follower.stream.name, err)
			}
			l.absent = true
			return nil
		case err != nil:
			return err
		case p == nil:
			return nil
		case m.era.before(p.era):
			l.pending = p
			return nil
		case p.era.before(m.era):
			continue
		}
		if l.absent {
			m.pull.log.Info("sound is back", "playlist", l.follower.stream.name)
		}
		l.absent = false
		l.feed(p)
	}
	return nil
}

// turn begins another era. Sound that goes on beyond the last picture of the one before is cut off there.
func (m *merger) turn(e era) {
	if m.on && e == m.era {
		return
	}
	if m.on {
		m.rest(m.until)
		m.join.Next()
		m.pull.log.Info("discontinuity", "playlist", m.lanes[0].follower.stream.name)
	}
	m.on, m.era, m.timed, m.until = true, e, false, math.MinInt64
}

// rest delivers what is left of the sound up to a time, and drops what is behind.
func (m *merger) rest(until int64) {
	m.programs()
	for _, l := range m.lanes[1:] {
		for ; len(l.queue) > 0; m.programs() {
			if l.near(m.last); l.head().DTS+l.wrap >= until {
				break
			}
			m.deliver(l)
		}
		for len(l.queue) > 0 {
			e := l.pop()
			if e.program == nil {
				m.leave(ingest.Overlap)
				continue
			}
			l.program = e.program
		}
	}
}

// programs takes the programs that are next in any lane, and tells the Sink.
func (m *merger) programs() {
	changed := false
	for _, l := range m.lanes {
		for len(l.queue) > 0 && l.queue[0].program != nil {
			l.program, changed = l.pop().program, true
		}
	}
	if changed && m.lanes[0].program != nil {
		m.join.SetProgram(m.program())
	}
}

// earliest is the lane whose sample is next.
func (m *merger) earliest() (next *lane) {
	main := m.lanes[0]
	if s := main.head(); s != nil {
		main.wrapped = true
		if !m.timed {
			m.timed, m.first = true, s.DTS
		}
		next = main
	}
	for _, l := range m.lanes[1:] {
		if l.head() == nil || main.program == nil || next == nil && !m.timed {
			continue
		}
		l.near(m.lastOr(m.first))
		if next == nil || l.head().DTS+l.wrap < next.head().DTS+next.wrap {
			next = l
		}
	}
	return next
}

func (m *merger) lastOr(first int64) int64 {
	if s := m.lanes[0].head(); s != nil {
		return s.DTS
	}
	return first
}

// deliver passes the next sample of a lane on.
func (m *merger) deliver(l *lane) {
	s := l.pop().sample
	s.DTS, s.PTS = s.DTS+l.wrap, s.PTS+l.wrap
	if l == m.lanes[0] {
		step := max(0, min(s.DTS-m.last, ingest.ClockRate))
		m.last, m.until = s.DTS, max(m.until, s.PTS+step)
	} else {
		if s.DTS < m.first-early {
			m.leave(ingest.Overlap)
			return
		}
		id, ok := l.ids[s.Track]
		if !ok {
			m.leave(ingest.Unlisted)
			return
		}
		s.Track = id
		if m.pictures() {
			s.Flags &^= ingest.RandomAccess // alone, decoding can begin at any sound; beside pictures, only at those
		}
	}
	m.join.WriteSample(s)
}

// leave counts a sample that is left out.
func (m *merger) leave(c ingest.Cause) { m.pull.stats.Leave(c) }

// pictures tells whether the first lane has any.
func (m *merger) pictures() bool {
	return slices.ContainsFunc(m.lanes[0].program.Tracks, func(t ingest.Track) bool { return t.Codec.IsVideo() })
}

// program is that of all lanes together: the tracks of the first as they are, those of others with numbers and PIDs of their own, and the languages
// that the master playlist says.
func (m *merger) program() *ingest.Program {
	p := *m.lanes[0].program
	p.Tracks = append([]ingest.Track(nil), p.Tracks...)
	ids, pids := make(map[uint8]bool), map[uint16]bool{p.PMTPID: true}
	for _, t := range p.Tracks {
		ids[t.ID], pids[t.PID] = true, true
	}
	for _, l := range m.lanes[1:] {
		if l.program == nil {
			continue
		}
		clear(l.ids)
		for _, t := range l.program.Tracks {
			own := t.ID
			t.ID = free(ids, ingest.MaxTracks-1)
			if ids[t.ID] {
				break // more than a program can have
			}
			if pids[t.PID] || t.PID == 0 {
				t.PID = free(pids, 0x1eff)
			}
			ids[t.ID], pids[t.PID], l.ids[own] = true, true, t.ID
			speak(&t, l.follower.stream.language)
			p.Tracks = append(p.Tracks, t)
		}
	}
	return &p
}

// free is the highest number from top down that is not taken; 0 if all are.
func free[N uint8 | uint16](taken map[N]bool, top N) N {
	for n := top; n > 0; n-- {
		if !taken[n] {
			return n
		}
	}
	return 0
}

// speak gives a track a language, in the way of MPEG-TS (ISO 639 language descriptor), unless it has one.
func speak(t *ingest.Track, language string) {
	const tag, undetermined = 0x0a, "und"
	if t.Language != "" && t.Language != undetermined || language == "" {
		return
	}
	t.Language = language
	all := append(append([]byte{tag, 4}, language...), 0)
	for b := t.Descriptors; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if b[0] != tag {
			all = append(all, b[:2+int(b[1])]...)
		}
	}
	t.Descriptors = all
}

// Pace: what is in front of us in the playlist stays what it was. Else an encoder whose clock is faster than ours, by 50 ppm, would take half a minute
// a week away from us, until segments are gone before we come to them.
const correction = 0.01

func (m *merger) steer(p *piece) {
	f := m.lanes[0].follower
	if f.recording.Load() {
		return
	}
	ahead := time.Duration(f.edge.Load()) - p.start
	if !m.known {
		m.known, m.ahead = true, max(ahead, f.distance) // one that has just begun is followed a little slower, until there is some reserve
		m.pull.log.Info("joined the broadcast", "behind_its_end", ahead)
		return
	}
	tolerance := max(2*p.duration, time.Second)
	speed := m.speed
	switch diff := ahead - m.ahead; {
	case diff > tolerance:
		speed = 1 + correction
	case diff < -tolerance:
		speed = 1 - correction
	case diff.Abs() < tolerance/2:
		speed = 1
	}
	if speed != m.speed {
		m.pull.log.Debug("pace", "speed", fmt.Sprintf("%.2f", speed), "ahead", ahead, "wanted", m.ahead)
		m.speed = speed
		m.pacer.SetSpeed(speed)
	}
}
