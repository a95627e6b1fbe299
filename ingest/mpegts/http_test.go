package mpegts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// script answers requests one after the other, without a network, so that it works in virtual time.
type script struct {
	answers []func() (*http.Response, error)
	at      []time.Time // of the requests
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Now())
	if len(s.answers) == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	next := s.answers[0]
	s.answers = s.answers[1:]
	return next()
}

// answer is a response; length -1 is a live stream.
func answer(status int, length int64, body io.Reader) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), ContentLength: length, Body: io.NopCloser(body)}, nil
	}
}

func TestHTTPPullReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := clip.Bytes()
		half := len(in) / 2 / 188 * 188
		live := func(b []byte) io.Reader { return bytes.NewReader(b) }
		server := &script{answers: []func() (*http.Response, error){
			func() (*http.Response, error) { return nil, errors.New("connection refused") },
			answer(404, 0, strings.NewReader("")),
			answer(200, -1, live(in[:half])),
			answer(503, -1, strings.NewReader("")),
			answer(200, -1, strings.NewReader("<html>")),
			answer(200, -1, live(in[half:])),
		}}
		s, stats := newSink(0), new(ingest.Stats)
		stop := start(t, &HTTPPull{Config: Config{Stats: stats}, URL: "http://example.org/live", Client: &http.Client{Transport: server}}, s)
		time.Sleep(time.Minute)
		canceled(t, stop())

		for i, want := range []time.Duration{250, 500, 250, 500, 1000, 250} {
			want *= time.Millisecond
			if got := server.at[i+1].Sub(server.at[i]); got < want*2/3 || got > want*4/3 {
				t.Errorf("delay %d: got %v, want %v give or take a third", i, got, want)
			}
		}
		if n := stats.Reconnects.Load(); n != 6 {
			t.Errorf("got %d reconnects, want 6", n)
		}
		if n := len(s.of(pictures)); n < 190 || n > 193 {
			t.Errorf("got %d pictures, want 192 and what was cut in two", n)
		}
		if len(s.programs) != 1 || stats.LostPackets.Load() != 0 {
			t.Errorf("got %d programs and %d lost packets, want 1 and 0", len(s.programs), stats.LostPackets.Load())
		}
		if e := stats.LastError(); !strings.Contains(e, "the server ended the stream") {
			t.Errorf("got %q, want the last reason", e)
		}
	})
}

// TestHTTPPullLongOutage: a server that was away for a minute, or a little longer, plays again within 3 s of its return; one that refuses the password is asked
// less and less often.
func TestHTTPPullLongOutage(t *testing.T) {
	for name, c := range map[string]struct {
		down        func() (*http.Response, error)
		least, most int
	}{
		"away":    {func() (*http.Response, error) { return nil, errors.New("connection refused") }, 30, 70},
		"refused": {answer(401, 0, strings.NewReader("")), 3, 7},
	} {
		for phase := range 20 {
			synctest.Test(t, func(t *testing.T) {
				server, back := &script{}, time.Now().Add(time.Minute+time.Duration(phase)*100*time.Millisecond)
				for range 100 {
					server.answers = append(server.answers, func() (*http.Response, error) {
						if name == "away" && !time.Now().Before(back) {
							return answer(200, -1, bytes.NewReader(clip.Bytes()))()
						}
						return c.down()
					})
				}
				s := newSink(0)
				stop := start(t, &HTTPPull{URL: "http://example.org/live", Client: &http.Client{Transport: server}}, s)
				time.Sleep(time.Until(back) + 3*time.Second)
				canceled(t, stop())
				if asked := len(server.at); asked < c.least || asked > c.most {
					t.Errorf("%s: asked %d times in a minute, want %d to %d", name, asked, c.least, c.most)
				}
				isKey := func(a arrival) bool { return a.Flags&ingest.RandomAccess != 0 }
				if name == "away" && !slices.ContainsFunc(s.of(pictures), isKey) {
					t.Errorf("no key picture came in the 3 s after its return; it was asked %v", server.at[len(server.at)-1].Sub(back))
				}
			})
		}
	}
}

func TestHTTPPullStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		server := &script{answers: []func() (*http.Response, error){
			answer(200, -1, r),
			answer(200, int64(len(clip.Bytes())), bytes.NewReader(clip.Bytes())),
		}}
		go w.Write(clip.Bytes()[:188*500])
		began := time.Now()
		h := &HTTPPull{URL: "http://example.org/live", Client: &http.Client{Transport: server}}
		if err := h.Run(t.Context(), newSink(0)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 17*time.Second || d > 19*time.Second {
			t.Errorf("took %v, want 10 s of silence and a recording of 8 s", d)
		}
	})
}

func TestHTTPPullRecording(t *testing.T) {
	for _, c := range []struct {
		name, body, err string
		lasts           time.Duration
	}{
		{"the clip", string(clip.Bytes()), "", 7 * time.Second},
		{"not TS", "<html>Not here", "couldn't take http://example.org/live: this is not MPEG-TS", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &script{answers: []func() (*http.Response, error){answer(200, int64(len(c.body)), strings.NewReader(c.body))}}
			began := time.Now()
			err := (&HTTPPull{URL: "http://example.org/live", Client: &http.Client{Transport: server}}).Run(t.Context(), newSink(0))
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.err)
			}
			if d := time.Since(began); d < c.lasts || d > c.lasts+2*time.Second {
				t.Errorf("%s: lasted %v, want about %v", c.name, d, c.lasts)
			}
		})
	}
	if err := (&HTTPPull{URL: "http://[::1"}).Run(t.Context(), newSink(0)); err == nil || !strings.Contains(err.Error(), "couldn't fetch") {
		t.Errorf("got %v, want that the address is wrong", err)
	}
}

// TestHTTPPullOverTheNetwork: the same with a real server, whose stream ends in the middle.
func TestHTTPPullOverTheNetwork(t *testing.T) {
	in := clip.Bytes()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		w.Write(in)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	s := newSink(567)
	stop := start(t, &HTTPPull{URL: server.URL}, s)
	wait(t, s.full, "all samples, the last of which comes out by silence")
	canceled(t, stop())
	same(t, s.of(pictures), want(t).of(pictures))
}

// publish sends body to a Push and returns the answer.
func publish(t *testing.T, method, url string, body io.Reader) (status int, text string) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestPush(t *testing.T) {
	stats := new(ingest.Stats)
	p := &Push{Config: Config{Stats: stats}}
	server := httptest.NewServer(p)
	defer server.Close()
	if status, text := publish(t, "PUT", server.URL, strings.NewReader("x")); status != 503 || !strings.Contains(text, "not on air") {
		t.Errorf("got %d %q before Run, want 503", status, text)
	}
	s := newSink(567)
	stop := start(t, p, s)
	running(p)
	if status, _ := publish(t, "GET", server.URL, nil); status != 405 {
		t.Errorf("got %d for GET, want 405", status)
	}

	r, w := io.Pipe()
	first := make(chan string)
	go func() {
		status, text := publish(t, "POST", server.URL, r)
		first <- fmt.Sprint(status, text)
	}()
	if _, err := w.Write(clip.Bytes()); err != nil {
		t.Fatal(err)
	}
	wait(t, s.full, "all samples, the last of which comes out by silence")
	same(t, s.of(pictures), want(t).of(pictures))
	if status, text := publish(t, "PUT", server.URL, strings.NewReader("x")); status != 409 || !strings.Contains(text, "is publishing here already") {
		t.Errorf("got %d %q for a second publisher, want 409", status, text)
	}
	w.Close()
	if got := <-first; got != "200" {
		t.Errorf("got %q for the first publisher, want 200", got)
	}

	// The next one goes on, its times back where they began.
	if status, text := publish(t, "PUT", server.URL, bytes.NewReader(clip.Bytes())); status != 200 {
		t.Errorf("got %d %q for the next publisher, want 200", status, text)
	}
	if v := s.of(pictures); len(v) != 384 || v[192].Flags&ingest.Discontinuity == 0 || len(s.programs) != 1 {
		t.Errorf("got %d pictures and %d programs, want 384, the second half marked, and 1", len(v), len(s.programs))
	}
	if status, text := publish(t, "PUT", server.URL, strings.NewReader("nonsense")); status != 400 || !strings.Contains(text, "not MPEG-TS") {
		t.Errorf("got %d %q for nonsense, want 400", status, text)
	}
	canceled(t, stop())
}

// running waits until p takes publishers.
func running(p *Push) {
	for {
		p.mu.Lock()
		on := p.ctx != nil
		p.mu.Unlock()
		if on {
			return
		}
	}
}

// TestPushEnds: with Run ends whoever publishes, even if nothing is being sent.
func TestPushEnds(t *testing.T) {
	p := &Push{}
	server := httptest.NewServer(p)
	defer server.Close()
	s := newSink(1)
	stop := start(t, p, s)
	running(p)
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, _ := http.NewRequestWithContext(ctx, "PUT", server.URL, r)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	if _, err := w.Write(clip.Bytes()[:188*1000]); err != nil {
		t.Fatal(err)
	}
	wait(t, s.full, "a sample")
	canceled(t, stop())
	cancel()
	w.Close() // which the client waits for
	<-done
}

// TestPushTakesAllOfAPublisherWhoLeavesAtOnce: ffmpeg closes the connection behind its last byte, and does not wait for an answer. Here that
// is known before the first byte is taken: what the server has read is in memory, the request's context has ended.
func TestPushTakesAllOfAPublisherWhoLeavesAtOnce(t *testing.T) {
	p := &Push{}
	read := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		close(read)
		<-r.Context().Done()
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.ServeHTTP(w, r)
	}))
	defer server.Close()
	s := newSink(567)
	stop := start(t, p, s)
	running(p)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(clip.Bytes()), clip.Bytes())
	<-read
	conn.Close()
	wait(t, s.full, "all samples")
	canceled(t, stop())
}

// TestHTTPPullSaysWhatIsWrong: what servers answer instead of a stream, in words that help, and without the secrets of the URL.
func TestHTTPPullSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/page", "a web page, not a stream"},
		{"/gzip", "sends the stream as gzip"},
		{"/secret", "the server wants a password"},
		{"/gone", "the server answered 410"},
		{"/loop", "redirects"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/page":
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
			case "/gzip":
				w.Header().Set("Content-Encoding", "gzip")
			case "/secret":
				w.WriteHeader(http.StatusUnauthorized)
			case "/gone":
				w.WriteHeader(http.StatusGone)
			case "/loop":
				http.Redirect(w, r, r.URL.String(), http.StatusFound)
			}
		}))
		stats := new(ingest.Stats)
		stop := start(t, &HTTPPull{Config: Config{Stats: stats}, URL: server.URL + c.path + "?token=hidden"}, newSink(0))
		for deadline := time.Now().Add(10 * time.Second); stats.LastError() == "" && time.Now().Before(deadline); {
			runtime.Gosched()
		}
		canceled(t, stop())
		if text := stats.LastError(); !strings.Contains(text, c.want) || strings.Contains(text, "hidden") {
			t.Errorf("%s: got %q, want %q and no secret", c.path, text, c.want)
		}
		server.Close()
	}
}

// TestHTTPPullFollows: a redirect is followed with the password of the URL, and a playlist is recognised.
func TestHTTPPullFollows(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "me" || password != "hidden":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("Accept-Encoding") == "gzip":
			t.Error("asked for compression")
		case r.URL.Path == "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case r.URL.Path == "/list":
			w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		default:
			w.Write(clip.Bytes())
		}
	}))
	defer server.Close()
	at := strings.Replace(server.URL, "http://", "http://me:hidden@", 1)
	s := newSink(24)
	stop := start(t, &HTTPPull{URL: at + "/here"}, s)
	wait(t, s.full, "pictures")
	canceled(t, stop())
	if err := (&HTTPPull{URL: at + "/list"}).Run(t.Context(), newSink(0)); !errors.Is(err, ErrPlaylist) {
		t.Errorf("got %v, want that it is a playlist", err)
	}
}

// TestPushExpects: a publisher that asks first, as curl does, is told to go on or why not, before it sends; chunks are taken, compression is not.
func TestPushExpects(t *testing.T) {
	p := &Push{}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close) // after the connections below
	s := newSink(567)
	stop := start(t, p, s)
	running(p)
	ask := func(headers string) (net.Conn, *bufio.Reader, string) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n%s\r\n", headers)
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return conn, r, strings.TrimSpace(line)
	}
	if _, _, got := ask("Content-Encoding: gzip\r\n"); !strings.Contains(got, "415") {
		t.Errorf("got %q for compression, want 415", got)
	}
	conn, r, got := ask("")
	if got != "HTTP/1.1 100 Continue" {
		t.Errorf("got %q, want to be told to go on", got)
	}
	if _, _, got := ask(""); !strings.Contains(got, "409") {
		t.Errorf("got %q for a second publisher, want 409", got)
	}
	for _, b := range portions() {
		fmt.Fprintf(conn, "%x\r\n%s\r\n", len(b), b)
	}
	fmt.Fprint(conn, "0\r\n\r\n")
	r.ReadString('\n')
	if line, _ := r.ReadString('\n'); !strings.Contains(line, "200") {
		t.Errorf("got %q at the end, want 200", line)
	}
	same(t, s.of(pictures), want(t).of(pictures))
	canceled(t, stop())
}
