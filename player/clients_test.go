package player

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tailcast/ingest"
	"tailcast/internal/cpu"
	"tailcast/internal/ts"
)

// serve is a bench's server on loopback. Its sockets hold little, so that a client that does not read is noticed.
func serve(t testing.TB, b *bench) *httptest.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(b.server)
	web.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	web.Start()
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return web
}

// get opens a stream.
func get(t testing.TB, url string) *http.Response {
	t.Helper()
	return getBy(t, http.DefaultClient, url)
}

// getSmall opens a stream through a socket that holds little.
func getSmall(t testing.TB, url string) *http.Response {
	t.Helper()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return c, err
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return getBy(t, &http.Client{Transport: transport}, url)
}

func getBy(t testing.TB, c *http.Client, url string) *http.Response {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestManyClientsGetTheSameBytes(t *testing.T) {
	const clients = 50
	program, in := clipSamples(t)
	b := newBenchOf(Config{MaxClients: clients})
	b.SetProgram(program)
	b.feed(in[:50])
	web := serve(t, b)
	answers := make([]*http.Response, clients)
	for i := range answers {
		answers[i] = get(t, web.URL+"/live.ts")
	}
	full := get(t, web.URL+"/live.ts")
	if full.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("client %d got %s, want 503", clients+1, full.Status)
	}
	b.feed(in[50:])
	_, want := all(t, b.ts)
	b.close()
	var wg sync.WaitGroup
	for i, a := range answers {
		wg.Go(func() {
			if got, err := io.ReadAll(a.Body); err != nil || string(got) != string(want) {
				t.Errorf("client %d: %d bytes, %v; want %d", i, len(got), err, len(want))
			}
		})
	}
	wg.Wait()
	if got := testutil.ToFloat64(b.server.metrics.sent.WithLabelValues("ts")); got != float64(clients*len(want)) {
		t.Errorf("counted %.0f bytes, want %d", got, clients*len(want))
	}
}

// TestSlowClient reads nothing while another reads everything, and then finds itself at the live edge.
func TestSlowClient(t *testing.T) {
	b := newBenchOf(Config{BacklogBytes: 256 << 10, Backlog: time.Minute})
	web := serve(t, b)
	b.SetProgram(syntheticProgram())
	in := synthetic(100, 0)
	b.feed(in[:50])
	slow, quick := getSmall(t, web.URL+"/live.ts"), countPictures(get(t, web.URL+"/live.ts").Body)
	first := <-quick
	for i := 50; i < len(in); i += 50 {
		b.feed(in[i:min(i+50, len(in))])
		want := len(track(in[:i], picture)) - len(track(in[:50], picture))
		for n := first; n < want; {
			select {
			case n = <-quick:
			case <-time.After(10 * time.Second):
				t.Fatalf("the quick client has %d pictures, not %d: it waits for the slow one", n, want)
			}
		}
	}
	b.close()
	late, err := io.ReadAll(slow.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := continuous(t, late); n == 0 {
		t.Error("the slow client skipped nothing, or was not told")
	}
	sent, got := track(in, picture), track(scan(late).samples, picture)
	if !bytes.Equal(got[len(got)-1].Data, sent[len(sent)-1].Data) {
		t.Error("the slow client does not end at the live edge")
	}
	if n := testutil.ToFloat64(b.server.metrics.skips.WithLabelValues("ts")); n == 0 {
		t.Error("no skip is counted")
	}
}

// countPictures reads a stream to its end and tells how many pictures it has brought, the newest number only.
func countPictures(body io.Reader) <-chan int {
	counts := make(chan int, 1)
	go func() {
		defer close(counts)
		k := &keep{}
		s := ts.NewScanner(ts.Config{Sink: k})
		buf := make([]byte, 32<<10)
		for {
			n, err := body.Read(buf)
			if err != nil {
				return
			}
			_, _ = s.Write(buf[:n])
			select {
			case <-counts:
			default:
			}
			counts <- len(track(k.samples, picture))
		}
	}()
	return counts
}

func TestAudienceWakesAndLets(t *testing.T) {
	a := newAudience(1)
	now := time.Now()
	if !a.goneFor(time.Second, now) {
		t.Error("an empty audience is not gone")
	}
	if !a.enter(true) || a.enter(true) || a.enter(false) {
		t.Error("there is room for one")
	}
	if err := a.await(t.Context()); err != nil {
		t.Error(err)
	}
	if a.goneFor(0, now) {
		t.Error("gone while here")
	}
	a.leave(true, now)
	if a.goneFor(time.Second, now.Add(time.Second/2)) || !a.goneFor(time.Second, now.Add(time.Second)) {
		t.Error("gone at the wrong time")
	}
	if !a.enter(false) || a.enter(true) {
		t.Error("there is room for one who watches the past")
	}
	if !a.goneFor(time.Second, now.Add(time.Second)) {
		t.Error("who watches the past keeps live streams going")
	}
	a.leave(false, now.Add(time.Minute))
	if !a.enter(true) {
		t.Error("there is room again")
	}
}

// fast makes a synthetic channel of about 4 Mbit/s out of the synthetic one's sound and larger pictures.
func fast(seconds int) []ingest.Sample {
	in := synthetic(seconds, 0)
	for i := range in {
		if in[i].Track == picture {
			in[i].Data = append(in[i].Data, strings.Repeat("x", 19000)...)
		}
	}
	return in
}

// BenchmarkFiftyReaders is 50 readers of a 4 Mbit/s /live.ts for five seconds. The readers are another process, as they would be.
func BenchmarkFiftyReaders(b *testing.B) {
	const readers, seconds = 50, 5
	bn := newBench()
	bn.SetProgram(syntheticProgram())
	bn.feed(synthetic(1, -90000))
	web := httptest.NewServer(bn.server)
	defer web.Close()
	read := exec.Command(os.Args[0])
	read.Env = append(os.Environ(), fmt.Sprintf("TAILCAST_READ=%s/live.ts %d", web.URL, readers))
	if err := read.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = read.Wait() }()
	for testutil.ToFloat64(bn.server.metrics.clients.WithLabelValues("ts")) < readers {
		<-time.After(10 * time.Millisecond)
	}
	in := fast(seconds)
	size := 0
	before, begun := cpu.Used(), time.Now()
	for at := 0; at < len(in); at += 4 {
		block := in[at:min(at+4, len(in))]
		<-time.After(time.Until(begun.Add(time.Duration(block[0].DTS) * time.Second / ingest.ClockRate)))
		bn.feed(block)
		for _, s := range block {
			size += len(s.Data)
		}
	}
	used, took := cpu.Used()-before, time.Since(begun)
	bn.close()
	b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
	b.ReportMetric(float64(size)*8/took.Seconds()/1e6, "Mbit/s")
	b.ReportMetric(0, "ns/op")
}

// TestMain is also the other process of BenchmarkFiftyReaders: with TAILCAST_READ, "URL count", it reads and tests nothing.
func TestMain(m *testing.M) {
	var url string
	var n int
	if _, err := fmt.Sscan(os.Getenv("TAILCAST_READ"), &url, &n); err != nil {
		os.Exit(m.Run())
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if answer, err := http.Get(url); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	}
	wg.Wait()
}

// BenchmarkRemux is the cost of turning one media second of 4 Mbit/s into both containers.
func BenchmarkRemux(b *testing.B) {
	in := fast(1)
	size := 0
	for _, s := range in {
		size += len(s.Data)
	}
	bn := newBenchOf(Config{BacklogBytes: 4 << 20})
	bn.SetProgram(syntheticProgram())
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for shift := int64(0); b.Loop(); shift += ingest.ClockRate {
		for i := range in {
			s := in[i]
			s.DTS += shift
			s.PTS += shift
			bn.WriteSample(s)
			if i%2 == 1 {
				for _, f := range bn.formats {
					f.endOfBlock()
				}
			}
		}
	}
}
