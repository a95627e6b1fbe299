package swarm

import (
	"fmt"
	"testing"
	"time"

	"tailcast/quicwire"
)

// homesOf returns which stripes of tv are homes.
func (s *script) homesOf() (list []int) {
	for i := range s.tv().stripes {
		if s.tv().stripes[i].home {
			list = append(list, i)
		}
	}
	return list
}

// A node passes on no more stripes than its uplink gives a good fan-out each; they are evenly spaced. Nobody is interior in most stripes with
// two or three children each: such trees are deep.
func TestHomes(t *testing.T) {
	for _, c := range []struct {
		stripes int
		times   float64 // uplink, in streams
		most    int
	}{{16, 0.5, 2}, {16, 1.25, 4}, {16, 2, 7}, {16, 10, 16}, {16, 100, 16}, {8, 2, 3}, {1, 2, 1}, {32, 1, 7}} {
		t.Run(fmt.Sprint(c.stripes, " stripes, ", c.times, " times"), func(t *testing.T) {
			for seed := range uint64(5) {
				s := newStriped(t, 1, c.stripes, MeshConfig{Seed: seed, Up: uint64(c.times * 8 * 2400 * 40)})
				s.do(Tick{})
				s.answers(1)
				s.up(1, 0, today, 10*ms)
				s.status(1, today, 1, 1)
				s.flow(0, 40*60)
				homes := s.homesOf()
				slots, fan := s.m.slots(), s.m.bestFan(s.tv())
				want := min(c.stripes, (slots+fan-1)/fan) // homes are not given up for little
				if len(homes) == 0 || 2*len(homes) > 3*want+1 || len(homes) > c.most {
					t.Fatalf("%d homes with %d slots and a best fan-out of %d, want about %d, at most %d", len(homes), slots, fan, want, c.most)
				}
				if n := len(homes); n > 1 && n <= c.stripes/2 {
					for k := range homes {
						next := homes[(k+1)%n]
						d := (next - homes[k] + c.stripes) % c.stripes
						if d < c.stripes/n-1 || d > (c.stripes+n-1)/n+1 {
							t.Errorf("homes %v of %d, want them evenly spaced", homes, c.stripes)
						}
					}
				}
			}
		})
	}
}

// Who shares nothing has no homes; a source has all stripes.
func TestHomesOfOthers(t *testing.T) {
	s := following(t, MeshConfig{NoShare: true})
	if got := s.homesOf(); len(got) > 0 {
		t.Errorf("who shares nothing has homes %v", got)
	}
	s = sourceScript(t, 8, 1, MeshConfig{})
	if got := s.homesOf(); len(got) != 8 {
		t.Errorf("a source has homes %v, want all", got)
	}
}

// A home without children moves to a stripe in which neighbours starve; homes are swapped, not added. One that has children stays.
func TestHomeMoves(t *testing.T) {
	for _, busy := range []bool{false, true} {
		s := serving(t, 8, 10, MeshConfig{Up: 600_000}) // one home
		homes := s.homesOf()
		if len(homes) != 1 {
			t.Fatalf("homes %v, want one", homes)
		}
		starved := (homes[0] + 4) % 8
		if busy {
			s.subscribe(2, uint8(homes[0]), true)
		}
		for k := range uint64(6) { // 6 s
			for n := 2; n <= 10; n++ {
				lags := make([]time.Duration, 8)
				lags[starved] = quicwire.NoLag
				s.claims(n, 5, lags...)
			}
			s.flow(100+40*k, 140+40*k)
		}
		got, want := s.homesOf(), starved
		if busy {
			want = homes[0]
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("busy %v: homes %v of before %v, want %d", busy, got, homes, want)
		}
	}
}

// Slots are what the uplink carries on the wire, less a reserve.
func TestSlots(t *testing.T) {
	for _, c := range []struct {
		times float64
		want  int
	}{{0.5, 7}, {1, 14}, {2, 28}, {10, 144}} {
		s := serving(t, 16, 1, MeshConfig{Up: uint64(c.times * 8 * 2400 * 40)})
		if got := s.m.slots(); got < c.want-1-c.want/50 || got > c.want+1+c.want/50 {
			t.Errorf("%d slots with an uplink of %.1f streams, want about %d", got, c.times, c.want)
		}
	}
}

// Homes that are added lie between those that are there, and never beside one.
func TestAddedHomesAreSpaced(t *testing.T) {
	for seed := range uint64(5) {
		s := newStriped(t, 1, 16, MeshConfig{Seed: seed, Up: 1.25 * 8 * 2400 * 40})
		s.do(Tick{})
		s.answers(1)
		s.up(1, 0, today, 10*ms)
		s.status(1, today, 1, 1)
		s.flow(0, 100)
		before := len(s.homesOf())
		s.do(Capped{5 * 8 * 2400 * 40})
		s.flow(100, 104)
		homes := s.homesOf()
		if len(homes) <= before {
			t.Fatalf("%d homes after %d, want more: the uplink is wider", len(homes), before)
		}
		for k, i := range homes {
			if next := homes[(k+1)%len(homes)]; (next-i+16)%16 < 2 {
				t.Errorf("homes %v of 16, want them apart", homes)
			}
		}
	}
}

// A stripe is asked of who is at home in it, though others are nearer: who serves all stripes to a few makes the trees deep.
func TestHomesAreAsked(t *testing.T) {
	s := newStriped(t, 0, 8, MeshConfig{})
	for n := 1; n <= 8; n++ {
		rtt := 10 * ms
		if n > 4 {
			rtt = 100 * ms
		}
		s.answers(n)
		s.joins(n, rtt)
	}
	var all []Action
	for n := 1; n <= 8; n++ {
		x := &quicwire.Status{Log: tv(today), Size: 1, Lags: make([]time.Duration, 8), Slots: 20}
		if n > 4 {
			x.Homes = 1<<8 - 1
		}
		all = append(all, s.says(n, x)...)
	}
	subs, to := sent[*quicwire.Sub](append(all, s.after(100*ms)...))
	for k, id := range to {
		if subs[k].Log == tv(today) && id <= 4 {
			t.Errorf("stripe %d is asked of %d, which is not at home in it", subs[k].Stripe, id)
		}
	}
	if len(subs) < 8 {
		t.Errorf("%d stripes are asked for, want 8", len(subs))
	}
}

// No stripe takes more than its share of the slots, but of who is in a hurry.
func TestFanOut(t *testing.T) {
	s := serving(t, 16, 60, MeshConfig{Up: 4 * 8 * 2400 * 40})
	fan := s.m.fan(s.tv())
	if fan < leastFan || s.m.slots() < 2*fan {
		t.Fatalf("a fan-out of %d with %d slots: the test shows nothing", fan, s.m.slots())
	}
	for n := 2; n <= 50; n++ {
		s.subscribe(n, 3, false)
	}
	if got := len(s.children(3)); got != fan {
		t.Errorf("a stripe goes to %d, want to %d, its share of %d slots", got, fan, s.m.slots())
	}
	urgent := &quicwire.Sub{Log: tv(today), Stripe: 3, Stripes: 16, Start: quicwire.StartNext, Urgent: true, Patience: patience}
	if oks := sentTo[*quicwire.SubOK](s.says(51, urgent), 51); len(oks) != 1 {
		t.Error("who is in a hurry got no place, although slots are free")
	}
}
