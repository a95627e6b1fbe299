package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestLANGate: other machines need the secret for everything, status and metrics too; this one does not.
func TestLANGate(t *testing.T) {
	token := strings.Repeat("a", lanTokenLength)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s?%s", r.URL.Path, r.URL.RawQuery) })
	channel := Face{Status: func() any { return Status{Title: "other"} }, Page: page}
	h := gate(token, Handler(Face{Status: func() any { return Status{} }, Page: page, Channels: map[string]Face{"x": channel}}, prometheus.NewRegistry()))
	const far, here = "192.168.1.9:5000", "127.0.0.1:5000"
	for _, c := range []struct {
		remote, path string
		code         int
		body         string
	}{
		{far, "/", 404, ""},
		{far, "/live.ts", 404, ""},
		{far, "/metrics", 404, ""},
		{far, "/api/v1/status", 404, ""},
		{far, "/" + token[1:] + "/", 404, ""},
		{far, "/" + token + "a/", 404, ""},
		{far, "//" + token + "/", 404, ""},
		{far, "/x/../" + token + "/", 404, ""},
		{far, "/" + token, 301, ""},
		{far, "/" + token + "/", 200, "/?"},
		{far, "/" + token + "/live.ts?join=next", 200, "/live.ts?join=next"},
		{far, "/" + token + "/c/x/live.ts", 200, "/live.ts?"},
		{far, "/" + token + "/c/x/api/v1/status", 200, "other"},
		{far, "/" + token + "/c/y/api/v1/status", 200, "/c/y/api/v1/status?"},
		{"[fe80::1%eth0]:5000", "/", 404, ""},
		{"", "/", 404, ""},
		{here, "/live.ts", 200, "/live.ts?"},
		{"[::1]:80", "/live.ts", 200, "/live.ts?"},
		{"[::ffff:127.0.0.1]:80", "/live.ts", 200, "/live.ts?"},
		{here, "/" + token + "/live.ts", 200, "/live.ts?"},
	} {
		r := httptest.NewRequest("GET", "http://192.168.1.7:8080"+c.path, nil)
		r.RemoteAddr = c.remote
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s from %s: got %d %q, want %d %q", c.path, c.remote, w.Code, w.Body, c.code, c.body)
		}
	}
	for path, want := range map[string]string{"/c/x": "/" + token + "/c/x/", "//a.example/b": "/" + token + "/a.example/b"} {
		r := httptest.NewRequest("GET", "http://192.168.1.7:8080/"+token+path, nil)
		r.RemoteAddr = far
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Header().Get("Location") != want {
			t.Errorf("%s behind the secret: %d to %q, want %q", path, w.Code, w.Header().Get("Location"), want)
		}
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"} {
		for path, want := range map[string]int{"/live.ts": 404, "/" + token + "/live.ts": 200} {
			r := httptest.NewRequest("GET", "http://192.168.1.7:8080"+path, nil)
			r.RemoteAddr = here
			r.Header.Set(header, "192.0.2.7")
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != want {
				t.Errorf("%s with %s, through a proxy on this machine: got %d, want %d", path, header, w.Code, want)
			}
		}
	}
	r := httptest.NewRequest("GET", "http://evil.example/"+token+"/", nil)
	r.RemoteAddr = far
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 421 {
		t.Errorf("a name as Host: got %d, want 421", w.Code)
	}
}

func TestLANToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	token, err := LANToken(dir)
	if err != nil || !isLANToken(token) {
		t.Fatalf("%q, %v", token, err)
	}
	if again, err := LANToken(dir); err != nil || again != token {
		t.Errorf("the second time it is %q, %v: televisions have kept the first", again, err)
	}
	if info, _ := os.Stat(filepath.Join(dir, lanTokenFile)); info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v", info.Mode())
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 25) + "/", "../../../../../../../../.."} {
		if err := os.WriteFile(filepath.Join(dir, lanTokenFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := LANToken(dir); err == nil {
			t.Errorf("%q: got %q, want an error", bad, token)
		}
	}
	if other, err := LANToken(t.TempDir()); err != nil || other == token {
		t.Errorf("two nodes have one secret, or %v", err)
	}
}

func TestEverywhere(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": ":8080", "[::1]:1": ":1", "localhost:0": ":0", "192.168.1.7:80": "192.168.1.7:80", "0.0.0.0:80": "0.0.0.0:80", "nonsense": "nonsense",
	} {
		if got := everywhere(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

// pipes is a listener whose connections are in memory, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial() net.Conn { return p.dialFrom("127.0.0.1") }

// dialFrom connects from an address to 192.168.1.7.
func (p *pipes) dialFrom(ip string) net.Conn {
	a, b := net.Pipe()
	p.conns <- &placed{b, &net.TCPAddr{IP: net.ParseIP(ip), Port: 5000}}
	return a
}

// A placed connection seems to come from somewhere.
type placed struct {
	net.Conn
	from net.Addr
}

func (c *placed) RemoteAddr() net.Addr { return c.from }
func (c *placed) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 168, 1, 7), Port: 8080} }

const largePage = 4 << 20

var servedToken = strings.Repeat("b", lanTokenLength)

// takeAll takes a body as mpegts.Push does, from who shows a key.
func takeAll(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		http.Error(w, "no key", http.StatusUnauthorized)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n, err)
}

// serving runs test against Serve in virtual time.
func serving(t *testing.T, test func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		page := http.NewServeMux()
		page.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page") })
		page.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, largePage)) })
		page.HandleFunc("/ingest", takeAll)
		page.HandleFunc("/whip/", takeAll)
		h := gate(servedToken, Handler(Face{Status: func() any { return nil }, Page: page}, prometheus.NewRegistry()))
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, p, h, slog.New(slog.DiscardHandler)) }()
		test(t, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestSlowRequestsAreEnded: who takes more than 5 s to say what he wants is not waited for.
func TestSlowRequestsAreEnded(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		c := p.dial()
		defer c.Close()
		begun, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			for _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")); err == nil; _, err = c.Write([]byte("X: y\r\n")) {
				time.Sleep(time.Second)
			}
		}()
		_, _ = io.Copy(io.Discard, c)
		<-ended
		if took := time.Since(begun); took > 7*time.Second {
			t.Errorf("a slow request was listened to for %v", took)
		}
	})
}

// TestHugeRequestsAreRefused: headers are bounded.
func TestHugeRequestsAreRefused(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		c, ended := p.dial(), make(chan struct{})
		defer func() { <-ended }()
		defer c.Close()
		go func() {
			defer close(ended)
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %v, %v, want 431", answer, err)
		}
	})
}
