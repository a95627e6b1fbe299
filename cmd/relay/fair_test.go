package main

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		total uint64
		wants []uint64
		want  []uint64
	}{
		{10, nil, []uint64{}},
		{10, []uint64{20}, []uint64{10}},
		{10, []uint64{3}, []uint64{3}},
		{30, []uint64{5, 100, 100}, []uint64{5, 12, 13}},
		{30, []uint64{100, 5, 100}, []uint64{12, 5, 13}},
		{30, []uint64{1, 2, 3}, []uint64{1, 2, 3}},
		{2, []uint64{9, 9, 9}, []uint64{0, 1, 1}},
		{math.MaxUint64, []uint64{math.MaxUint64, math.MaxUint64}, []uint64{math.MaxUint64 / 2, math.MaxUint64/2 + 1}},
	} {
		if got := divide(c.total, c.wants); !slices.Equal(got, c.want) {
			t.Errorf("divide(%d, %d): got %d, want %d", c.total, c.wants, got, c.want)
		}
	}
}

func sum(list []uint64) (s uint64) {
	for _, v := range list {
		s += v
	}
	return s
}

// Whatever channels do: never more than the total, never less than an eighth of an equal share, nearly all is given away, and who wants more
// than another does not get less.
func TestSharesAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "channels")
		total := rapid.Uint64Range(uint64(n)*1000, 100e9).Draw(t, "total")
		loads := make([]load, n)
		for i := range loads {
			loads[i] = load{
				used: rapid.Uint64Range(0, 2*total).Draw(t, "used"),
				cap:  rapid.Uint64Range(0, total).Draw(t, "cap"),
				full: rapid.Bool().Draw(t, "full"),
			}
		}
		got := shareUp(total, loads)
		if s := sum(got); s > total || total-s > uint64(2*n) {
			t.Fatalf("of %d gave %d", total, s)
		}
		for i, part := range got {
			if part < total/uint64(idleShare*n) {
				t.Fatalf("channel %d of %d starves with %d of %d", i, n, part, total)
			}
			for k, other := range got {
				if loads[i].hungry() && !loads[k].hungry() && part+2 < other {
					t.Fatalf("a channel at its limit got %d, one with room %d", part, other)
				}
			}
		}
	})
}

// crowd plays seconds in which channels send as much as their viewers take and their caps let them.
func crowd(total uint64, seconds int, demand func(second int) []uint64) (caps []uint64) {
	loads := make([]load, len(demand(0)))
	for s := range seconds {
		caps = shareUp(total, loads)
		for i, want := range demand(s) {
			loads[i] = load{used: min(want, caps[i]), cap: caps[i]}
		}
	}
	return caps
}

func TestSharesFollowDemand(t *testing.T) {
	const M = 1_000_000
	constant := func(d ...uint64) func(int) []uint64 { return func(int) []uint64 { return d } }
	for _, c := range []struct {
		name    string
		total   uint64
		seconds int
		demand  func(int) []uint64
		atLeast []uint64
	}{
		{"all have enough", 50 * M, 3, constant(5*M, 20*M, 0), []uint64{5 * M, 20 * M, 2 * M}},
		{"one wants all", 50 * M, 4, constant(0, 200*M, 0), []uint64{2 * M, 45 * M, 2 * M}},
		{"more than there is", 50 * M, 5, constant(100*M, 100*M), []uint64{24 * M, 24 * M}},
		{"a small one among big ones", 50 * M, 5, constant(4*M, 100*M, 100*M), []uint64{4 * M, 20 * M, 20 * M}},
		{
			"a crowd comes to one that was idle, while another is busy", 50 * M, 14, func(s int) []uint64 {
				if s < 10 {
					return []uint64{100 * M, 0}
				}
				return []uint64{100 * M, 100 * M}
			},
			[]uint64{24 * M, 24 * M},
		},
		{"hardly anything to give", 8000, 5, constant(100*M, 100*M, 0, 0), []uint64{1000, 1000, 250, 250}},
	} {
		caps := crowd(c.total, c.seconds, c.demand)
		for i := range caps {
			if caps[i] < c.atLeast[i] {
				t.Errorf("%s: got %d, want at least %d", c.name, caps, c.atLeast)
				break
			}
		}
		if s := sum(caps); s > c.total {
			t.Errorf("%s: gave %d of %d", c.name, s, c.total)
		}
	}
}

// Small channels keep what they have, big ones the same, and the disk is used as a whole.
func TestDiskIsShared(t *testing.T) {
	const G = 1 << 30
	for _, c := range []struct {
		total uint64
		held  []uint64
		want  []uint64 // in GiB, rounded
	}{
		{100 * G, []uint64{0}, []uint64{100}},
		{100 * G, []uint64{0, 0}, []uint64{50, 50}},
		{100 * G, []uint64{98 * G, 0}, []uint64{99, 1}},
		{100 * G, []uint64{90 * G, 10 * G}, []uint64{90, 10}},
		{100 * G, []uint64{50 * G, 50 * G}, []uint64{50, 50}},
		{100 * G, []uint64{70 * G, 20 * G, 10 * G}, []uint64{70, 20, 10}},
		{10 * G, []uint64{50 * G, 50 * G}, []uint64{5, 5}}, // the operator wants less now
	} {
		got := shareDisk(c.total, c.held)
		if s := sum(got); s > c.total {
			t.Errorf("gave %d of %d", s, c.total)
		}
		for i, part := range got {
			if (part+G/2)/G != c.want[i] {
				t.Errorf("%d of %v: got %d GiB, want %d", c.total/G, c.held, part/G, c.want)
			}
		}
	}
}

// A channel that grows takes over its equal part from one that had all, step by step.
func TestDiskGoesToWhoGrows(t *testing.T) {
	const total = 10 << 30
	held := []uint64{total, 0}
	for range 100 {
		parts := shareDisk(total, held)
		held[0] = min(held[0], parts[0])
		held[1] = min(held[1]+diskStep/2, parts[1])
		if sum(held) > total {
			t.Fatalf("holds %d of %d", held, total)
		}
	}
	if held[1] < total/2-diskStep || held[0] < total/2-diskStep {
		t.Errorf("got %d, want half for either", held)
	}
}
