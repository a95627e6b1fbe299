package switcher

import (
	"bytes"
	"context"
	"sync"
	"time"

	"tailcast/ingest"
)

// Bounds of a lane. A sample counts with its bytes and what its keeping costs.
const (
	laneBytes = 32 << 20
	laneSpan  = 12 * time.Second        // of a lane off the air
	keep      = 2500 * time.Millisecond // what a lane off the air remembers at least, if it can: what is silent for as long as Stall is replaced from there
	overhead  = 200
	patience  = 200 * time.Millisecond // for which an input is held up when its lane is full
)

// item is a sample in a lane; its data are its own.
type item struct {
	ingest.Sample
	program *ingest.Program // that it belongs to
	lead    bool            // of the track whose times are the program's
	entry   bool            // decoding can start here
	fresh   bool            // the first of a run of its source
	at      int64           // arrival, ticks since the start
	late    int64           // the least delay of the lead then
	era     int             // of the lane's clock
	dated   bool            // Wall is the source's
}

// lane is the Sink of one input, and what is known of it. While it is on air it is a queue; else it keeps what is newest, from
// where decoding can start.
type lane struct {
	name  string
	slate bool
	stall time.Duration
	start time.Time // that arrivals count from
	wake  func()

	demand chan context.Context // of a slate: run until this ends
	room   chan struct{}        // the queue has been emptied

	// Owned by the goroutine of Switcher.Run.
	cancel    context.CancelFunc // of a slate that is called
	since     time.Time          // when it was last put on air
	returning bool               // it was put on air as the better one, while another came
	penalty   int                // how often in a row it failed soon after that
	said      string             // what was last told of parts that have stopped

	mu      sync.Mutex // guards all below
	air     bool       // what is in the queue will be fetched
	program *ingest.Program
	lead    ingest.Track // of program
	fresh   bool         // the next sample is the first of a run
	items   []item
	size    int
	skips   bool // the queue was full; nothing is taken until decoding can start again
	dropped uint64
	left    ingest.Left

	running, ended bool
	err            error     // why the last run ended
	last           time.Time // of any sample
	picture        time.Time // of the lead's newest
	begun          time.Time // since when the lead has come without a pause
	dts            int64     // of the lead's newest
	steps          [2]int64  // between the lead's newest three
	pace           pace
	told           int64 // when a sample was last given a wall clock
	wall           pace  // by PTS: a picture was captured when it came, at the latest
	drift          drift
	clocked        time.Time // when the encoder's clock was last heard by itself; then drift is of that
	clock          int64     // and where it was
	parts          parts
	era            int // counts the clocks that the source has had
	home           home
	keys           rhythm // of where decoding can start
}

// restart is called before each run of the source.
func (l *lane) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.fresh, l.program, l.picture, l.parts = true, true, nil, time.Time{}, parts{}
	l.era++
	if !l.air {
		l.clear()
	}
}

// stopped is called after each run.
func (l *lane) stopped(err error) {
	l.mu.Lock()
	l.running = false
	if err != nil {
		l.err = err
	}
	l.mu.Unlock()
	l.wake()
}

// end says that there will be no other run.
func (l *lane) end(err error) {
	l.mu.Lock()
	l.ended, l.err = true, err
	l.mu.Unlock()
	l.wake()
}

func (l *lane) over() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		return false, nil
	}
	return true, l.err
}

func (l *lane) clear() {
	clear(l.items)
	l.items, l.size = l.items[:0], 0
}

// SetProgram implements ingest.Sink.
func (l *lane) SetProgram(p *ingest.Program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lead := p.Lead()
	if lead == nil {
		l.program = nil // nothing to see
		return
	}
	if l.program == nil || lead.ID != l.lead.ID {
		l.pace, l.wall, l.drift, l.steps = pace{}, pace{}, drift{}, [2]int64{}
	}
	l.parts.follow(l.program, p)
	l.program, l.lead = p, *lead
}

// WriteSample implements ingest.Sink.
func (l *lane) WriteSample(s ingest.Sample) {
	if !l.admit() {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	track := trackOf(l.program, s.Track)
	if track == nil {
		l.left[ingest.Unlisted]++
		return
	}
	l.last = now
	m := item{Sample: s, program: l.program, lead: s.Track == l.lead.ID, at: ticks(now.Sub(l.start)), dated: !s.Wall.IsZero()}
	m.entry = m.lead && (s.Flags&ingest.RandomAccess != 0 || !l.lead.Codec.IsVideo())
	if m.lead {
		l.measure(&m, now)
	}
	if m.entry {
		l.keys.add(m.DTS)
	}
	if kindOf(track.Codec) != data {
		l.parts.came(s.Track, now)
	}
	if l.skips = l.skips && !m.entry; l.skips {
		l.dropped++
		return
	}
	m.late, m.fresh, l.fresh, m.era = l.pace.least(), l.fresh, false, l.era
	if m.entry && m.Wall.IsZero() && (l.told == 0 || m.at-l.told >= ingest.ClockRate/2) {
		l.told = m.at
		// One clock for all samples of an input, told at keyframes: what came with the least delay was captured when it came, or before.
		m.Wall = now.Add(-duration(m.at - m.PTS - l.wall.least()))
	}
	m.Data = bytes.Clone(s.Data)
	l.push(m)
	l.wake()
}

// measure takes the lead's sample for its pace.
func (l *lane) measure(m *item, now time.Time) {
	if l.picture.IsZero() || now.Sub(l.picture) > l.limit() {
		l.begun, l.keys = now, rhythm{}
	}
	step := m.DTS - l.dts
	jumped := l.pace.known && (step < 0 || step > maxJump)
	alone := now.Sub(l.clocked) > time.Second // nothing but samples tells of the encoder's clock
	if alone && (jumped || m.Flags&ingest.Discontinuity != 0 || !l.clocked.IsZero()) {
		l.drift, l.clocked = drift{}, time.Time{}
	}
	if (jumped || m.Flags&ingest.Discontinuity != 0) && !l.goesOn(m, step, now) {
		l.era++
	}
	if jumped {
		l.pace, l.wall, step = pace{}, pace{}, 0
		if !l.air {
			l.clear()
		}
	}
	if l.pace.known {
		l.steps[0], l.steps[1] = l.steps[1], step
	}
	l.picture, l.dts = now, m.DTS
	l.pace.observe(m.at, m.DTS)
	l.wall.observe(m.at, m.PTS)
	if alone {
		l.drift.observe(m.at, m.DTS)
	}
}

// WriteClock implements ingest.ClockSink.
func (l *lane) WriteClock(at int64) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if step := at - l.clock; l.clocked.IsZero() || step < 0 || step > maxJump {
		l.drift = drift{}
	}
	l.clocked, l.clock = now, at
	l.drift.observe(ticks(now.Sub(l.start)), at)
}

// limit is for how long the lead may be silent: longer if it is always slow, as a camera with a picture each second.
func (l *lane) limit() time.Duration {
	return l.stall + 2*duration(min(l.steps[0], l.steps[1], maxJump))
}

// admit holds up a source whose queue is full, for a moment: one that is faster than real time is slowed down to what can be handed
// on. If that takes too long, samples are dropped from here to the next place where decoding can start.
func (l *lane) admit() bool {
	l.mu.Lock()
	full := l.air && l.size >= laneBytes
	if full && l.skips {
		l.dropped++
		l.mu.Unlock()
		return false
	}
	l.mu.Unlock()
	if !full {
		return true
	}
	select {
	case <-l.room: // an old word, perhaps
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		l.mu.Lock()
		full = l.air && l.size >= laneBytes
		l.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-l.room:
		case <-t.C:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.skips = true
			l.dropped++
			return false
		}
	}
}

// push appends m. Off the air nothing is kept that comes before where decoding can start, and no more than is of use.
func (l *lane) push(m item) {
	if !l.air && len(l.items) == 0 && !m.entry {
		return
	}
	l.items = append(l.items, m)
	l.size += len(m.Data) + overhead
	if l.air {
		return
	}
	for {
		next := l.second()
		switch {
		case next > 0 && l.items[next].at <= m.at-ticks(keep):
		case l.size < laneBytes && m.at-l.items[0].at < ticks(laneSpan):
			return
		case next < 0:
			l.clear()
			return
		}
		l.drop(next)
	}
}

// second is the entry after the one that the lane begins with; -1 if there is none.
func (l *lane) second() int {
	for i := range l.items {
		if i > 0 && l.items[i].entry {
			return i
		}
	}
	return -1
}

// drop forgets the oldest n items.
func (l *lane) drop(n int) {
	for i := range l.items[:n] {
		l.size -= len(l.items[i].Data) + overhead
	}
	rest := copy(l.items, l.items[n:])
	clear(l.items[rest:])
	l.items = l.items[:rest]
}

// fetch empties the queue into into, which it returns.
func (l *lane) fetch(into []item) []item {
	l.mu.Lock()
	into = append(into[:0], l.items...)
	l.clear()
	l.mu.Unlock()
	select {
	case l.room <- struct{}{}:
	default:
	}
	return into
}

// leave counts a sample that does not go on.
func (l *lane) leave(c ingest.Cause) {
	l.mu.Lock()
	l.left[c]++
	l.mu.Unlock()
}

// rest takes the lane off the air.
func (l *lane) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.air, l.skips = false, false
	l.clear()
}

// alive tells whether the lead comes.
func (l *lane) alive(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.aliveLocked(now)
}

func (l *lane) aliveLocked(now time.Time) bool {
	return l.running && !l.picture.IsZero() && l.program != nil && now.Sub(l.picture) <= l.limit()
}

// well is for how long it has, and whatever else had stopped.
func (l *lane) well(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.aliveLocked(now) {
		return 0
	}
	return min(now.Sub(l.begun), now.Sub(l.parts.mended))
}

// call runs a slate until it is dismissed.
func (l *lane) call(ctx context.Context) {
	if l.cancel != nil {
		return
	}
	ctx, l.cancel = context.WithCancel(ctx)
	select {
	case <-l.demand: // of an earlier call
	default:
	}
	l.demand <- ctx
}

func (l *lane) dismiss() {
	if l.cancel != nil {
		l.cancel()
		l.cancel = nil
	}
}
