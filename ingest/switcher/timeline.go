package switcher

import "tailcast/ingest"

// How far the times of a track may move from one sample to the next and still go on; back only if nothing is said of it.
const (
	maxJump = 10 * ingest.ClockRate
	maxBack = ingest.ClockRate / 2
)

// line is one run of an input's clock, and where it lies on the program's: out = in + shift, for all tracks alike.
type line struct {
	valid  bool
	shift  int64
	ahead  int64 // how far that is before where real time would put it
	newest int64 // DTS of a sample on it, as it came
}

// timeline lays the times of the input on air on the program's clock. That clock is real time: where the sample is that was least
// delayed, when it came. An input's times are a line on it. When they jump there is another line, and the tracks go over to it
// one after the other, as each of them jumps; so there are two at a time at most, and who is late finds the one it belongs to.
type timeline struct {
	begun  bool
	clock  int64 // of the program, minus real time
	lines  [2]line
	newest int // of lines
	tracks [ingest.MaxTracks]track
}

// track is where one of the input's tracks is.
type track struct {
	seen   bool // since the input is on air
	line   int
	in     int64 // DTS of the newest sample, as it came
	out    int64 // DTS of the newest sample that went on
	sent   bool  // one did
	breaks bool  // the next that goes on does not continue the one before
}

// begin forgets the input before; the new one's times lie on by.
func (t *timeline) begin(by line) {
	t.lines, t.newest, t.tracks = [2]line{by}, 0, [ingest.MaxTracks]track{}
}

// at returns the line that m belongs to; false if none goes on to it.
func (t *timeline) at(m *item, media bool) (int, bool) {
	k := &t.tracks[m.Track]
	if k.seen && !k.jumps(m, media) {
		return k.line, true
	}
	best, found, least := 0, false, int64(maxJump)
	for i, l := range t.lines {
		far := max(m.DTS-l.newest, l.newest-m.DTS)
		goesOn := !k.sent || m.DTS+l.shift > k.out
		if l.valid && far <= least && goesOn {
			best, found, least = i, true, far
		}
	}
	return best, found
}

// jumps tells whether m does not go on where its track was. Data have no pace of their own: they are where their line is.
func (k *track) jumps(m *item, media bool) bool {
	step := m.DTS - k.in
	if !media {
		return step < 0 || step > maxJump
	}
	return step < 0 && m.Flags&ingest.Discontinuity != 0 || step < -maxBack || step > maxJump
}

// lags returns the line of m, of a track of data that no line fits, if its times are a hair back, or if nothing has begun.
func (t *timeline) lags(m *item) (int, bool) {
	k := &t.tracks[m.Track]
	if back := k.in - m.DTS; k.seen && back >= 0 && back <= maxBack {
		return k.line, true
	}
	return t.newest, !t.begun
}

// add makes a line that begins at m, in place of the one that is older, so that m comes when it came, and need later.
func (t *timeline) add(m *item, need func(shift int64) int64) int {
	l := line{valid: true, newest: m.DTS}
	if t.begun {
		l.shift = t.clock + m.at - m.DTS
		l.ahead = need(l.shift)
		l.shift += l.ahead
	}
	if t.lines[t.newest].valid {
		t.newest = 1 - t.newest
	}
	for i := range t.tracks { // whoever was on the line that goes is on none
		if t.tracks[i].line == t.newest {
			t.tracks[i].seen = false
		}
	}
	t.lines[t.newest] = l
	return t.newest
}

// move notes that m went along line i, and takes the program's clock from it if it leads.
func (t *timeline) move(m *item, i int, media bool) (shift int64) {
	k, l := &t.tracks[m.Track], &t.lines[i]
	k.breaks = k.breaks || !k.seen || k.line != i
	if !k.seen || k.line != i || media || m.lead {
		k.in = m.DTS
	}
	k.in = max(k.in, m.DTS) // data that are a hair back may be the first of a jump: those behind them are asked again
	k.seen, k.line = true, i
	if media {
		l.newest = max(l.newest, m.DTS)
	}
	if m.lead {
		l.newest = m.DTS
		t.clock = l.shift - l.ahead - m.late
		t.begun = true
	}
	return l.shift
}
