package switcher

import (
	"time"

	"tailcast/ingest"
)

// Limits of how far a picture may be put behind where real time has it, because what is on air has come further.
const (
	// maxAhead decides between the newest keyframe that is remembered and the next one. To begin with one that is older than what was
	// last on air shows again what was seen, and makes the program that much later for those who do not catch up. Silence takes a second to be
	// noticed, so with keyframes every two seconds or less there is always one within this; those who have them more
	// seldom wait for the next.
	maxAhead = ingest.ClockRate
	// newKey is how new the keyframe must be at which a better input returns, since what is on air is well.
	newKey = ingest.ClockRate / 4
)

// kind sorts tracks: what one input ends with, another of its kind goes on from.
type kind uint8

const (
	data kind = iota
	sound
	picture
	kinds
)

func kindOf(c ingest.Codec) kind {
	switch {
	case c.IsVideo():
		return picture
	case c.IsAudio():
		return sound
	}
	return data
}

// bar is what a kind has reached on the program's clock.
type bar struct {
	some           bool
	dts, pts, step int64
}

// after is how much later a sample at dts and pts must come to be behind the bar.
func (b bar) after(dts, pts int64) int64 {
	if !b.some {
		return 0
	}
	return max(0, b.dts+max(b.step, 1)-dts, b.pts+max(b.step, 1)-pts)
}

// desk hands on what the input on air delivers. It is owned by the goroutine of Switcher.Run.
type desk struct {
	sink    ingest.Sink
	time    timeline
	lane    *lane           // on air
	program *ingest.Program // the newest that the sink has, as the lane keeps it
	kinds   [ingest.MaxTracks]kind
	reached [kinds]bar
	barred  [kinds]bar // reached, when the input came on air: where its tracks may begin
	batch   []item

	entry struct { // where the input came on air
		checks bool
		pts    int64
	}
	handover handover
}

// deliver hands on what is in the lane on air.
func (d *desk) deliver(l *lane) {
	d.batch = l.fetch(d.batch)
	d.deliverAll(d.batch)
	clear(d.batch)
}

func (d *desk) deliverAll(items []item) {
	for i := range items {
		d.emit(&items[i])
	}
}

// enter looks where lane l can go on air, and takes it from there: at once, with what it remembers, if urgent, else at a keyframe that
// has just come. A lone lane begins with whatever there is.
func (d *desk) enter(l *lane, lone, urgent bool) (begins []item, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, by := 0, line{}
	if len(l.items) == 0 {
		return nil, false
	}
	if !lone {
		if i, by = d.find(l, urgent, 0); i < 0 {
			return nil, false
		}
		d.time.begin(by)
		d.entry.checks, d.entry.pts = by.valid, l.items[i].PTS+by.shift
	}
	d.lane, d.barred, d.program, d.handover = l, d.reached, nil, handover{}
	begins = append(begins, l.items[i:]...)
	begins[0].fresh = begins[0].fresh && lone // the line for that run is there already
	l.clear()
	l.air, l.skips = true, false
	return begins, true
}

// prepare is told of a better input that will have been well for long enough after rest.
func (d *desk) prepare(l *lane, rest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.find(l, false, ticks(rest))
}

// find is the first entry of l that comes after what was on air. If there is none, it is the newest, which then has to wait
// a little on the program's clock; -1 if that would be too long. One that is not urgent is not taken before rest is over.
func (d *desk) find(l *lane, urgent bool, rest int64) (int, line) {
	newest, least := -1, line{}
	for i := range l.items {
		m := &l.items[i]
		if !m.entry {
			continue
		}
		by := line{valid: true, newest: m.DTS}
		if d.time.begun {
			by.shift = l.place(m, d.time.clock+l.pace.least())
			by.ahead = d.reached[kindOf(l.lead.Codec)].after(m.DTS+by.shift, m.PTS+by.shift)
			by.shift += by.ahead
		}
		newest, least = i, by
		if by.ahead == 0 && urgent {
			break
		}
	}
	switch {
	case newest < 0:
	case urgent && least.ahead > maxAhead:
		newest = -1
	case !urgent && (l.newest()-l.items[newest].at > newKey || d.handover.waits(l, newest, least, rest, d.lane)):
		newest = -1
	}
	return newest, least
}

// newest is when something last came.
func (l *lane) newest() int64 { return l.items[len(l.items)-1].at }

// emit gives a sample its place on the program's clock, and hands it on if it has one.
func (d *desk) emit(m *item) {
	if m.program != d.program {
		d.begin(m.program)
	}
	if m.fresh { // another run of the same source, with a clock of its own
		d.time.begin(line{})
		d.barred, d.entry.checks = d.reached, false
	}
	kind := d.kinds[m.Track]
	i, ok := d.time.at(m, kind != data)
	switch {
	case ok:
	case kind == data && !m.lead: // no reason to believe that the program's times have jumped
		if i, ok = d.time.lags(m); !ok {
			d.lane.leave(ingest.Untimed)
			return
		}
	default:
		i = d.time.add(m, func(shift int64) int64 { return d.reached[kind].after(m.DTS+shift, m.PTS+shift) })
		d.entry.checks = false
	}
	shift := d.time.move(m, i, kind != data)
	if m.lead {
		d.lane.settle(m, shift-d.time.lines[i].ahead)
	}
	out := m.Sample
	out.DTS += shift
	out.PTS += shift
	if cause, ok := d.passes(m, &out, kind); !ok {
		d.lane.leave(cause)
		return
	}
	if shift != 0 {
		d.splice(&out, shift)
	}
	d.sink.WriteSample(out)
}

// begin hands on another table of tracks.
func (d *desk) begin(p *ingest.Program) {
	d.program, d.kinds = p, [ingest.MaxTracks]kind{}
	for _, t := range p.Tracks {
		if t.ID < ingest.MaxTracks {
			d.kinds[t.ID] = kindOf(t.Codec)
		}
	}
	d.sink.SetProgram(p.Clone())
}

// passes tells whether out goes on, else why not: at a switch or a jump, what is not after what was on air before; pictures that
// are shown before the one at which the input came on air, since they need others that are missing.
func (d *desk) passes(m *item, out *ingest.Sample, kind kind) (ingest.Cause, bool) {
	k := &d.time.tracks[m.Track]
	switch before := d.barred[kind]; {
	case !k.sent && before.some && out.DTS < before.dts+min(int64(kind), 1),
		k.sent && k.breaks && out.DTS <= k.out:
		return ingest.Overlap, false
	case kind != data && d.handover.over(m, out, kind, d.reached[kind].step):
		return ingest.Overlap, false
	case d.entry.checks && kind == picture && out.PTS < d.entry.pts:
		return ingest.Undecodable, false
	case k.sent && out.DTS < k.out: // a hair, within a line: times that were rounded on the way
		out.DTS = k.out
		out.PTS = max(out.PTS, out.DTS)
	}
	if k.breaks && (k.sent || d.barred != [kinds]bar{}) {
		out.Flags |= ingest.Discontinuity
	}
	reached := &d.reached[kind]
	if step := out.DTS - k.out; k.sent && step > 0 && step < maxJump {
		reached.step = step
	}
	reached.some, reached.dts, reached.pts = true, max(reached.dts, out.DTS), max(reached.pts, out.PTS)
	k.sent, k.breaks, k.out = true, false, out.DTS
	return 0, true
}
