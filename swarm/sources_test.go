package swarm

import (
	"testing"

	"tailcast/feed"
)

// What people are told of where stripes come from is what the Mesh does, and who was shut out is named with the reason.
func TestStatusNamesSources(t *testing.T) {
	s := following(t, MeshConfig{})
	st := s.m.status(s.now)
	if len(st.Stripes) != 2 {
		t.Fatalf("got %+v, want two stripes", st.Stripes)
	}
	for i, x := range st.Stripes {
		if want := (Stripe{Log: "tv", Number: i, From: shortName(key(1)), Hops: 2, Flows: true}); x != want {
			t.Errorf("stripe %d: got %+v, want %+v", i, x, want)
		}
	}
	got := uint64(0)
	for _, p := range st.Peers {
		got += p.Blocks
	}
	if got != st.Blocks.Verified || got < 100 {
		t.Errorf("%d blocks of peers, %d verified; want as many", got, st.Blocks.Verified)
	}
	if st.Blocks.ByOthers != st.Blocks.Verified {
		t.Errorf("%d of %d blocks by others, want all: no peer is the streamer", st.Blocks.ByOthers, st.Blocks.Verified)
	}
	if len(st.Refused) != 0 {
		t.Errorf("refused %+v, want nobody", st.Refused)
	}
	s.do(BlockBad{Session: 1, Log: tv(today), Index: 100, Err: feed.ErrPayload})
	st = s.m.status(s.now)
	if len(st.Refused) != 1 || st.Refused[0].ID != shortName(key(1)) || st.Refused[0].Why == "" || !st.Refused[0].At.Equal(s.now) || st.Blocks.Rejected != 1 {
		t.Errorf("got %+v, %d rejected; want session 1 with a reason", st.Refused, st.Blocks.Rejected)
	}
	for range 3 * maxRefused {
		s.m.shun(s.m.peer(2), "did it again")
	}
	if n := len(s.m.status(s.now).Refused); n != maxRefused {
		t.Errorf("%d are remembered, want %d", n, maxRefused)
	}
}
