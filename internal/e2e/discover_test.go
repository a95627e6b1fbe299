package e2e

import (
	"strings"
	"testing"
)

// TestViewerFindsPeersOfTheLastRun: the node that the link names is gone, and who was there before gets in all the same.
func TestViewerFindsPeersOfTheLastRun(t *testing.T) {
	need(t)
	beside(t, 1)
	s, data := streamer(t, "demo"), t.TempDir()
	v := start(t, "viewer", nil, s.LinkTo(), "--data", data)
	until(t, v, "fed by a peer for some seconds", func(s status) bool { return live(s) && len(s.Peers) > 0 && s.Blocks.Verified > 100 })
	if err := v.Stop(); err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(s.Link, "?")
	stale := name + "?a=127.0.0.1:" + freePort(t)
	stranger := viewer(t, stale)
	again := start(t, "viewer", nil, stale, "--data", data)
	until(t, again, "live", live)
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}
	until(t, start(t, "viewer", nil, name, "--data", data), "live without an address in the link", live)
	if s, err := getStatus(stranger); err != nil || live(s) {
		t.Errorf("%v; who was never there is %q by a link whose node is gone", err, s.State)
	}
}
