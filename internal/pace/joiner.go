package pace

import (
	"bytes"
	"reflect"

	"tailcast/ingest"
)

// Joiner is a Sink that lets recordings follow one another on one clock.
//
//	one ──Next──▶ joining ──each track has begun, or a second, or too much is held──▶ one
//
// All tracks of a recording are moved by the same time, so that sound and pictures stay as far apart as they were made. It is the
// smallest at which no track goes back, neither in decoding nor in presentation: the longest track of the one before goes on
// without a gap, the others pause by as much as they were shorter. A recording has to show where its tracks begin before that
// is known, so its first samples are held.
//
// Where the program differs from the one before, the first samples are flagged as discontinuous; where it is the same, nothing tells
// that another recording began.
type Joiner struct {
	sink ingest.Sink
	told *ingest.Program // the newest that sink got

	program *ingest.Program // of the recording at hand
	media   [ingest.MaxTracks]bool
	shift   int64
	spans   [ingest.MaxTracks]span // of the recording at hand
	broken  [ingest.MaxTracks]bool // the next sample is flagged

	joining bool
	before  map[role]end
	held    []event
	size    int // bytes held
}

// What is held at a join, at most.
const (
	holdTime  = ingest.ClockRate
	holdBytes = 8 << 20
)

// span is what a track took of the recording at hand, times as they came.
type span struct {
	seen                   bool
	first, last, step, pts int64 // pts is the highest
}

// role is what a track is in its program, to know it again in another: the first pictures, the second sound.
type role struct {
	kind  byte
	index int
}

// end is where a track of the recording before ended, in times as they went out.
type end struct{ dts, pts int64 }

// event is a sample that is held, or a program.
type event struct {
	program *ingest.Program
	sample  ingest.Sample
}

// NewJoiner returns a Joiner for a first recording, whose times stay as they are.
func NewJoiner(sink ingest.Sink) *Joiner { return &Joiner{sink: sink} }

// Next says that another recording begins.
func (j *Joiner) Next() {
	j.settle()
	if ends := j.ends(); len(ends) > 0 {
		j.before = ends
	}
	j.spans = [ingest.MaxTracks]span{}
	j.joining = j.before != nil
}

// Took delivers what is held, since the recording has ended, and tells whether it has taken any time.
func (j *Joiner) Took() bool {
	j.settle()
	for _, t := range j.spans {
		if t.seen && t.last != t.first {
			return true
		}
	}
	return false
}

// SetProgram implements ingest.Sink.
func (j *Joiner) SetProgram(p *ingest.Program) {
	j.program, j.media = p.Clone(), mediaOf(p)
	if j.joining {
		j.held = append(j.held, event{program: p})
		return
	}
	j.tell(p)
}

// WriteSample implements ingest.Sink.
func (j *Joiner) WriteSample(s ingest.Sample) {
	j.spans[s.Track].add(s)
	if !j.joining {
		j.forward(s)
		return
	}
	s.Data = bytes.Clone(s.Data)
	j.held, j.size = append(j.held, event{sample: s}), j.size+len(s.Data)
	if j.begun() {
		j.settle()
	}
}

func (t *span) add(s ingest.Sample) {
	if !t.seen {
		*t = span{seen: true, first: s.DTS, last: s.DTS, pts: s.PTS}
	}
	if step := s.DTS - t.last; step > 0 && step < maxJump {
		t.step = step
	}
	if s.DTS < t.last { // a jump within the recording
		t.pts = s.PTS
	}
	t.last, t.pts = s.DTS, max(t.pts, s.PTS)
}

// begun tells whether enough is held to know where the recording begins.
func (j *Joiner) begun() bool {
	if j.size > holdBytes {
		return true
	}
	all := true
	for i, t := range j.spans {
		if t.seen && t.last-t.first > holdTime {
			return true
		}
		all = all && (t.seen || !j.media[i])
	}
	return all
}

// settle ends a join if something is held.
func (j *Joiner) settle() {
	if !j.joining || len(j.held) == 0 {
		return
	}
	held := j.held
	j.shift = j.distance()
	j.joining, j.held, j.size = false, nil, 0
	same := alike(j.program, j.told)
	for i := range j.broken {
		j.broken[i] = !same
	}
	for _, e := range held {
		switch {
		case e.program == nil:
			j.forward(e.sample)
		case !same || alike(e.program, j.told) && !reflect.DeepEqual(e.program.Events, j.told.Events):
			j.tell(e.program)
		}
	}
}

// alike tells whether two programs are the same but for their guides, which change without any change to the tracks.
func alike(p, q *ingest.Program) bool {
	a, b := *p, *q
	a.Events, b.Events = nil, nil
	return reflect.DeepEqual(a, b)
}

// distance is by how much the recording that is held moves.
func (j *Joiner) distance() (shift int64) {
	known, late := false, int64(0)
	firsts := j.firsts()
	for r, first := range firsts {
		if last, ok := j.before[r]; ok {
			if by := max(last.dts-first.dts, last.pts-first.pts); !known || by > shift {
				shift, known = by, true
			}
		}
	}
	if known {
		return shift
	}
	for _, last := range j.before { // nothing goes on: all begins when everything has ended
		late = max(late, last.pts)
	}
	for _, first := range firsts {
		if by := late - first.dts; !known || by > shift {
			shift, known = by, true
		}
	}
	return shift
}

// firsts are the lowest times of each track that are held.
func (j *Joiner) firsts() map[role]end {
	out := make(map[role]end)
	roles := rolesOf(j.program)
	for _, e := range j.held {
		r, ok := roles[e.sample.Track]
		if e.program != nil || !ok {
			continue
		}
		first, seen := out[r]
		if !seen {
			first = end{e.sample.DTS, e.sample.PTS}
		}
		out[r] = end{min(first.dts, e.sample.DTS), min(first.pts, e.sample.PTS)}
	}
	return out
}

// ends are where the tracks of the recording at hand have come to. The last sample lasts as long as the one before.
func (j *Joiner) ends() map[role]end {
	if j.program == nil || j.joining {
		return nil
	}
	out := make(map[role]end)
	for id, r := range rolesOf(j.program) {
		if t := j.spans[id]; t.seen {
			out[r] = end{t.last + t.step + j.shift, t.pts + t.step + j.shift}
		}
	}
	return out
}

// rolesOf gives a role to each track whose times are the program's.
func rolesOf(p *ingest.Program) map[uint8]role {
	out := make(map[uint8]role)
	var count [3]int
	media := mediaOf(p)
	for _, t := range p.Tracks {
		kind := byte(2)
		switch {
		case t.Codec.IsVideo():
			kind = 0
		case t.Codec.IsAudio():
			kind = 1
		}
		if media[t.ID] {
			out[t.ID] = role{kind, count[kind]}
		}
		count[kind]++
	}
	return out
}

// tell passes a program on. What is told is another's from then on, so a copy is kept.
func (j *Joiner) tell(p *ingest.Program) {
	j.told = p.Clone()
	j.sink.SetProgram(p)
}

func (j *Joiner) forward(s ingest.Sample) {
	if j.broken[s.Track] {
		j.broken[s.Track] = false
		s.Flags |= ingest.Discontinuity
	}
	s.PTS += j.shift
	s.DTS += j.shift
	j.sink.WriteSample(s)
}
