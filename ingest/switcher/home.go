package switcher

import (
	"time"

	"tailcast/ingest"
)

// An input that comes on air again has to lie where it lay before, to the tick: other renditions of the channel, from the same encoder, never
// left. Two things are in the way. Where arrival puts it has changed by jitter, and by the drift of the clock of whatever was on air meanwhile;
// so a lane remembers its home. And what was on air meanwhile may have come further than real time, since it began with a keyframe that was a little too
// old; so it is ended that much sooner, at the picture with which the returning input goes on: see handover.

// home is where the times of a lane lay when it was last on air.
type home struct {
	known    bool
	era      int   // of the lane's clock
	shift    int64 // of that clock
	dated    bool
	captured int64 // time of showing on air minus the time of capture, ticks since the lane's start: true of later clocks too
}

// goesOn tells whether the times of an input that was interrupted have gone on as real time has: it has the clock that it had. Where samples say when
// they were captured, that tells better. Under mu.
func (l *lane) goesOn(m *item, step int64, now time.Time) bool {
	off := step - ticks(now.Sub(l.picture))
	return !m.dated && !l.picture.IsZero() && -maxAhead/2 < off && off < maxAhead/2
}

// settle notes where a sample of the lead on air lies, as real time has it.
func (l *lane) settle(m *item, shift int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := home{known: true, era: m.era, shift: shift, dated: l.home.dated, captured: l.home.captured}
	if m.dated {
		h.dated, h.captured = true, m.PTS+shift-ticks(m.Wall.Sub(l.start))
	}
	l.home = h
}

// place is the shift of a sample with which l may come on air; arrived is what it is by arrival. Home counts if it is near that. Under mu.
func (l *lane) place(m *item, arrived int64) int64 {
	shift := arrived
	switch h := l.home; {
	case h.known && h.era == m.era:
		shift = h.shift
	case h.dated && m.dated:
		shift = h.captured + ticks(m.Wall.Sub(l.start)) - m.PTS
	}
	if off := shift - arrived; off < -maxAhead || off > maxAhead {
		return arrived
	}
	return shift
}

// What makes a better input wait for its next keyframe.
const (
	minAhead = ingest.ClockRate / 50 // it would have to be put behind real time by more
	grace    = ingest.ClockRate / 2  // and for so long a keyframe that does not come when it should is waited for
	unsteady = ingest.ClockRate / 20 // by which the distance of keyframes that come regularly may change
	longest  = 5 * ingest.ClockRate  // between keyframes: to wait for a later one of those that are rarer takes too long
)

// handover ends what is on air at the keyframe with which a better input will go on, if its keyframes come regularly.
//
//	on air    ─────────────────┤ until
//	better    ──────K───────────────K──────    K: keyframes; real time is where the better one is
type handover struct {
	planned, missed bool
	dts, pts        int64 // of that keyframe, on the program's clock
	end             int64 // by when it must have come
	ended           [kinds]bool
}

// waits tells whether l shall not come on air with keyframe i, which lies on by, but with a later one, and plans for the first that what is on air
// has not passed, as soon as that is the first after rest. What is on air is ended only if it would have where to go on, should l fail.
func (h *handover) waits(l *lane, i int, by line, rest int64, on *lane) bool {
	m, interval := &l.items[i], l.keys.regular()
	if h.planned {
		return m.DTS+by.shift-by.ahead < h.dts-minAhead
	}
	switch {
	case h.missed || by.ahead <= minAhead || !on.recurs():
		return false
	case interval <= 0:
		return l.keys.mayBe()
	}
	wait := (by.ahead + interval - 1) / interval * interval
	if rest > 0 && rest+l.newest()-m.at > wait {
		return true
	}
	*h = handover{planned: true, dts: m.DTS + by.shift - by.ahead + wait, pts: m.PTS + by.shift - by.ahead + wait, end: m.at + wait + grace}
	return true
}

// recurs tells whether keyframes of l come again and again, not as of an encoder that sends one at the beginning, or when it is asked.
func (l *lane) recurs() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys.n > 1 && l.keys.steps[1] <= maxJump && l.dts-l.keys.newest <= max(l.keys.steps[1], longest)+grace
}

// rhythm tells when the next keyframe of an input is due.
type rhythm struct {
	n      int // keyframes since the input came, or came back
	newest int64
	steps  [2]int64 // between the newest three
}

func (r *rhythm) add(dts int64) {
	r.n++
	r.steps[0], r.steps[1] = r.steps[1], dts-r.newest
	r.newest = dts
}

// regular is the distance of keyframes; 0 if they have none that holds.
func (r *rhythm) regular() int64 {
	if off := r.steps[0] - r.steps[1]; r.n < 3 || off < -unsteady || off > unsteady || r.steps[1] > longest {
		return 0
	}
	return r.steps[1]
}

// mayBe tells whether it is too early to say that they have none: the first after an interruption comes out of turn.
func (r *rhythm) mayBe() bool { return r.n < 4 && (r.n < 2 || r.steps[1] <= longest) }

// over tells whether a sample of what is on air, which lasts for step, ends behind its end. If the better input has not come when it
// should, that goes on at its next keyframe.
func (h *handover) over(m *item, out *ingest.Sample, kind kind, step int64) bool {
	if !h.planned {
		return false
	}
	if m.at > h.end && m.entry {
		*h = handover{missed: true}
		return false
	}
	step = max(step, 1)
	behind := out.DTS+step > h.pts
	if kind == picture {
		behind = out.DTS+step > h.dts || out.PTS+step > h.pts
	}
	h.ended[kind] = h.ended[kind] || behind
	return h.ended[kind]
}
