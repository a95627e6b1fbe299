package e2e

import (
	"io"
	"net/http"
	"testing"
)

// innerStatus is what the streamer says besides, of the viewer inside it and of who watches.
type innerStatus struct {
	Role, State, Link string
	Blocks            struct {
		Verified uint64
		ByOthers uint64 `json:"by_others"`
	}
	Peers    []struct{ Inner bool }
	Audience *struct {
		Connected int
		HeardOf   int `json:"heard_of"`
	}
}

// TestPreview: below the streamer's page is that of a viewer, which gets the stream by the swarm and verifies it as soon as somebody watches, and is
// no audience.
func TestPreview(t *testing.T) {
	need(t)
	beside(t, 1)
	s := streamer(t, "demo")
	asViewer, asStreamer := "/c/viewer/api/v1/status", "/api/v1/status"
	untilAt(t, s, asStreamer, "live, with nobody", func(s innerStatus) bool { return s.State == "live" && len(s.Peers) == 0 })
	untilAt(t, s, asViewer, "resting", func(v innerStatus) bool { return v.Role == "viewer" && v.State == "stalled" && v.Blocks.Verified == 0 })

	r, err := http.Get(s.HTTP + "/c/viewer/live.ts")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	packets := make([]byte, 188*1000)
	if _, err := io.ReadFull(r.Body, packets); err != nil || packets[0] != 0x47 || packets[188] != 0x47 {
		t.Fatalf("got %s, % x, %v, want a transport stream", r.Status, packets[:4], err)
	}
	v := untilAt(t, s, asViewer, "live", func(v innerStatus) bool { return v.State == "live" && v.Blocks.Verified > 0 })
	if v.Role != "viewer" || v.Link != s.Link || v.Audience != nil {
		t.Errorf("got %+v, want a viewer of %s", v, s.Link)
	}
	with := untilAt(t, s, asStreamer, "it has that viewer", func(s innerStatus) bool { return len(s.Peers) == 1 && s.Peers[0].Inner })
	if with.Audience.Connected+with.Audience.HeardOf > 0 {
		t.Errorf("its own viewer is audience: %+v", with.Audience)
	}
}

// TestPreviewTakesNoPlace: where a viewer that passes the stream on has the streamer's only places, the one inside gets it from that viewer.
func TestPreviewTakesNoPlace(t *testing.T) {
	need(t)
	beside(t, 2)
	s := streamer(t, "demo", "--copies", "1")
	until(t, viewer(t, s.LinkTo()), "live", live)
	r, err := http.Get(s.HTTP + "/c/viewer/live.ts")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	untilAt(t, s, "/c/viewer/api/v1/status", "most comes from the viewer", func(v innerStatus) bool {
		return v.State == "live" && v.Blocks.ByOthers > 50 && 2*v.Blocks.ByOthers > v.Blocks.Verified
	})
	untilAt(t, s, "/api/v1/status", "one watches", func(s innerStatus) bool {
		return s.Audience.Connected == 1 && s.Audience.HeardOf == 0 && len(s.Peers) == 2
	})
}
