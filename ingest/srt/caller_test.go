package srt

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/datarhei/gosrt/circular"
	"github.com/datarhei/gosrt/packet"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

// gateway waits for calls, as an encoder in listener mode does.
type gateway struct {
	gosrt.Listener
	calls chan gosrt.Conn
	ids   chan string
}

func newGateway(t *testing.T, passphrase string) *gateway {
	t.Helper()
	l, err := gosrt.Listen("srt", "127.0.0.1:0", gosrt.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{l, make(chan gosrt.Conn, 16), make(chan string, 16)}
	var answering sync.WaitGroup
	answering.Go(func() { g.answer(passphrase) })
	t.Cleanup(func() { l.Close(); answering.Wait() })
	return g
}

func (g *gateway) answer(passphrase string) {
	for {
		req, err := g.Accept2()
		if err != nil {
			return
		}
		if passphrase != "" && (!req.IsEncrypted() || req.SetPassphrase(passphrase) != nil) {
			req.Reject(gosrt.REJ_BADSECRET)
			continue
		}
		if c, err := req.Accept(); err == nil {
			g.ids <- req.StreamId()
			g.calls <- c
		}
	}
}

// TestCaller: the sender hangs up, and is called again; what it sends then continues the program.
func TestCaller(t *testing.T) {
	g := newGateway(t, "quite-another")
	c, err := NewCaller(CallerConfig{Addr: g.Addr().String(), StreamID: "#!::r=studio,m=request", Passphrase: "quite-another", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, c, r)
	for round := 1; round <= 2; round++ {
		conn := <-g.calls
		if id := <-g.ids; id != "#!::r=studio,m=request" {
			t.Errorf("stream id %q came", id)
		}
		send(t, conn, clip.Bytes())
		r.Wait(t, round*whole)
		conn.Close()
	}
	ingesttest.Until(t, "a call after the second", func() bool { return len(g.calls) > 0 })
	if n := c.Stats().Reconnects.Load(); n != 2 {
		t.Errorf("%d reconnects counted, want 2", n)
	}
	quietStats(t, c.Stats())
}

// TestCallerRefused: the log says what is wrong, without the passphrase, and we call again.
func TestCallerRefused(t *testing.T) {
	g := newGateway(t, "quite-another")
	c, err := NewCaller(CallerConfig{Addr: g.Addr().String(), Passphrase: "quite-anothes", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ingesttest.Start(t, c, ingesttest.NewRecord())
	ingesttest.Until(t, "refused twice", func() bool { return c.Stats().Reconnects.Load() >= 2 })
	if text := c.Stats().LastError(); !strings.Contains(text, "the passphrase is wrong") || strings.Contains(text, "quite") {
		t.Errorf("the last error is %q", text)
	}
}

// gatewayLine is a connection by which the clip comes, at once and in order, and then nothing more.
type gatewayLine struct {
	gosrt.Conn
	packets chan packet.Packet
	gone    chan struct{}
	hangUp  func()
}

func newGatewayLine() *gatewayLine {
	l := &gatewayLine{packets: make(chan packet.Packet, len(clip.Bytes())/(7*188)+1), gone: make(chan struct{})}
	l.hangUp = sync.OnceFunc(func() { close(l.gone) })
	for d := range slices.Chunk(clip.Bytes(), 7*188) {
		p := packet.NewPacket(nil)
		p.SetData(d)
		p.Header().PacketSequenceNumber = circular.New(uint32(len(l.packets)), packet.MAX_SEQUENCENUMBER)
		l.packets <- p
	}
	return l
}

func (l *gatewayLine) ReadPacket() (packet.Packet, error) {
	select {
	case p := <-l.packets:
		return p, nil
	case <-l.gone:
		return nil, io.EOF
	}
}

func (l *gatewayLine) Read([]byte) (int, error) { return 0, gosrt.ErrClientClosed } // asked by hangUp alone
func (l *gatewayLine) Close() error             { l.hangUp(); return nil }
func (l *gatewayLine) RemoteAddr() net.Addr     { return &net.UDPAddr{} }
func (l *gatewayLine) Stats(*gosrt.Statistics)  {}

// TestCallerLongOutage: what a gateway sends that was away for a minute, or a little longer, plays within 3 s of its return, though the calls in between take
// their time, and so does SRT.
func TestCallerLongOutage(t *testing.T) {
	for phase := range 20 {
		synctest.Test(t, func(t *testing.T) {
			c, err := NewCaller(CallerConfig{Addr: "192.0.2.1:9000", Logger: ingesttest.Quiet()})
			if err != nil {
				t.Fatal(err)
			}
			var last time.Time
			back := time.Now().Add(time.Minute + time.Duration(phase)*100*time.Millisecond)
			c.dial = func(ctx context.Context, _ string, config gosrt.Config, _ *slog.Logger) (*outgoing, error) {
				if last = time.Now(); last.Before(back) {
					ingest.Sleep(ctx, config.ConnectionTimeout)
					return nil, errors.New("nobody answers")
				}
				ingest.Sleep(ctx, config.ReceiverLatency)
				return &outgoing{newGatewayLine(), &relay{near: new(net.UDPConn)}}, nil
			}
			ctx, stop := context.WithDeadline(t.Context(), back.Add(3*time.Second))
			defer stop()
			r := ingesttest.NewRecord()
			if err := c.Run(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
			if !r.HasKey() {
				t.Errorf("no key picture came in the 3 s after its return; it was called %v", last.Sub(back))
			}
		})
	}
}

// TestNothingIsLeftBehind: calls that fail and calls that end leave no goroutine.
func TestNothingIsLeftBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as gosrt's timeouts")
	}
	g := newGateway(t, "")
	deaf, err := net.ListenPacket("udp", "127.0.0.1:0") // hears, and does not answer
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	before := runtime.NumGoroutine()
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			config, _ := configure("", 0)
			if _, err := dial(t.Context(), deaf.LocalAddr().String(), config, ingesttest.Quiet()); err == nil {
				t.Error("nobody answered, and there was no error")
			}
		})
		calls.Go(func() {
			config, _ := configure("", 0)
			conn, err := dial(t.Context(), g.Addr().String(), config, ingesttest.Quiet())
			if err != nil {
				t.Error(err)
				return
			}
			conn.hangUp()
			(<-g.calls).Close()
			<-g.ids
		})
	}
	calls.Wait()
	ingesttest.Until(t, "all gone", func() bool { return runtime.NumGoroutine() <= before })
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url  string
		want Address
		err  string
	}{
		{"srt://gateway.example:9000", Address{Addr: "gateway.example:9000"}, ""},
		{"srt://127.0.0.1:9000?mode=caller&latency=200&streamid=%23!::r=a,m=request&passphrase-file=/f&pkt_size=1316", Address{
			Addr: "127.0.0.1:9000", StreamID: "#!::r=a,m=request", PassphraseFile: "/f", Latency: 200 * time.Millisecond,
		}, ""},
		{"srt://:8890?mode=listener", Address{Addr: ":8890", Listen: true}, ""},
		{"srt://gateway.example", Address{}, "needs a port"},
		{"srt://:8890", Address{}, "mode=listener"},
		{"srt://a:1?mode=rendezvous", Address{}, "want caller or listener"},
		{"srt://a:1?passphrase=secret1234", Address{}, "passphrase-file=FILE"},
		{"srt://a:1?latency=120000", Address{}, "is latency=120"},
		{"srt://a:1?latency=soon", Address{}, "want milliseconds"},
		{"srt://a:1?streamid=#!::r=a", Address{}, "%23"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseURL(u)
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.url, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: got %v, want %q", c.url, err, c.err)
		}
	}
}

// FuzzStreamID: what a stranger says of itself before it is let in.
func FuzzStreamID(f *testing.F) {
	for _, s := range []string{"", "live/KEY", "publish:live:me:KEY", "request:a", "#!::r=live,m=publish,s=KEY", "#!::,", "%23!::r=a%2", "#!::m=", ":::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		r, err := parseStreamID(id)
		if err == nil && !r.play && len(r.path)+len(r.secret) > len(id) {
			t.Errorf("%q became %+v", id, r)
		}
	})
}
