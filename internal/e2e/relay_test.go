package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailcast/internal/command"
)

// relayStatus is the part of a relay's status that the tests look at.
type relayStatus struct {
	State    string
	Reason   string
	Channels []struct {
		Key    string
		State  string
		Reason string
		Peers  []struct{ ID, Role string }
		Bytes  struct{ Sent struct{ Media uint64 } }
	}
	Monthly struct {
		Month  string
		Sent   uint64 `json:"sent_bytes"`
		UsedUp bool   `json:"used_up"`
	}
}

// live reports whether the channel of a streamer is live at the relay.
func (s *relayStatus) live(of *command.Process) bool {
	for _, c := range s.Channels {
		if strings.HasPrefix(of.Link, "tailcast:"+c.Key[:50]) {
			return c.State == "live"
		}
	}
	return false
}

func untilRelay(t *testing.T, p *command.Process, what string, ok func(relayStatus) bool) relayStatus {
	t.Helper()
	return untilAt(t, p, "/api/v1/status", what, ok)
}

func relay(t *testing.T, args ...string) *command.Process {
	t.Helper()
	return start(t, "relay", nil, append(args, "--data", t.TempDir())...)
}

// without reports whether a viewer is live, and knows no relay any more.
func without(s status) bool {
	return live(s) && !slices.ContainsFunc(s.Peers, func(p struct{ Addr, Role string }) bool { return p.Role == "relay" })
}

// through is the link of a streamer's channel with the relay as its only anchor.
func through(relay, streamer *command.Process) string {
	key, _, _ := strings.Cut(streamer.Link, "?")
	return key + "?a=" + relay.Listen[0]
}

func list(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("# channels\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hangUp(t *testing.T, p *command.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// wrote waits until a command has written something to stderr.
func wrote(t *testing.T, p *command.Process, what string) {
	t.Helper()
	untilAt(t, p, "/healthz", "it writes "+what, func(any) bool { return strings.Contains(p.Stderr(), what) })
}

// stopInTime ends a command as an operator's machine does: with SIGTERM, and ten seconds of patience.
func stopInTime(t *testing.T, p *command.Process) {
	t.Helper()
	begin := time.Now()
	if err := p.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("%s took %v to end", p.Name, took)
	}
}

// TestRelay seeds two channels to viewers who know nobody else. Its lists are changed while it runs: one channel comes, another leaves, the third
// notices nothing. It ends within ten seconds.
func TestRelay(t *testing.T) {
	need(t)
	beside(t, 1)
	a, b, c := streamer(t, "demo"), streamer(t, "demo"), streamer(t, "demo")
	file := filepath.Join(t.TempDir(), "channels.txt")
	list(t, file, b.Link+"  # the second")
	r := relay(t, a.Link, "--links", file, "--max-up", "50M", "--disk", "1GB")
	if r.Role != "relay" || len(r.Links) != 2 || !strings.HasPrefix(r.Link, a.Link[:60]) || !strings.HasSuffix(r.Links[1], "~"+r.Pin[:52]) {
		t.Errorf("got %+v, want a relay with two links, each with its key", r.Ready)
	}
	onA, onB := viewer(t, through(r, a)), viewer(t, r.Links[1])
	until(t, onA, "live", live)
	until(t, onB, "live", live)
	before := untilRelay(t, r, "both live", func(s relayStatus) bool { return s.live(a) && s.live(b) && s.State == "live" })
	if !strings.HasPrefix(before.Reason, "Seeding 2 channels to ") || !strings.Contains(before.Reason, "allowed") {
		t.Errorf("the relay says %q", before.Reason)
	}
	checkFace(t, r, before)

	list(t, file, c.Link)
	hangUp(t, r)
	untilRelay(t, r, "the third has come and the second left", func(s relayStatus) bool { return len(s.Channels) == 2 && s.live(c) && !s.live(b) })
	until(t, viewer(t, through(r, c)), "live", live)
	until(t, onB, "live without the relay, which has told it of others", without)
	if err := os.WriteFile(file, []byte("tailcast:nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp(t, r)
	wrote(t, r, "couldn't take over the lists")
	list(t, file, c.Link, b.Link)
	hangUp(t, r)
	after := untilRelay(t, r, "all three live", func(s relayStatus) bool { return s.live(a) && s.live(b) && s.live(c) })
	for _, p := range before.Channels[0].Peers {
		if !slices.Contains(after.Channels[0].Peers, p) {
			t.Errorf("the first channel has lost %v: got %v", p, after.Channels[0].Peers)
		}
	}
	if s := until(t, onA, "live", live); s.Blocks.Missed > 0 || s.Blocks.Rejected > 0 {
		t.Errorf("the first channel was disturbed: %+v", s.Blocks)
	}
	stopInTime(t, r)
}

func readAll(r *http.Response) string {
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// checkFace looks at what the relay shows over HTTP.
func checkFace(t *testing.T, r *command.Process, s relayStatus) {
	t.Helper()
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/":              {200, "Seeding 2\u00a0channels"},
		"/web/relay.css": {200, "color-scheme"},
		"/readyz":        {200, `"ok":true`},
		"/healthz":       {200, `"ok":true`},
		"/metrics":       {200, `tailcast_peer_sent_bytes_total{channel="` + s.Channels[0].Key[:16] + `",kind="media"}`},
		"/c/" + s.Channels[0].Key + "/api/v1/status": {200, `"state":"live"`},
		"/c/nobody/api/v1/status":                    {404, "no such channel"},
		"/live.ts":                                   {404, ""},
	} {
		answer, err := http.Get(r.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(answer); answer.StatusCode != want.code || !strings.Contains(body, want.text) {
			t.Errorf("GET %s: got %s and %.300q, want %d and %q", path, answer.Status, body, want.code, want.text)
		}
		if path == "/" && answer.Header.Get("Content-Security-Policy") == "" {
			t.Error("the page has no content security policy")
		}
	}
}

// TestPinnedRelay: the relay knows nobody of the channel, but the streamer knows the relay.
func TestPinnedRelay(t *testing.T) {
	need(t)
	beside(t, 1)
	dir := channel(t)
	r := relay(t, key(t, dir, "show").Link)
	start(t, "streamer", nil, "demo", "--data", dir, "--pin", r.Pin, "--copies", "1")
	untilRelay(t, r, "live", func(s relayStatus) bool { return s.State == "live" })
	until(t, viewer(t, r.Link), "live", live)
	stopInTime(t, r)
}

// TestRelayCountsTheMonth across a restart; when the month is used up, nobody is served, and the relay says why.
func TestRelayCountsTheMonth(t *testing.T) {
	need(t)
	beside(t, 1)
	s := streamer(t, "demo")
	data := t.TempDir()
	r := start(t, "relay", nil, s.Link, "--data", data, "--monthly", "5TB", "--max-up", "50M")
	v := viewer(t, r.Link)
	until(t, v, "live", live)
	before := untilRelay(t, r, "something is counted", func(s relayStatus) bool { return s.Monthly.Sent > 2000 })
	if err := v.Stop(); err != nil {
		t.Fatal(err)
	}
	stopInTime(t, r)
	again := start(t, "relay1", nil, s.Link, "--data", data, "--monthly", "5TB", "--max-up", "50M")
	after := untilRelay(t, again, "live", func(s relayStatus) bool { return s.State == "live" })
	if after.Monthly.Month == before.Monthly.Month && after.Monthly.Sent < before.Monthly.Sent {
		t.Errorf("after a restart %d bytes are counted, want %d at least", after.Monthly.Sent, before.Monthly.Sent)
	}
	stopInTime(t, again)

	month := time.Now().UTC().Format("2006-01")
	if err := os.WriteFile(filepath.Join(data, "monthly.json"), []byte(`{"sent_bytes":{"`+month+`":5000000000000}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	spent := start(t, "relay2", nil, s.Link, "--data", data, "--monthly", "5TB", "--max-up", "50M")
	got := untilRelay(t, spent, "used up", func(s relayStatus) bool { return s.Monthly.UsedUp || s.Monthly.Month != month })
	if got.Monthly.Month != month {
		t.Skip("the month has just ended")
	}
	if !strings.HasPrefix(got.Reason, "Seeding nothing: the 5 TB of this month are used up") || got.Channels[0].State != "stalled" {
		t.Errorf("the relay says %q, and of its channel %q", got.Reason, got.Channels[0].State)
	}
	if answer, err := http.Get(spent.HTTP + "/readyz"); err != nil || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(readAll(answer), "used up") {
		t.Errorf("/readyz: got %v, %v, want 503 with the reason", answer, err)
	}
	w, err := command.Start(command.Config{Bin: bin, Name: "viewer", Args: []string{spent.Link, "--data", t.TempDir(), "--give-up", "3s"}})
	if err != nil {
		t.Fatal(err)
	}
	<-w.Done()
	if err := w.Stop(); err == nil || !strings.Contains(err.Error(), "nothing has arrived") {
		t.Errorf("a viewer of a relay that has used up its month: got %v", err)
	}
	stopInTime(t, spent)
}

// TestRelayDenies what its operator does not want to carry, whoever lists it, and stops when that is said while it runs.
func TestRelayDenies(t *testing.T) {
	need(t)
	beside(t, 1)
	a, b := streamer(t, "demo"), streamer(t, "demo")
	deny := filepath.Join(t.TempDir(), "denied.txt")
	list(t, deny, strings.TrimPrefix(b.Link, "tailcast:")[:56])
	r := relay(t, a.Link, b.Link, "--deny", deny)
	if len(r.Links) != 1 || r.Links[0][:60] != a.Link[:60] {
		t.Errorf("got %q, want the one that is not denied", r.Links)
	}
	wrote(t, r, "the deny list names") // on another pipe than the links
	v := viewer(t, r.Link)
	until(t, v, "live", live)
	list(t, deny, a.Link)
	hangUp(t, r)
	untilRelay(t, r, "b only", func(s relayStatus) bool { return len(s.Channels) == 1 && s.live(b) })
	until(t, v, "live without the relay", without)
	stopInTime(t, r)
}
