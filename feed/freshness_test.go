package feed_test

import (
	"strings"
	"testing"
	"time"

	"tailcast/feed"
)

func TestFreshness(t *testing.T) {
	now := time.Date(2026, 8, 23, 20, 15, 0, 0, time.UTC)
	const min5 = 5 * time.Minute
	clocks := func(offset time.Duration, subnets ...string) (p []feed.PeerClock) {
		for _, s := range subnets {
			p = append(p, feed.PeerClock{Subnet: s, Offset: offset})
		}
		return p
	}
	// live is what a viewer of a live broadcast sees, age being how old the newest record is by our clock.
	live := func(age time.Duration) feed.FreshnessInput {
		return feed.FreshnessInput{Now: now, Newest: now.Add(-age), Window: 10 * time.Second, Advance: 10 * time.Second, Silent: 100 * time.Millisecond}
	}
	with := func(in feed.FreshnessInput, change func(*feed.FreshnessInput)) feed.FreshnessInput {
		change(&in)
		return in
	}
	for _, c := range []struct {
		name string
		in   feed.FreshnessInput
		want feed.FreshnessState
		text string
	}{
		{"nothing yet", feed.FreshnessInput{Now: now}, feed.Waiting, "first verified block"},
		{"live", live(900 * time.Millisecond), feed.Live, "0.9 s behind"},
		{"live, the first second", feed.FreshnessInput{Now: now, Newest: now}, feed.Live, ""},
		{"live, our clock a little slow", live(-4 * time.Second), feed.Live, "0.0 s"},
		{"stalled", with(live(9*time.Second), func(in *feed.FreshnessInput) { in.Silent = 9 * time.Second; in.Advance = time.Second }), feed.Behind, "9.0 s"},
		{"late", live(42 * time.Second), feed.Behind, "42 s"},
		{"ended just now", with(live(2*time.Second), func(in *feed.FreshnessInput) { in.Ended = true }), feed.Behind, "ended 2.0 s ago"},
		{"ended yesterday", with(live(24*time.Hour), func(in *feed.FreshnessInput) { in.Ended = true }), feed.Recorded, "22 August 2026 at 20:15"},

		{"yesterday replayed fast", with(live(24*time.Hour), func(in *feed.FreshnessInput) { in.Advance = time.Hour }), feed.Recorded, "22 August"},
		{"yesterday replayed in real time", live(24 * time.Hour), feed.Recorded, "22 August"},
		{"five minutes ago replayed", live(min5), feed.Behind, "5 min"},

		{"our clock 5 min fast, peers know", with(live(min5), func(in *feed.FreshnessInput) { in.Peers = clocks(-min5, "a", "b") }), feed.Live, ""},
		{"our clock 5 min slow, peers know", with(live(-min5), func(in *feed.FreshnessInput) { in.Peers = clocks(min5, "a", "b") }), feed.Live, ""},
		{"our clock 5 min fast, no peers", live(min5), feed.Behind, "5 min"},
		{"our clock 5 min slow, no peers", live(-min5), feed.Waiting, "ahead of ours"},
		{"our clock 5 min slow: 5 min ago replayed looks live", with(live(0), func(in *feed.FreshnessInput) { in.Peers = clocks(min5, "a", "b") }), feed.Behind, "5 min"},
		{"wrong clock, watched too briefly", with(live(min5), func(in *feed.FreshnessInput) {
			in.Peers = clocks(-min5, "a", "b")
			in.Window, in.Advance = time.Second, time.Second
		}), feed.Waiting, "clock is 5 min wrong"},
		{"wrong clock, replayed fast", with(live(min5), func(in *feed.FreshnessInput) {
			in.Peers = clocks(-min5, "a", "b")
			in.Advance = 20 * time.Second
		}), feed.Waiting, ""},
		{"wrong clock, silent", with(live(min5), func(in *feed.FreshnessInput) {
			in.Peers = clocks(-min5, "a", "b")
			in.Silent = 4 * time.Second
		}), feed.Waiting, ""},
		{"wrong clock, somebody has more", with(live(min5), func(in *feed.FreshnessInput) {
			in.Peers = clocks(-min5, "a", "b")
			in.Higher = true
		}), feed.Waiting, ""},

		{"yesterday, liars of one subnet", with(live(24*time.Hour), func(in *feed.FreshnessInput) {
			in.Peers = clocks(-24*time.Hour, "a", "a", "a", "a")
		}), feed.Recorded, "22 August"},
		{"yesterday, as many liars as honest subnets", with(live(24*time.Hour), func(in *feed.FreshnessInput) {
			in.Peers = append(clocks(-24*time.Hour, "a", "b"), clocks(0, "c", "d")...)
		}), feed.Recorded, ""},
		{"live, a lying minority", with(live(time.Second), func(in *feed.FreshnessInput) {
			in.Peers = append(clocks(-24*time.Hour, "a", "b"), clocks(time.Second, "c", "d", "e")...)
		}), feed.Live, ""},
		{"live, peers that agree on nothing", with(live(time.Second), func(in *feed.FreshnessInput) {
			in.Peers = append(clocks(time.Hour, "a"), append(clocks(2*time.Hour, "b"), clocks(3*time.Hour, "c")...)...)
		}), feed.Live, ""},
		{"live, a subnet that contradicts itself", with(live(time.Second), func(in *feed.FreshnessInput) {
			in.Peers = append(clocks(time.Hour, "a", "b"), clocks(-time.Hour, "b")...)
		}), feed.Live, ""},
		{"the clock of the broadcaster is ahead", with(live(-min5), func(in *feed.FreshnessInput) { in.Peers = clocks(0, "a", "b", "c") }), feed.Waiting, "5 min ahead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := feed.Freshness(c.in)
			if got.State != c.want || !strings.Contains(got.Text, c.text) {
				t.Errorf("got %v, %q, want %v, ...%q...", got.State, got.Text, c.want, c.text)
			}
			if got.State == feed.Live && (got.Behind < 0 || got.Behind > 5*time.Second) {
				t.Errorf("live, but behind by %v", got.Behind)
			}
		})
	}
}
