package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

func hear(ctx context.Context, h http.Handler, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// What is told is what /api/v1/status answers, at most twice a second however many listen, and it ends with the request.
func TestEventsTellTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		e := NewEvents(func() any { made++; return Status{Role: "viewer", Uptime: float64(made)} })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		for range 3 {
			go hear(ctx, e)
		}
		w := hear(ctx, e)
		synctest.Wait()
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("got %d %v, want 200, an event stream, no CORS", w.Code, w.Header())
		}
		if made < 20 || made > 22 {
			t.Errorf("the status was made %d times in 10 s, want 21", made)
		}
		n := 0
		for lines := bufio.NewScanner(bytes.NewReader(w.Body.Bytes())); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			n++
			var s Status
			if err := json.Unmarshal([]byte(data), &s); err != nil || s.Role != "viewer" {
				t.Fatalf("event %d: %q: %v", n, data, err)
			}
		}
		if n != 21 {
			t.Errorf("got %d events in 10 s, want 21", n)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents(func() any { return Status{} })
		ctx, cancel := context.WithCancel(t.Context())
		for range eventClients {
			go hear(ctx, e)
		}
		synctest.Wait()
		if w := hear(ctx, e); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("client %d: got %d, want 503", eventClients+1, w.Code)
		}
		cancel()
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if w := hear(gone, e); w.Code != 200 {
			t.Errorf("after the others have left: got %d, want 200", w.Code)
		}
	})
}

func TestEventsRefuseOtherSites(t *testing.T) {
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example", "Referer": "http://evil.example/"} {
		if w := hear(t.Context(), NewEvents(nil), header, value); w.Code != 403 {
			t.Errorf("%s: got %d, want 403", header, w.Code)
		}
	}
}

// Each byte that is signed counts once for everybody who is there then; a new epoch, whose count begins anew, takes nothing away.
func TestAudience(t *testing.T) {
	var a audience
	sw := &swarm.Status{Heard: 3, Peers: []swarm.Peer{{Role: quicwire.Viewer}, {Role: quicwire.Relay}, {Role: quicwire.Streamer}}}
	s := func(appended uint64) *Status { return &Status{Bytes: Bytes{Appended: appended, WireSent: 700}} }
	if a.now(&Host{cfg: HostConfig{Role: Viewer}}, sw, s(1)) != nil {
		t.Error("a viewer claims to know the audience")
	}
	h := &Host{cfg: HostConfig{Role: Streamer}}
	for _, c := range []struct{ appended, want uint64 }{{1000, 0}, {1000, 0}, {1100, 500}, {30, 500}, {50, 600}} {
		if got := *a.now(h, sw, s(c.appended)); got != (Audience{Connected: 2, HeardOf: 3, Delivered: c.want, Sent: 700}) {
			t.Errorf("after %d bytes: got %+v, want %d delivered", c.appended, got, c.want)
		}
	}
}

// TestInnerNodeIsNoAudience: neither is it counted, nor what was sent to it, in one session and the next.
func TestInnerNodeIsNoAudience(t *testing.T) {
	key := feed.PublicKey{1}
	h, a := &Host{cfg: HostConfig{Role: Streamer}, inner: &key}, audience{}
	for i, c := range []struct{ wire, inner, want uint64 }{{0, 0, 0}, {900, 500, 400}, {1500, 1000, 500}, {1700, 100, 600}, {2000, 200, 800}} {
		sw := &swarm.Status{Peers: []swarm.Peer{{Node: key, Role: quicwire.Viewer, Sent: c.inner}, {Role: quicwire.Viewer}}}
		got := *a.now(h, sw, &Status{Bytes: Bytes{Appended: 100 * uint64(i), WireSent: c.wire}})
		if want := (Audience{Connected: 1, Delivered: 100 * uint64(i), Sent: c.want}); got != want {
			t.Errorf("status %d: got %+v, want %+v", i, got, want)
		}
	}
}

// Peers must agree before a clock is called wrong, and by more than a little.
func TestClockError(t *testing.T) {
	clock := func(offsets ...time.Duration) (list []feed.PeerClock) {
		for _, o := range offsets {
			list = append(list, feed.PeerClock{Offset: o})
		}
		return list
	}
	for _, c := range []struct {
		peers []feed.PeerClock
		want  time.Duration
	}{
		{nil, 0},
		{clock(time.Second), 0},
		{clock(5 * time.Minute), 5 * time.Minute},
		{clock(-time.Minute, -62*time.Second), -61 * time.Second},
		{clock(time.Hour, 0), 0},
		{clock(time.Hour, time.Hour+10*time.Second), 0},
	} {
		if got := clockError(c.peers); got != c.want {
			t.Errorf("%v: got %v, want %v", c.peers, got, c.want)
		}
	}
}

func TestWayToPeer(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:1": "this machine", "[::1]:1": "this machine", "192.168.3.4:5": "lan", "[fe80::1]:5": "lan", "10.1.2.3:4": "lan",
		"[::ffff:10.1.2.3]:4": "lan", "198.51.100.7:4433": "direct", "[2001:db8::1]:4433": "direct", "nonsense": "direct",
	} {
		if got := wayTo(addr, Viewer); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	if got := wayTo("192.168.3.4:5", Relay); got != "relay" {
		t.Errorf("a relay: got %s", got)
	}
}
