package ingest

import "sync/atomic"

// Cause is why a sample that came did not go on air, though there was room for it.
type Cause uint8

const (
	Overlap     Cause = iota // it lies before what was on air already, at a switch or at a jump
	Undecodable              // a picture that needs others, which are missing: at the beginning, or where an input comes on air
	Untimed                  // data with times that neither pictures nor sound have shown yet: where they lie is not known
	Unlisted                 // of a track that the table does not have
	Incomplete               // a section of which a packet is missing
	Second                   // of an encoder that pushes to where another is on air
	Causes                   // how many there are
)

// String is the cause as status and metrics have it.
func (c Cause) String() string {
	return [...]string{"overlap", "undecodable", "untimed", "unlisted", "incomplete", "second"}[c]
}

// Left counts what was left out, by cause.
type Left [Causes]uint64

// Add adds up counts.
func (l *Left) Add(m Left) {
	for c := range l {
		l[c] += m[c]
	}
}

// Map has those that are not zero by their names; nil if there are none.
func (l *Left) Map() (m map[string]uint64) {
	for c, n := range l {
		if n == 0 {
			continue
		}
		if m == nil {
			m = map[string]uint64{}
		}
		m[Cause(c).String()] = n
	}
	return m
}

// leavings are the counts of a source.
type leavings [Causes]atomic.Uint64

// Leave counts a sample that is left out.
func (s *Stats) Leave(c Cause) { s.left[c].Add(1) }

// Left is what was left out so far.
func (s *Stats) Left() (l Left) {
	for c := range l {
		l[c] = s.left[c].Load()
	}
	return l
}
