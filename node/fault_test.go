package node

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tailcast/feed/feedtest"
)

// What a signer did is shown with its epoch, also when the next one is on air; only the fault of the newest stalls.
func TestFaultsAreShown(t *testing.T) {
	crook := feedtest.NewCrook(t)
	a := crook.Epoch(t, 1000, 1)
	b := a.Split()
	a.Air(5, 1)
	b.Air(5, 2)
	s := Status{State: StateLive}
	s.condemn(a.Replica)
	if s.State != StateLive || len(s.Faults) != 0 || s.Faults == nil {
		t.Errorf("got %+v, want live, and an empty list", s)
	}
	p, err := a.Log(feedtest.Rendition).Contradicts(b.Log(feedtest.Rendition).Head())
	if err != nil {
		t.Fatal(err)
	}
	e := a.Replica.Current()
	if _, err := e.AddFault(p); err != nil {
		t.Fatal(err)
	}
	s.condemn(a.Replica)
	reason := "the broadcaster's key signed two different histories of main; nobody follows this run of the channel any further, but the next one"
	want := Fault{Epoch: e.ID().String(), Log: "main", Index: 5, Kind: "fork", Reason: reason}
	if s.State != StateStalled || s.Reason != reason || len(s.Faults) != 1 || s.Faults[0] != want {
		t.Errorf("got %+v, want stalled, %+v", s, want)
	}
	ended := Status{State: StateEnded}
	if ended.condemn(a.Replica); ended.State != StateEnded {
		t.Errorf("got %v, want what has ended to have ended", ended.State)
	}
	if _, err := a.Replica.AddNotes(crook.Epoch(t, 2000, 1).Notes); err != nil {
		t.Fatal(err)
	}
	next := Status{State: StateLive}
	if next.condemn(a.Replica); next.State != StateLive || len(next.Faults) != 1 {
		t.Errorf("in the next epoch: got %+v, want live, and the fault of the one before", next)
	}
	wantGauge(t, next.Faults, map[string]float64{"fork": 1, "rule": 0, "anchor": 0})
}

// wantGauge checks what /metrics says of faults.
func wantGauge(t *testing.T, faults []Fault, want map[string]float64) {
	t.Helper()
	got := make(map[string]float64)
	faultsByKind(faults, func(_ *prometheus.Desc, v float64, labels ...string) { got[labels[0]] = v })
	for kind, n := range want {
		if got[kind] != n || len(got) != len(want) {
			t.Errorf("tailcast_faults: got %v, want %v", got, want)
		}
	}
}
