package player

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/ingest"
)

const (
	// partTime is about how long a part is: the whole number of pictures that comes nearest.
	partTime = ingest.ClockRate / 5
	// partsFor is how many target durations back parts are listed: RFC 8216bis, 4.4.4.9, wants three.
	partsFor = 3
	// hlsLinger is how long parts are still made when nobody has asked for anything.
	hlsLinger = 30 * time.Second
	// warmTime is how often the list of what is on disk is brought up to date while nobody watches. The first time comes sooner, but not at once:
	// hours of the past take a second or more, which a start needs for itself.
	warmTime  = 30 * time.Second
	firstWarm = 5 * time.Second
)

// An edge makes HLS of one channel: a tape of the segments there are, and the parts of the newest ones while somebody asks for them.
//
//	asleep ──a request──▶ awake: it follows the live edge and cuts each block into parts ──nobody for hlsLinger──▶ asleep
//
// The tape goes on being kept in both.
type edge struct {
	server   *Server
	audience *audience
	sending  atomic.Int64 // bytes of answers under way

	// mu guards the rest; reading the feed and cutting are done without it, by the goroutine that runs the edge.
	mu      sync.Mutex
	tape    *tape
	cuts    *cuts    // of tape
	part    int64    // ticks that parts last at most that are listed: the newest mold's; 0 until one is known
	target  int64    // EXT-X-TARGETDURATION, seconds; 0 until a segment is complete
	open    *segment // being received; nil if none
	awake   bool
	wall    int64         // when the newest block taken was signed, microseconds
	changed chan struct{} // closed at the next part, segment or change of state

	// Only for the goroutine that runs the edge.
	opened   start
	pipeline *pipeline
	cutter   *cutter
	late     bool // a track has come that the open segment's mold has left out
}

func newEdge(s *Server) *edge {
	return &edge{server: s, audience: newAudience(s.cfg.MaxClients), changed: make(chan struct{})}
}

// run keeps the tape, and follows the live edge while somebody asks, until ctx ends.
func (e *edge) run(ctx context.Context) error {
	for {
		name, err := e.server.chooseLog(ctx)
		if err != nil {
			return nil
		}
		wait := warmTime
		if e.load(name) {
			wait = firstWarm
		}
		waking, cancel := context.WithTimeout(ctx, wait)
		err = e.audience.await(waking)
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			e.warm()
			continue
		}
		e.warm() // a channel that is off the air has nothing to follow, but a past
		if err := e.watch(ctx, name); ctx.Err() != nil {
			return nil
		} else if err != nil && !errors.Is(err, errDone) {
			e.server.cfg.Logger.Warn("couldn't make HLS", "log", name, "error", err)
		}
	}
}

// playing is the class of the newest segment; nil while there is none to play, which may be so again: load takes another tape. The caller holds mu.
func (e *edge) playing() *class {
	if e.target == 0 || e.tape.newest() == nil {
		return nil
	}
	return e.tape.newest().class
}

// load takes the tape of a log, and says whether it is a new one, since it is another log.
func (e *edge) load(name string) (fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tape != nil && e.tape.log == name {
		return false
	}
	e.tape = &tape{replica: e.server.cfg.Replica, log: name, keep: e.server.cfg.DVR, reader: &programs{}}
	e.part, e.target, e.open = 0, 0, nil
	e.cuts = newCuts(e.server.cfg.BacklogBytes) // segments of another log may have the same names
	return true
}

// warm brings the tape up to date, up to the newest segment, which need not be complete.
func (e *edge) warm() {
	ids := e.server.cfg.Replica.EpochIDs()
	for _, id := range slices.Backward(ids) {
		log := e.tape.open(id)
		if log == nil {
			continue
		}
		if newest, ok := lastStart(log); ok {
			continues := e.catchUp(newest)
			if ended(log) && !e.has(newest) {
				e.addLast(newest, continues)
			}
			break
		}
	}
}

// ended tells whether nothing follows in a log.
func ended(log *feed.Log) bool {
	size := log.Head().Size
	if size == 0 {
		return false
	}
	last, err := log.Record(size - 1)
	return err == nil && last.Record.Kind == feed.End
}

// has tells whether a segment is the newest one on the tape.
func (e *edge) has(s start) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := e.tape.newest()
	return last != nil && last.first == s.block.Index && last.id == s.log.Epoch().ID()
}

// addLast puts the last segment of a log that has ended on the tape: nothing follows that would complete it.
func (e *edge) addLast(s start, continues bool) {
	c := e.tape.reader.of(s)
	if c == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tape.add(s, s.length(), c, continues)
	e.settle()
	e.wake()
}

// watch follows the live edge until nobody asks any more, or the channel's first rendition is another.
func (e *edge) watch(ctx context.Context, name string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.follow(ctx, name) })
	g.Go(func() error { return e.server.watch(ctx, e.audience, hlsLinger, name) })
	return g.Wait()
}

func (e *edge) follow(ctx context.Context, name string) error {
	defer e.sleep()
	reader := e.server.cfg.Replica.Follow(name, feed.JoinLast, e.server.cfg.Patience)
	for {
		item, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		e.take(&item)
	}
}

// take adds a block.
func (e *edge) take(item *feed.Item) {
	b := &item.Block
	defer e.date(b.Record.Wall)
	if b.Record.Kind == feed.End {
		e.complete(nil)
		return
	}
	if begins(&b.Record) || item.Reset {
		e.turn(item)
	}
	if e.open == nil {
		return
	}
	e.opened.end = b.Index + 1
	switch {
	case e.cutter == nil:
		e.cast(false)
	case e.pipeline.raw(b, item.Reset && b.Index != e.opened.block.Index) != nil:
		e.server.metrics.unread.Inc()
	}
}

// date says how new what was taken is: last, so that nobody finds the list of before fresh since the block behind it has come.
func (e *edge) date(wall int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.fresh()
	if e.wall = wall; !was && e.fresh() {
		e.wake()
	}
}

// turn completes the open segment and opens the one that begins with the block, if one does.
func (e *edge) turn(item *feed.Item) {
	b := item.Block
	b.Payload = nil
	log, err := item.Epoch.Log(e.tape.log)
	if err != nil {
		return
	}
	next := start{log: log, block: b, end: b.Index + 1}
	if !begins(&b.Record) { // after a hole, in the middle of a long segment
		if item.Reset {
			e.complete(nil)
		}
		return
	}
	if e.open != nil && e.open.id == item.Epoch.ID() && e.opened.end == b.Index {
		e.advance(next)
		return
	}
	e.complete(&next)
	continues := e.catchUp(next)
	if e.has(next) { // the last one of a broadcast that has ended: it is read again, since somebody asks again
		e.mu.Lock()
		e.awake = true
		e.wake()
		e.mu.Unlock()
		return
	}
	e.begin(next, continues)
}

// advance goes on to the segment that follows the open one without a hole. Nobody sees a playlist in between, which would announce nothing.
func (e *edge) advance(next start) {
	ticks, continues := joined(e.opened, next)
	last := e.finish(ticks)
	c := e.tape.reader.of(next)
	if c != nil && e.late {
		c = e.tape.reader.renew(next)
	}
	e.opened = next
	e.mu.Lock()
	defer e.mu.Unlock()
	e.close(ticks, next.block.Index, last)
	if c != nil {
		e.open = e.tape.begin(next, c, continues)
	}
	e.tape.trim(e.tape.oldest(next))
	e.settle()
	e.wake()
}

// finish cuts what is left of the open segment. The last part is shown when the segment is closed: before, another one would be announced
// behind it.
func (e *edge) finish(ticks int64) (last []part) {
	if e.cutter == nil {
		e.cast(true)
	}
	if e.cutter != nil {
		e.cutter.emit = func(p part) { last = append(last, p) }
		e.cutter.finish(e.open.dts + ticks)
	}
	e.late = e.cutter != nil && e.cutter.late
	e.pipeline, e.cutter = nil, nil
	return last
}

// close puts the open segment on the tape, if there is anything in it. The caller holds mu.
func (e *edge) close(ticks int64, end uint64, last []part) {
	seg := e.open
	e.open = nil
	for _, p := range last {
		seg.add(p)
	}
	if seg.ticks, seg.end = ticks, end; len(seg.parts) > 0 {
		e.tape.append(seg)
	}
}

// complete puts the open segment on the tape.
func (e *edge) complete(next *start) {
	if e.open == nil {
		return
	}
	ticks := e.length(next)
	last := e.finish(ticks)
	if next == nil {
		ticks = max(ticks, lasting(e.open.parts)+lasting(last)) // records do not say how long the last picture is
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.close(ticks, e.opened.end, last)
	e.settle()
	e.wake()
}

// lasting is how long parts are together.
func lasting(parts []part) (ticks int64) {
	for _, p := range parts {
		ticks += p.ticks
	}
	return ticks
}

func (e *edge) length(next *start) int64 {
	if next != nil {
		ticks, _ := joined(e.opened, *next)
		return ticks
	}
	return e.opened.length()
}

// begin opens a segment. Its parts are cut once there is a mold: at once as a rule, in a new program after some pictures.
func (e *edge) begin(s start, continues bool) {
	c := e.tape.reader.of(s)
	if c == nil {
		return
	}
	e.opened = s
	e.mu.Lock()
	e.open, e.awake = e.tape.begin(s, c, continues), true
	e.mu.Unlock()
}

// cast makes the cutter of the open segment if its mold is known by now, or, if it must, with what is known of it; and cuts what is there.
func (e *edge) cast(must bool) {
	m := e.mold(e.open.class, must)
	if m == nil {
		return
	}
	e.pipeline = newPipeline(never)
	e.cutter = &cutter{mold: m, first: e.open.first, emit: e.publish}
	e.mu.Lock()
	e.part = m.part
	e.mu.Unlock()
	e.pipeline.formats = []format{e.cutter}
	_ = e.tape.blocks(e.open.id, e.open.first, e.opened.end)(e.pipeline.raw)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wake()
}

// publish adds a part to the open segment.
func (e *edge) publish(p part) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open.add(p)
	e.forget()
	e.wake()
}

// catchUp puts on the tape what lies between its end and a segment that follows, and says whether that continues the last of it.
func (e *edge) catchUp(to start) (continues bool) {
	oldest := e.tape.oldest(to)
	found := e.tape.walk(to, oldest)
	slices.Reverse(found)
	found = append(found, to)
	e.mu.Lock()
	last := e.tape.newest()
	e.mu.Unlock()
	continues = false
	if last != nil {
		if log := e.tape.open(last.id); log != nil {
			if b, err := log.Record(last.first); err == nil {
				_, continues = joined(start{log: log, block: b, end: last.end}, found[0])
			}
		}
	}
	for i, s := range found[:len(found)-1] {
		ticks, goesOn := joined(s, found[i+1])
		c := e.tape.reader.of(s)
		if c == nil || !goesOn && ticks <= firstDuration { // torn: there is no whole picture in it
			continues = false
			continue
		}
		e.mu.Lock()
		e.tape.add(s, ticks, c, continues)
		e.mu.Unlock()
		continues = goesOn
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tape.trim(oldest)
	e.settle()
	e.wake()
	return continues
}

// late is how much newer another log may be, in microseconds, before ours is one that has not been followed for a while.
const late = 1_500_000

// fresh tells whether who begins with the list begins live: with a rendition that was left and is followed again, for a moment the list ends where
// it was left, and then what is new is shorter than players stay behind. The caller holds mu.
func (e *edge) fresh() bool {
	if !e.awake || e.target == 0 || e.server.newest()-e.wall > late {
		return false
	}
	ticks := int64(0)
	if e.open != nil {
		ticks = lasting(e.open.parts)
		if e.open.broken {
			return ticks >= partsFor*e.part
		}
	}
	for _, s := range slices.Backward(e.tape.list) {
		if ticks += s.ticks; s.broken || ticks >= partsFor*e.part {
			break
		}
	}
	return ticks >= partsFor*e.part
}

// settle keeps the target duration and the parts in bounds. The caller holds mu.
func (e *edge) settle() {
	longest := int64(0)
	for _, s := range e.tape.list {
		longest = max(longest, s.ticks)
	}
	if longest > 0 {
		e.target = max(e.target, 2, (longest+ingest.ClockRate/2)/ingest.ClockRate)
	}
	e.forget()
}

// forget lets go of parts that are too old, or more than BacklogBytes: first those of segments, then the beginning of the open one. The caller holds mu.
func (e *edge) forget() {
	most, bytes, ticks := e.server.cfg.BacklogBytes, 0, int64(0)
	if e.open != nil {
		e.open.drop(most)
		bytes = e.open.bytes
	}
	for _, s := range slices.Backward(e.tape.list) {
		bytes += s.bytes
		old := ticks > (partsFor+2)*max(e.target, 2)*ingest.ClockRate
		if old && s.parts == nil {
			return // and so are all before
		}
		if old || bytes > most || s.dropped > 0 {
			s.parts, s.bytes, s.dropped = nil, 0, 0
		}
		ticks += s.ticks
	}
}

// sleep ends the following of the live edge; what was open is listed by the next catchUp.
func (e *edge) sleep() {
	e.pipeline, e.cutter = nil, nil
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open, e.awake = nil, false
	e.wake()
}

func (e *edge) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// mold returns the mold of a class, nil while there is none: fMP4 cannot carry it, or, unless it must, not all of its tracks are known. It reads
// the newest segments of the class, complete or not.
func (e *edge) mold(c *class, must bool) *mold {
	e.mu.Lock()
	m, bad := c.mold, c.bad
	sources := e.examples(c)
	e.mu.Unlock()
	if m != nil || bad {
		return m
	}
	m, complete := learnMold(sources...)
	if !complete && !must {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.mold == nil {
		c.mold, c.bad = m, m == nil
	}
	if m != nil && e.part == 0 {
		e.part = m.part
	}
	e.wake()
	return c.mold
}

// examples are up to three segments of a class, newest first. The caller holds mu.
func (e *edge) examples(c *class) (out []blockSource) {
	for _, s := range slices.Backward(e.tape.list) {
		if s.class == c {
			out = append(out, e.tape.blocks(s.id, s.first, min(s.end, s.first+maxExample)))
		}
		if len(out) == 3 {
			break
		}
	}
	if s := e.open; s != nil && s.class == c {
		out = append(out, e.tape.blocks(s.id, s.first, s.first+maxExample))
	}
	return out
}

// maxExample is how many blocks of a segment are read to learn from it.
const maxExample = 2000
