package feed

import (
	"fmt"
	"time"
)

// A PeerClock is the clock of a peer, as measured by a message of its and the round trip.
type PeerClock struct {
	Subnet string        // that of its address (/24 or /48, as netip.Prefix prints it): peers of one subnet have one voice
	Offset time.Duration // its clock minus ours
}

// FreshnessInput is all that Freshness looks at. Durations are measured by our monotonic clock.
type FreshnessInput struct {
	Now     time.Time     // our wall clock
	Newest  time.Time     // wall clock of the newest verified record; zero if there is none
	Silent  time.Duration // since a newer record was last verified
	Window  time.Duration // how long progress was watched: the last 10 s, or less after the start
	Advance time.Duration // how far Newest moved in Window
	Peers   []PeerClock
	Higher  bool // a peer shows a higher epoch, or a size of the log that is clearly above ours
	Ended   bool // the newest record ends its log
}

// A FreshnessState is the first word of what may be said about what is watched.
type FreshnessState int

// The states. Only Live promises that this happens now.
const (
	Waiting  FreshnessState = iota // nothing verified yet, or no way to tell
	Live                           // the newest record is as old as the network makes it
	Behind                         // by Verdict.Behind
	Recorded                       // at Verdict.Time, long ago
)

func (s FreshnessState) String() string {
	return [...]string{"waiting", "live", "behind", "recorded"}[s]
}

// A Verdict is what may be said about what is watched.
type Verdict struct {
	State  FreshnessState
	Behind time.Duration // how old the newest record is, by the better clock; 0 if Waiting
	Time   time.Time     // wall clock of the newest record
	Text   string        // a sentence for people
}

const (
	// liveWithin is how old the newest record may be, and how far two clocks may be apart and still agree.
	liveWithin = 5 * time.Second
	// recordedAfter is from when on what is watched is a recording, not a late broadcast.
	recordedAfter = 10 * time.Minute
	// minWindow is how long records must have advanced in real time before that counts for anything.
	minWindow = 3 * time.Second
	// maxSilence is how long a live log can be silent: there is a heartbeat each second.
	maxSilence = 3 * time.Second
)

// Freshness says whether what is watched is live. A neighbour may replay yesterday's broadcast, every record of it well signed, at any
// speed; our own clock may be minutes wrong. So (docs/feed.md, freshness):
//
//   - The newest record's wall clock within 5 s of ours: live.
//   - If peers of at least two subnets, and of more than agree with us, say that our clock is wrong, and agree on by how much: live
//     if the newest record is within 5 s of their clock, records advance in real time, and nobody shows a higher epoch or size.
//   - Else it is late, or a recording, and we say of when.
//
// A replay of yesterday fails at our clock, and if that is wrong, at those of the peers. Peers of one subnet count once: renting
// many addresses there moves nothing.
func Freshness(in FreshnessInput) Verdict {
	if in.Newest.IsZero() {
		return Verdict{State: Waiting, Text: "Waiting for the first verified block"}
	}
	offset, wrong := clockError(in.Peers)
	age := in.Now.Add(offset).Sub(in.Newest)
	v := Verdict{Behind: max(age, 0), Time: in.Newest}
	switch {
	case age < -liveWithin:
		v.State, v.Behind = Waiting, 0
		v.Text = fmt.Sprintf("The clock of the broadcast is %s ahead of ours: cannot tell whether it is live", about(-age))
	case in.Ended && age < recordedAfter:
		v.State, v.Text = Behind, fmt.Sprintf("The broadcast ended %s ago", about(v.Behind))
	case age >= recordedAfter:
		v.State, v.Text = Recorded, "Recorded on "+in.Newest.Format("2 January 2006 at 15:04")
	case age > liveWithin:
		v.State, v.Text = Behind, "Behind by "+about(age)
	case wrong && !in.inRealTime():
		v.State, v.Text = Waiting, fmt.Sprintf("Our clock is %s wrong: watching for a while whether this is live", about(offset.Abs()))
	default:
		v.State, v.Text = Live, fmt.Sprintf("Live, %.1f s behind", v.Behind.Seconds())
	}
	return v
}

// inRealTime reports whether records come as fast as time goes, and nobody has more.
func (in *FreshnessInput) inRealTime() bool {
	if in.Higher || in.Window < minWindow || in.Silent >= maxSilence {
		return false
	}
	ratio := in.Advance.Seconds() / in.Window.Seconds()
	return 0.7 <= ratio && ratio <= 1.3
}

// clockError returns what is to be added to our clock, and whether there is reason to: peers of at least two subnets agree on an error
// over 5 s, and more subnets say so than anything else. A subnet whose peers contradict each other says nothing.
func clockError(peers []PeerClock) (offset time.Duration, wrong bool) {
	voices := subnetVoices(peers)
	var best time.Duration
	most := 0
	for _, center := range voices {
		if n := agreeing(voices, center); n > most {
			best, most = center, n
		}
	}
	if most < 2 || most <= agreeing(voices, 0) || most <= len(voices)/2 || best.Abs() <= liveWithin {
		return 0, false
	}
	return best, true
}

// agreeing counts the voices within 5 s of an offset.
func agreeing(voices map[string]time.Duration, offset time.Duration) (n int) {
	for _, v := range voices {
		if (v - offset).Abs() <= liveWithin {
			n++
		}
	}
	return n
}

// subnetVoices returns one offset for each subnet whose peers agree.
func subnetVoices(peers []PeerClock) map[string]time.Duration {
	voices := make(map[string]time.Duration)
	split := make(map[string]bool)
	for _, p := range peers {
		if v, ok := voices[p.Subnet]; ok && (v-p.Offset).Abs() > liveWithin {
			split[p.Subnet] = true
		} else if !ok {
			voices[p.Subnet] = p.Offset
		}
	}
	for subnet := range split {
		delete(voices, subnet)
	}
	return voices
}

// about writes a duration as people say it.
func about(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
}
