package hls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// endless is a body that never ends; silent one that never begins, until its request ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// drip gives some bytes at a time, with a pause before each.
type drip struct {
	ctx   context.Context
	body  []byte
	pause time.Duration
	size  int
}

func (d *drip) Read(p []byte) (int, error) {
	if !ingest.Sleep(d.ctx, d.pause) {
		return 0, d.ctx.Err()
	}
	if len(d.body) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), d.size)], d.body)
	d.body = d.body[n:]
	return n, nil
}

func streaming(r *http.Request, body io.Reader) *http.Response {
	resp := reply(r, 200, nil)
	resp.Body, resp.ContentLength = io.NopCloser(body), -1
	return resp
}

// TestLiveFaults: whatever one segment, or the playlist for a while, does: what was not hit is aired at its time, what is lost is counted, and the times of
// what follows are right.
func TestLiveFaults(t *testing.T) {
	const hit = "/seg12.ts"
	cut := func(b []byte, n int) io.Reader { return io.MultiReader(bytes.NewReader(b[:n]), failing{}) }
	for _, c := range []struct {
		name string
		// answer is for the nth request for the segment; nil for the right one
		answer func(b *broadcast, r *http.Request, n int) *http.Response
		lost   uint64 // segments
		text   string // in the last error
	}{
		{"not there for a moment", func(_ *broadcast, r *http.Request, n int) *http.Response {
			if n > 2 {
				return nil
			}
			return reply(r, 404, nil)
		}, 0, ""},
		{"never there", func(_ *broadcast, r *http.Request, _ int) *http.Response { return reply(r, 404, nil) }, 1, "the server answered 404"},
		{"server trouble", func(_ *broadcast, r *http.Request, n int) *http.Response {
			if n > 3 {
				return nil
			}
			return reply(r, 503, nil)
		}, 0, ""},
		{"truncated once", func(b *broadcast, r *http.Request, n int) *http.Response {
			if n > 1 {
				return nil
			}
			return streaming(r, cut(b.segment(t, 12), 10000))
		}, 0, ""},
		{"a web page", func(_ *broadcast, r *http.Request, _ int) *http.Response {
			resp := reply(r, 200, []byte("<html>"))
			resp.Header.Set("Content-Type", "text/html; charset=utf-8")
			return resp
		}, 1, "web page"},
		{"a web page that says nothing", func(_ *broadcast, r *http.Request, _ int) *http.Response {
			return reply(r, 200, []byte(" <!doctype html>"))
		}, 1, "web page"},
		{"empty", func(_ *broadcast, r *http.Request, _ int) *http.Response { return reply(r, 200, nil) }, 1, "empty"},
		{"endless", func(_ *broadcast, r *http.Request, _ int) *http.Response { return streaming(r, endless{}) }, 1, "longer than"},
		{"declared to be endless", func(_ *broadcast, r *http.Request, _ int) *http.Response {
			resp := reply(r, 200, nil)
			resp.ContentLength = 1 << 40
			return resp
		}, 1, "bytes long"},
		{"redirected for ever", func(_ *broadcast, r *http.Request, _ int) *http.Response {
			resp := reply(r, 302, nil)
			resp.Header.Set("Location", r.URL.String())
			return resp
		}, 1, "redirects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &broadcast{src: newSource(t)}
				asked := 0
				o := b.serve(t, func(r *http.Request) *http.Response {
					if r.URL.Path != hit {
						return nil
					}
					asked++
					return c.answer(b, r, asked)
				})
				s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
				time.Sleep(15 * time.Second)
				if err := stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want that it was ended", err)
				}
				if got := stats.LostSegments.Load(); got != c.lost {
					t.Errorf("got %d lost segments, want %d", got, c.lost)
				}
				if text := stats.LastError(); c.text == "" && text != "" || !strings.Contains(text, c.text) {
					t.Errorf("got error %q, want %q", text, c.text)
				}
				gap := c.text != ""
				checkAir(t, b, s, gap)
			})
		})
	}
}

// failing is a connection that breaks.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// checkAir checks what came of a broadcast from segment 7 on, without segment 12 if there is a gap.
func checkAir(t *testing.T, b *broadcast, s *sink, gap bool) {
	t.Helper()
	var want []ingest.Sample
	for n := 7; n < 18; n++ {
		if n == 12 && gap {
			continue
		}
		for _, x := range of(true, b.src.program, b.src.segments[n%8]) {
			x.DTS, x.PTS = x.DTS+int64(n/8)*720000, x.PTS+int64(n/8)*720000
			want = append(want, x)
		}
	}
	got := s.of(t, true, 0)
	if len(got) < len(want) {
		t.Fatalf("got %d pictures, want %d", len(got), len(want))
	}
	same(t, got[:len(want)], want, 0)
	even(t, got, 20*time.Millisecond)
}

// TestLiveStalls: a segment that stalls, or comes slower than it lasts, costs time but the stream goes on behind it.
func TestLiveStalls(t *testing.T) {
	for _, c := range []struct {
		name string
		body func(b *broadcast, r *http.Request) io.Reader
		text string
	}{
		{"stalls", func(_ *broadcast, r *http.Request) io.Reader { return silent{r.Context()} }, "nothing came for"},
		{"too slow", func(b *broadcast, r *http.Request) io.Reader {
			return &drip{r.Context(), b.segment(t, 12), time.Second, 1000}
		}, "it took longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &broadcast{src: newSource(t)}
				o := b.serve(t, func(r *http.Request) *http.Response {
					if r.URL.Path != "/seg12.ts" {
						return nil
					}
					return streaming(r, c.body(b, r))
				})
				s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
				time.Sleep(2 * time.Minute)
				stop()
				if !strings.Contains(stats.LastError(), "segments are missing") && !strings.Contains(stats.LastError(), c.text) {
					t.Errorf("got error %q, want %q", stats.LastError(), c.text)
				}
				got := s.of(t, true, 0)
				last := got[len(got)-1]
				if at := int((last.DTS - b.src.segments[0][0].DTS) / 90000); b.newest()-at > 8 {
					t.Errorf("it is at segment %d after the stall, and %d is the newest", at, b.newest())
				}
				for i := range got[1:] {
					if got[i+1].DTS <= got[i].DTS {
						t.Fatalf("picture %d goes back in time", i+1)
					}
				}
				if stats.LostSegments.Load() == 0 {
					t.Error("no lost segment is counted")
				}
			})
		})
	}
}

// TestLivePlaylistFaults: what may happen to a playlist.
func TestLivePlaylistFaults(t *testing.T) {
	const from, until = 14, 40 // newest segments between which it happens
	for _, c := range []struct {
		name   string
		answer func(b *broadcast, r *http.Request) *http.Response
		text   string
	}{
		{"404", func(_ *broadcast, r *http.Request) *http.Response { return reply(r, 404, nil) }, "404"},
		{"stalled", func(_ *broadcast, r *http.Request) *http.Response { return streaming(r, silent{r.Context()}) }, "nothing came"},
		{"endless", func(_ *broadcast, r *http.Request) *http.Response { return streaming(r, endless{}) }, "longer than"},
		{"nonsense", func(_ *broadcast, r *http.Request) *http.Response { return reply(r, 200, []byte("nonsense")) }, "no playlist"},
		{"without segments", func(_ *broadcast, r *http.Request) *http.Response { return reply(r, 200, []byte(head)) }, "no segments yet"},
		{"truncated in a tag", func(b *broadcast, r *http.Request) *http.Response { return reply(r, 200, []byte(head+"#EXTINF:")) }, "couldn't understand"},
		{"the same again and again", func(_ *broadcast, r *http.Request) *http.Response {
			return reply(r, 200, []byte(head+"#EXT-X-MEDIA-SEQUENCE:12\n#EXTINF:1,\nseg12.ts\n#EXTINF:1,\nseg13.ts\n"))
		}, "does not change any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &broadcast{src: newSource(t)}
				o := b.serve(t, func(r *http.Request) *http.Response {
					if n := b.newest(); r.URL.Path != "/live.m3u8" || n < from || n > until {
						return nil
					}
					return c.answer(b, r)
				})
				s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
				time.Sleep(25 * time.Second)
				if text := stats.LastError(); !strings.Contains(text, c.text) {
					t.Errorf("got error %q, want %q", text, c.text)
				}
				time.Sleep(time.Minute)
				before := len(s.of(t, true, 0))
				time.Sleep(10 * time.Second)
				stop()
				if got := len(s.of(t, true, 0)) - before; got < 9*24 || got > 11*24 {
					t.Errorf("got %d pictures in ten seconds after it was over, want 240", got)
				}
				if stats.LostSegments.Load() < 10 {
					t.Errorf("%d segments are counted as lost", stats.LostSegments.Load())
				}
				got := s.of(t, true, 0)
				for i := range got[1:] {
					if got[i+1].DTS <= got[i].DTS {
						t.Fatalf("picture %d goes back in time", i+1)
					}
				}
			})
		})
	}
}

// TestLiveBeginsAnew: the encoder is started again and numbers from 0; the clock of the channel goes on.
func TestLiveBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broadcast{src: newSource(t)}
		o := b.serve(t, nil)
		serve := o.answer
		var anew time.Time
		o.answer = func(r *http.Request) *http.Response {
			resp := serve(r)
			if b.newest() < 16 {
				return resp
			}
			if anew.IsZero() {
				anew = time.Now()
			}
			n := int(time.Since(anew).Seconds())
			if r.URL.Path == "/live.m3u8" {
				text := head + fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", max(0, n-5))
				for i := max(0, n-5); i <= n; i++ {
					text += fmt.Sprintf("#EXTINF:1,\nnew%d.ts\n", i)
				}
				return reply(r, 200, []byte(text))
			}
			var k int
			if _, err := fmt.Sscanf(r.URL.Path, "/new%d.ts", &k); err == nil {
				return reply(r, 200, b.segment(t, k))
			}
			return nil
		}
		s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
		time.Sleep(25 * time.Second)
		stop()
		got := s.of(t, true, 0)
		for i := range got[1:] {
			if d := got[i+1].DTS - got[i].DTS; d < 3750 || d > 2*3750 {
				t.Fatalf("picture %d comes %d ticks after the one before", i+1, d)
			}
		}
		if len(got) < 18*24 || stats.Reconnects.Load() != 1 {
			t.Errorf("got %d pictures and %d new beginnings, want 500 and 1: %s", len(got), stats.Reconnects.Load(), stats.LastError())
		}
	})
}

// TestLongOutage: a server that was away for a minute is asked again within 3 s, and its newest segments go on air.
func TestLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, begun := &broadcast{src: newSource(t)}, time.Now()
		away := func() bool { d := time.Since(begun); return d > 5*time.Second && d < 65*time.Second }
		o := b.serve(t, func(r *http.Request) *http.Response {
			if away() {
				return reply(r, 503, nil)
			}
			return nil
		})
		s, _, stop, _ := start(t, o, Config{}, "live.m3u8")
		time.Sleep(65 * time.Second)
		before := len(s.of(t, true, 0))
		time.Sleep(3 * time.Second)
		stop()
		if last := o.requests("live.m3u8"); last[len(last)-1].at.Sub(begun) < 65*time.Second {
			t.Error("was not asked in the 3 s after its return")
		}
		if len(s.of(t, true, 0)) == before {
			t.Error("nothing new is on air 3 s after its return")
		}
	})
}

// TestBeginning: a stream that is not there yet is waited for, with longer and longer pauses.
func TestBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		s, stats, stop, _ := start(t, o, Config{}, "index.m3u8")
		time.Sleep(20 * time.Second)
		if n := len(o.requests("index.m3u8")); n < 8 || n > 22 {
			t.Errorf("asked %d times in 20 s, want less and less often", n)
		}
		o.put("index.m3u8", []byte(head+"#EXT-X-MEDIA-SEQUENCE:0\n"))
		time.Sleep(15 * time.Second)
		if !strings.Contains(stats.LastError(), "no segments yet") {
			t.Errorf("got %q, want that there are none yet", stats.LastError())
		}
		recording(t, o, src)
		time.Sleep(21 * time.Second)
		stop()
		if got := len(s.of(t, true, 0)); got < 7*24 {
			t.Errorf("got %d pictures, want all", got)
		}
	})
}

// TestRefused: what waiting does not cure ends the source, in a sentence.
func TestRefused(t *testing.T) {
	const master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=1280x720\nhd.m3u8\n"
	for _, c := range []struct{ name, list, fragment, want string }{
		{"SAMPLE-AES", head + "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXTINF:1,\na.ts\n", "", "encrypted by SAMPLE-AES"},
		{"variables", head + "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n#EXTINF:1,\n{$a}.ts\n", "", "variables"},
		{"no such variant", master, "#variant=1080p", "there are: 1280x720 1000000 bit/s"},
		{"too little bandwidth", master, "#bandwidth=800k", "no variant"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &origin{}
			o.put("index.m3u8", []byte(c.list))
			_, _, _, ended := start(t, o, Config{}, "index.m3u8"+c.fragment)
			if err := <-ended; err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "couldn't pull HLS from "+base+"index.m3u8") {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
		})
	}
	for _, fragment := range []string{"#speed=3", "#bandwidth=fast", "#bandwidth=-1"} {
		if _, err := NewPull(Config{URL: base + "index.m3u8" + fragment}); err == nil {
			t.Errorf("%s: got no error", fragment)
		}
	}
}

// TestSecretsStaySecret: neither passwords nor queries are in errors.
func TestSecretsStaySecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: func(r *http.Request) *http.Response { return reply(r, 403, nil) }}
		stats := new(ingest.Stats)
		p, err := NewPull(Config{URL: "http://me:secret@origin.example/index.m3u8?token=secret", Stats: stats, Client: &http.Client{Transport: o}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Run(ctx, &sink{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if text := stats.LastError(); !strings.Contains(text, "403") || strings.Contains(text, "secret") {
			t.Errorf("got error %q, want the answer and no secret", text)
		}
		if len(o.requests("index.m3u8")) == 0 || !strings.Contains(o.requests("index.m3u8")[0].path, "token=secret") {
			t.Error("the token was not sent")
		}
	})
}

// shaky is a Sink that panics at the nth sample, as a parser might in the goroutine that calls it.
type shaky struct {
	sink
	n int
}

func (s *shaky) WriteSample(x ingest.Sample) {
	if s.n--; s.n < 0 {
		panic("glass")
	}
	s.sink.WriteSample(x)
}

// TestPanics: what panics in any of the goroutines ends the run with an error that says so, and not the process.
func TestPanics(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(r *http.Request) *http.Response
		after  int
	}{
		{"a follower", func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/s2.ts") {
				panic("glass")
			}
			return nil
		}, 1 << 30},
		{"the merger", nil, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			src, o := newSource(t), &origin{answer: c.answer}
			recording(t, o, src)
			p, err := NewPull(Config{URL: base + "index.m3u8", Client: &http.Client{Transport: o}})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(t.Context(), &shaky{n: c.after}); !errors.Is(err, ingest.ErrPanic) || !strings.Contains(err.Error(), "glass") {
				t.Errorf("%s panicked: ended with %v", c.name, err)
			}
		})
	}
}
