package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/message"
	gosrt "github.com/datarhei/gosrt"

	"tailcast/ingest/admit"
	"tailcast/internal/clip"
)

func TestWhoMayPublish(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name, key, from, header, value string
		want                           int
	}{
		{"this machine, no key set", "", "127.0.0.1:9", "", "", 200},
		{"this machine by IPv6", "", "[::1]:9", "", "", 200},
		{"another machine, no key set", "", "192.0.2.7:9", "", "", 403},
		{"a web page on this machine", "", "127.0.0.1:9", "Origin", "http://evil.example", 403},
		{"a form of a web page", "", "127.0.0.1:9", "Sec-Fetch-Site", "cross-site", 403},
		{"through a proxy on this machine", "", "127.0.0.1:9", "X-Forwarded-For", "192.0.2.7", 403},
		{"through one that says it otherwise", "", "127.0.0.1:9", "Via", "1.1 proxy", 403},
		{"no key shown", "sesame-open", "127.0.0.1:9", "", "", 401},
		{"another key", "sesame-open", "192.0.2.7:9", "Authorization", "Bearer sesame-opem", 401},
		{"bearer token", "sesame-open", "192.0.2.7:9", "Authorization", "Bearer sesame-open", 200},
		{"bearer token of another spelling", "sesame-open", "192.0.2.7:9", "Authorization", "bearer sesame-open", 200},
		{"password", "sesame-open", "192.0.2.7:9", "Authorization", "Basic eDpzZXNhbWUtb3Blbg==", 200},
	} {
		r := httptest.NewRequest("PUT", "/ingest", nil)
		r.RemoteAddr = c.from
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		guard(admit.NewGate(c.key, quiet()), ok).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", c.name, w.Code, c.want)
		}
	}
}

// Web pages publish by WHIP, if they show the key; a browser is told so, and no more.
func TestPagesMayPublishWithTheKey(t *testing.T) {
	const page = "http://studio.example"
	for _, c := range []struct {
		name, key, method, origin, token string
		want                             int
		allowed                          string // Access-Control-Allow-Origin
	}{
		{"an encoder, no key set", "", "POST", "", "", 200, ""},
		{"an encoder that shows it", "sesame-open", "POST", "", "sesame-open", 200, ""},
		{"an encoder without", "sesame-open", "POST", "", "", 401, ""},
		{"a page that shows it", "sesame-open", "POST", page, "sesame-open", 200, page},
		{"a page that ends its session", "sesame-open", "DELETE", page, "sesame-open", 200, page},
		{"a page that shows another", "sesame-open", "POST", page, "sesame-shut", 401, page}, // and may read why
		{"a page without", "sesame-open", "POST", page, "", 401, page},
		{"its browser asks before", "sesame-open", "OPTIONS", page, "", 200, page},
		{"a page, no key set", "", "POST", page, "", 403, ""},
		{"its browser asks before, no key set", "", "OPTIONS", page, "", 403, ""},
		{"a page from nowhere", "sesame-open", "POST", "null", "", 401, "null"},
	} {
		reached := false
		h := guardPages(admit.NewGate(c.key, quiet()), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = true }))
		r := httptest.NewRequest(c.method, "/whip", nil)
		r.RemoteAddr = "127.0.0.1:9"
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != c.want || reached != (c.want == 200) || got != c.allowed {
			t.Errorf("%s: got %d, reached %v, allowed %q, want %d, allowed %q", c.name, w.Code, reached, got, c.want, c.allowed)
		}
		if h := w.Header(); h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Access-Control-Allow-Origin") == "*" {
			t.Errorf("%s: allows more than it should: %v", c.name, h)
		}
	}
}

// TestRecipesPublish: what the page says to paste lets an encoder in, once the key stands where it says; and it does not give the key away. Of
// several renditions each has an address of its own.
func TestRecipesPublish(t *testing.T) {
	for _, key := range []string{"", "sesame-open"} {
		for _, names := range [][]string{{"main"}, {"1080p", "radio"}} {
			d := pushed(t, key, names)
			for _, name := range names {
				p := d.source(name).push(d.web.URL)
				if shown := p.HTTP + p.RTSP + p.RTMP + p.SRT; key != "" && strings.Contains(shown, key) || strings.Count(shown, "YOUR-KEY") != 4*min(len(key), 1) {
					t.Errorf("key %q: the page shows %s", key, shown)
				}
				if code := put(t, strings.ReplaceAll(p.HTTP, "YOUR-KEY", key), nil); code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound {
					t.Errorf("key %q: what the page says to paste is answered with %d", key, code)
				}
				for _, wrong := range []string{"", "x"} {
					if err := byRTMP(t, strings.ReplaceAll(p.RTMP, "YOUR-KEY", key+wrong)); (err == nil) != (wrong == "" || key == "") {
						t.Errorf("key %q: %s, with the key and %q, is answered with %v", key, p.RTMP, wrong, err)
					}
					if err := bySRT(t, strings.ReplaceAll(p.SRT, "YOUR-KEY", key+wrong)); (err == nil) != (wrong == "" || key == "") {
						t.Errorf("key %q: %s, with the key and %q, is answered with %v", key, p.SRT, wrong, err)
					}
				}
			}
		}
	}
}

// TestRefusedIsReported: who shows no key is counted in the status, when a backup waits for an encoder too, and who has not the passphrase of SRT.
func TestRefusedIsReported(t *testing.T) {
	main, backed := input{name: mainRendition, kind: file}, standbyOptions{backups: []backup{{input{name: "main-backup"}, mainRendition}}, wellAfter: time.Second}
	for name, o := range map[string]*options{
		"a key":        {key: "sesame-open", gate: admit.NewGate("sesame-open", quiet()), srt: "127.0.0.1:0", standby: backed},
		"a passphrase": {passphrase: "quite-another", srt: "127.0.0.1:0", standby: backed},
	} {
		d, err := openDoors(o, waiting(o.standby.inputs()), quiet())
		if err != nil {
			t.Fatal(err)
		}
		src, err := withStandby(&source{}, main, o, d, quiet())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.run(ctx) }()
		wrong := strings.NewReplacer(placeholder, "sesame-shut", "YOUR-PASSPHRASE", "quite-a-guess").Replace(d.pushes("main-backup", "", o.key != "").SRT)
		if err := bySRT(t, wrong); err == nil {
			t.Errorf("%s: %s was let in", name, wrong)
		}
		if n := src.health(main, "").Refused; n != 1 {
			t.Errorf("%s: the status counts %d, want 1", name, n)
		}
		stop()
		<-ended
	}
}

// TestPathsChooseTheRendition: what is pushed to the path of a rendition comes to its sink, and to no other; an unknown path is told what there is.
func TestPathsChooseTheRendition(t *testing.T) {
	d := pushed(t, "", []string{"1080p", "radio"})
	if code := put(t, d.web.URL+"/ingest/radio", bytes.NewReader(clip.Bytes())); code != http.StatusOK {
		t.Fatalf("got %d from /ingest/radio", code)
	}
	if d.sinks["radio"].samples == 0 || d.sinks["1080p"].samples != 0 {
		t.Errorf("radio got %d samples, 1080p %d; want some and none", d.sinks["radio"].samples, d.sinks["1080p"].samples)
	}
	for _, path := range []string{"/ingest", "/ingest/", "/ingest/480p"} {
		if code := put(t, d.web.URL+path, nil); code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, code)
		}
	}
}

// TestOneAloneTakesEveryPath of HTTP too.
func TestOneAloneTakesEveryPath(t *testing.T) {
	d := pushed(t, "", []string{mainRendition})
	for _, path := range []string{"/ingest", "/ingest/main", "/ingest/live"} {
		if code := put(t, d.web.URL+path, bytes.NewReader(clip.Bytes())); code != http.StatusOK {
			t.Errorf("%s: got %d, want 200", path, code)
		}
	}
}

// TestLatencyOfSRTInputs is that of the flag, unless the URL has one: SRT takes none that is as long as this one.
func TestLatencyOfSRTInputs(t *testing.T) {
	for address, refused := range map[string]bool{
		"srt://127.0.0.1:9000": true, "srt://127.0.0.1:9000?latency=50": false,
		"srt://127.0.0.1:0?mode=listener": true,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = openSRT(&options{srtLatency: time.Hour}, u, quiet())
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), "latency of 1h") {
			t.Errorf("%s with --srt-latency 1h: got %v, want an error: %v", address, err, refused)
		}
	}
}

// door is a doors that lets in, and what came through it.
type door struct {
	*doors
	web   *httptest.Server
	sinks map[string]*recorder
}

func pushed(t *testing.T, key string, names []string) *door {
	t.Helper()
	d, err := openDoors(&options{
		key: key, gate: admit.NewGate(key, quiet()), rtsp: "127.0.0.1:0", rtmp: "127.0.0.1:0", srt: "127.0.0.1:0",
	}, names, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		d.source(name)
	}
	mux := http.NewServeMux()
	d.handlers(mux)
	out := &door{doors: d, web: httptest.NewServer(mux), sinks: map[string]*recorder{}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = d.run(ctx) })
	for _, name := range names {
		out.sinks[name] = &recorder{}
		d.stages[name].perform(out.sinks[name]) // as source.run does, but at once
	}
	t.Cleanup(func() {
		out.web.Close()
		cancel()
		running.Wait()
	})
	return out
}

// put sends a TS body, and again while the way in is not open yet.
func put(t *testing.T, url string, body *bytes.Reader) int {
	t.Helper()
	for {
		if body == nil {
			body = bytes.NewReader(nil)
		}
		_, _ = body.Seek(0, io.SeekStart)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusServiceUnavailable {
			return answer.StatusCode
		}
	}
}

// byRTMP publishes as OBS does, with "Server" and "Stream Key", and tells why it was not let in.
func byRTMP(t *testing.T, address string) error {
	t.Helper()
	server, name := serverAndKey(address)
	u, err := url.Parse(server + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	c := &gortmplib.Client{URL: u, Publish: true}
	if err := c.Initialize(t.Context()); err != nil {
		return err
	}
	defer c.Close()
	_ = c.NetConn().SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // who is let in is told nothing more
	m, err := c.Read()
	if _, refused := m.(*message.CommandAMF0); refused || errors.Is(err, io.EOF) {
		return errors.New("refused")
	}
	return nil
}

// bySRT calls the address.
func bySRT(t *testing.T, address string) error {
	t.Helper()
	config := gosrt.DefaultConfig()
	host, err := config.UnmarshalURL(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := gosrt.Dial("srt", host, config)
	if err == nil {
		c.Close()
	}
	return err
}
