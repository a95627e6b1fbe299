package main

import (
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tailcast/node"
)

// live is a status with so many channels on air.
func liveStatus(channels int) status {
	s := status{State: node.StateLive, Upload: node.Upload{Children: 41, Rate: 12.34e6, Limit: 50e6}}
	s.Monthly.Sent, s.Monthly.Limit = 1_234_000_000_000, 5e12
	for range channels {
		s.Channels = append(s.Channels, channel{Status: node.Status{State: node.StateLive}})
	}
	return s
}

func TestSentence(t *testing.T) {
	for _, c := range []struct {
		change func(*status)
		paused string
		want   string
	}{
		{func(*status) {}, "", "Seeding 3 channels to 41 peers; 12.3 Mbit/s of 50 allowed; 1.2 TB of 5 TB this month."},
		{func(s *status) { s.Channels = s.Channels[:1]; s.Upload.Children = 1 }, "", "Seeding 1 channel to 1 peer; 12.3 Mbit/s of 50 allowed; 1.2 TB of 5 TB this month."},
		{func(s *status) { s.Channels[1].State = node.StateStalled }, "", "Seeding 2 of 3 channels to 41 peers; 12.3 Mbit/s of 50 allowed; 1.2 TB of 5 TB this month."},
		{func(s *status) { s.Upload.Rate = 800_000 }, "", "Seeding 3 channels to 41 peers; 800 kbit/s of 50 Mbit/s allowed; 1.2 TB of 5 TB this month."},
		{func(s *status) { s.Upload.Limit, s.Monthly.Limit = 0, 0 }, "", "Seeding 3 channels to 41 peers; 12.3 Mbit/s; 1.2 TB this month."},
		{func(s *status) { s.Channels = nil }, "", "Seeding nothing: no channel is listed."},
		{func(*status) {}, "the month is used up", "Seeding nothing: the month is used up."},
	} {
		s := liveStatus(3)
		c.change(&s)
		if got := s.sentence(c.paused); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{amount(0), "0 B"},
		{amount(999), "999 B"},
		{amount(1000), "1 kB"},
		{amount(1234567), "1.2 MB"},
		{amount(99_960_000), "100 MB"},
		{amount(999_600_000), "1 GB"},
		{amount(5e12), "5 TB"},
		{amount(1 << 63), "9.2 EB"},
		{rate(12_345_678), "12.3 Mbit/s"},
		{rate(50e6), "50 Mbit/s"},
		{seconds(0.0007), "1 ms"},
		{seconds(0.214), "0.21 s"},
		{seconds(12.3), "12.3 s"},
		{span(59 * time.Second), "59 s"},
		{span(90 * time.Minute), "1 h 30 min"},
		{span(76 * time.Hour), "3 d 4 h"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// TestPage: what a broadcaster calls his channel stays text, whatever it looks like; what is wrong stands beside it.
func TestPage(t *testing.T) {
	s := liveStatus(2)
	s.Reason, s.Notes = "Seeding <2> channels to 12 peers.", []string{"less is allowed"}
	s.Disk = diskStatus{Bytes: 3e9, Leftover: 1e9, Limit: 10e9}
	s.Channels[0].Status = node.Status{
		Title: `<script>alert(1)</script>`, Link: `tailcast:x?a=h:1"><b>`, State: node.StateStalled, Reason: "nobody <i>answers", DiskError: "no space",
		Upload: node.Upload{Children: 2}, Peers: make([]node.Peer, 3), History: &node.Stored{Bytes: 1e9, From: time.Unix(0, 0), Short: true},
		Bytes: node.Bytes{Sent: node.Traffic{Media: 3e9}, Received: node.Traffic{Media: 1e9}},
	}
	s.Channels[0].Key, s.Channels[1].Key = strings.Repeat("a", 52), strings.Repeat("b", 52)
	var out strings.Builder
	p := newPage(&s, "key@host:1", time.Unix(0, 0))
	if err := template.Must(template.New("page").Parse(pageText)).Execute(&out, p); err != nil {
		t.Fatal(err)
	}
	html := out.String()
	for _, want := range []string{
		"&lt;script&gt;alert(1)", "nobody &lt;i&gt;answers; disk: no space", "Seeding &lt;2&gt; channels to 12\u00a0peers", "less is allowed", "aaaaaaaaaaaaaaaa<", "3 GB", "3.0 × received",
		"since 1 Jan, 00:00; the disk is full", "2 fed from here", "Channel without a name", "key@host:1", "Stalled", `value="246"`, `value="400"`, "1 GB of channels that are not seeded",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	for _, not := range []string{"<script", "<i>answers", `"><b>`, "style="} {
		if strings.Contains(html, not) {
			t.Errorf("%q is on the page", not)
		}
	}
}

// What is served by name is the style and the icon, and nothing else.
func TestPageIsLockedUp(t *testing.T) {
	h := secure(http.FileServerFS(web))
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest("GET", "/web/relay.css", nil))
	if csp := r.Header().Get("Content-Security-Policy"); r.Code != 200 || !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("got %d and policy %q", r.Code, csp)
	}
	if _, err := web.Open("web/relay.html"); err == nil {
		t.Error("the template is served as it is")
	}
}
