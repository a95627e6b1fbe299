package switcher

import (
	"fmt"
	"strings"
	"time"

	"tailcast/ingest"
)

// State of an input.
type State string

// An input is waiting until it delivers for the first time, then standby or on air as long as it delivers; while it does not, it is down.
//
//	waiting ─▶ standby ⇄ on air
//	             ⇅         ⇅
//	             └─▶ down ◀┘
const (
	Waiting State = "waiting"
	Standby State = "standby"
	OnAir   State = "on air"
	Down    State = "down"
)

// Status is what is known of an input.
type Status struct {
	Name    string
	Slate   bool
	State   State
	OnAir   bool        // the newest sample that went on was its, though it may be down
	Reason  string      // why it is in that state, for people; may be empty
	Error   string      // with which it last ended
	Drift   float64     // by how many millionths its clock is faster than ours
	Drifts  bool        // Drift is known
	Dropped uint64      // samples for which there was no room
	Left    ingest.Left // samples that did not go on for other reasons
	Missing []string    // tracks that have stopped while others of it go on, as "sound (eng)"
}

// Status tells of all inputs, in their order, and how often they were switched; at any time.
func (s *Switcher) Status() (inputs []Status, switches uint64) {
	now := time.Now()
	s.mu.Lock()
	on, switches := s.on, s.switches
	s.mu.Unlock()
	for i, l := range s.lanes {
		inputs = append(inputs, l.status(now, i == on))
	}
	return inputs, switches
}

func (l *lane) status(now time.Time, on bool) Status {
	reason := l.condition(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Status{Name: l.name, Slate: l.slate, OnAir: on, Reason: reason, Dropped: l.dropped, Left: l.left, Missing: l.missedLocked(), State: Down}
	st.Drift, st.Drifts = l.drift.ppm()
	if l.err != nil {
		st.Error = l.err.Error()
	}
	switch {
	case l.aliveLocked(now) && on:
		st.State = OnAir
	case l.aliveLocked(now):
		st.State = Standby
	case l.slate && !l.ended, l.last.IsZero() && l.err == nil && !l.ended:
		st.State = Waiting
	}
	return st
}

// condition says what ails an input; empty if nothing does.
func (l *lane) condition(now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	pictures := "sound has"
	if l.lead.Codec.IsVideo() {
		pictures = "pictures have"
	}
	silent := now.Sub(l.picture).Round(time.Second)
	switch {
	case l.ended && l.err == nil:
		return "it has ended"
	case l.aliveLocked(now):
		return lost(l.missedLocked())
	case l.slate:
		return "shown when there is nothing else"
	case !l.running && l.err != nil:
		return "it failed and is tried again: " + l.err.Error()
	case l.last.IsZero():
		return "nothing has come yet"
	case now.Sub(l.last) <= l.stall && !l.picture.IsZero():
		return fmt.Sprintf("%s stopped %v ago, though something still comes", pictures, silent)
	}
	return fmt.Sprintf("nothing has come for %v", now.Sub(l.last).Round(time.Second))
}

// lost says what of an input has stopped; empty if nothing has.
func lost(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "no more " + strings.Join(names, " and ") + ", though the rest goes on"
}
