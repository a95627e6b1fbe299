package srt

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip"
)

const key = "sesame-open"

// TestWhoMayPublish goes through all spellings of the stream id, and both ways to show the key.
func TestWhoMayPublish(t *testing.T) {
	log := &ingesttest.Lines{}
	logger := log.Logger()
	for _, c := range []struct {
		name, streamID, passphrase string
		cfg                        ServerConfig
		want                       string // of the caller's error; "" is let in
	}{
		{"no key set, nothing said", "", "", ServerConfig{}, ""},
		{"no key set, a name", "publish:studio", "", ServerConfig{}, ""},
		{"encrypted, no passphrase set", "", "another-secret", ServerConfig{}, "1011"},
		{"to watch", "request:studio", "", ServerConfig{}, "1405"},
		{"to watch, by access control", "#!::r=studio", "", ServerConfig{}, "1405"},
		{"an action unknown", "borrow:studio", "", ServerConfig{}, "1400"},
		{"key alone", key, "", keyed(key, "", false), ""},
		{"key as path", "publish:" + key, "", keyed(key, "", false), ""},
		{"key at the end of the path", "publish:live/" + key, "", keyed(key, "", false), ""},
		{"key as password", "publish:live:me:" + key, "", keyed(key, "", false), ""},
		{"key as resource", "#!::r=live/" + key + ",m=publish", "", keyed(key, "", false), ""},
		{"key as session", "#!::m=publish,u=me,s=" + key + ",r=live", "", keyed(key, "", false), ""},
		{"key as passphrase", "publish:live", key, keyed(key, key, false), ""},
		{"key said twice", "publish:live/" + key, key, keyed(key, key, false), ""},
		{"no key", "publish:live", "", keyed(key, key, false), "1401"},
		{"nothing said, key set", "", "", keyed(key, key, false), "1401"},
		{"another key", "publish:sesame-opem", "", keyed(key, key, false), "1401"},
		{"another passphrase", "publish:" + key, "sesame-opem", keyed(key, key, false), "1010"},
		{"passphrase of SRT alone", "", "quite-another", keyed(key, "quite-another", true), ""},
		{"not encrypted where it must be", "publish:" + key, "", keyed(key, "quite-another", true), "1011"},
		{"passphrase without a key", "", "quite-another", keyed("", "quite-another", true), ""},
		{"another passphrase without a key", "", "quite-anothes", keyed("", "quite-another", true), "1010"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Logger = logger
			if c.cfg.Gate != nil {
				c.cfg.Gate = admit.NewGate(key, logger)
			}
			s, _ := serve(t, c.cfg)
			conn, err := call(s.Addr(), c.streamID, c.passphrase)
			if err == nil {
				conn.Close()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, secret := range []string{key, "sesame-opem", "quite-another"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q in it", secret)
		}
	}
}

// keyed is a configuration with a key; the gate is made anew by each test.
func keyed(key, passphrase string, encrypted bool) ServerConfig {
	return ServerConfig{Gate: admit.NewGate(key, slog.Default()), Passphrase: passphrase, Encrypted: encrypted}
}

// TestPublish sends the clip, plain and encrypted.
func TestPublish(t *testing.T) {
	for name, secret := range map[string]string{"plain": "", "encrypted": "quite-another"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := serve(t, ServerConfig{Passphrase: secret, Encrypted: secret != ""})
			c := mustCall(t, s.Addr(), "publish:live", secret)
			send(t, c, clip.Bytes())
			r.Wait(t, whole)
			same(t, r, want(t, theClip), 0)
			quietStats(t, s.Stats())
		})
	}
}

// TestTwoPublishers: the first stays while it sends; when it is silent for a second, as one that was killed is, the next takes over
// long before SRT gives the first up.
func TestTwoPublishers(t *testing.T) {
	s, r := serve(t, ServerConfig{Latency: latency})
	first := mustCall(t, s.Addr(), "publish:live", "")
	in := clip.Bytes()
	on, off := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	sending.Go(func() { // slowly, so that it lasts
		for rest := in; len(rest) > 1316 && on.Err() == nil; rest = rest[1316:] {
			_, _ = first.Write(rest[:1316])
			<-time.After(20 * time.Millisecond)
		}
	})
	ingesttest.Until(t, "on air", func() bool { return s.Stats().Samples.Load() > 0 })
	if _, err := call(s.Addr(), "publish:live", ""); err == nil || !strings.Contains(err.Error(), "1407") {
		t.Errorf("second publisher got %v, want a conflict", err)
	}
	off()
	sending.Wait()
	// first neither sends nor says goodbye
	second := mustCall(t, s.Addr(), "publish:live", "")
	before := len(r.All())
	send(t, second, in)
	r.Wait(t, before+whole)
	if n := s.Stats().Reconnects.Load(); n != 1 {
		t.Errorf("%d reconnects counted, want 1", n)
	}
	ingesttest.CheckTimes(t, r.Of(0)[len(r.Of(0))-100:])
}

// TestPaths: the first element of the path chooses the stream.
func TestPaths(t *testing.T) {
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet(), Gate: admit.NewGate(key, ingesttest.Quiet())})
	if err != nil {
		t.Fatal(err)
	}
	high, low := ingesttest.NewRecord(), ingesttest.NewRecord()
	ingesttest.Start(t, paths{s, map[string]ingest.Sink{"high": high, "low": low}}, nil)
	if _, err := call(s.Addr(), "publish:elsewhere/"+key, ""); err == nil || !strings.Contains(err.Error(), "1404") {
		t.Errorf("a path that nobody waits for: got %v, want not found", err)
	}
	a, b := mustCall(t, s.Addr(), "publish:high/"+key, ""), mustCall(t, s.Addr(), "#!::m=publish,r=low,s="+key, "")
	var both sync.WaitGroup
	both.Go(func() { send(t, a, clip.Bytes()) })
	both.Go(func() { send(t, b, clip.Bytes()) })
	both.Wait()
	high.Wait(t, whole)
	low.Wait(t, whole)
	if h, l := s.StatsOf("high").Samples.Load(), s.StatsOf("low").Samples.Load(); h != whole || l != whole {
		t.Errorf("%d and %d samples counted, want %d each", h, l, whole)
	}
}

// paths runs a server as a source.
type paths struct {
	*Server
	sinks map[string]ingest.Sink
}

// TestGarbage: a handshake that ends within an extension makes gosrt panic; neither that nor anything else keeps an encoder out.
func TestGarbage(t *testing.T) {
	log := &ingesttest.Lines{}
	s, r := serve(t, ServerConfig{Logger: slog.New(slog.NewTextHandler(log, nil))})
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := range 80 {
		conclusion := append([]byte{0x80, 0, 0, 0}, make([]byte, 12+n)...)
		if n > 48 {
			conclusion[16+7] = 1                                     // an extension
			copy(conclusion[16+20:], []byte{0xff, 0xff, 0xff, 0xff}) // conclusion
		}
		for _, b := range [][]byte{conclusion, bytes.Repeat([]byte{byte(n)}, n), bytes.Repeat([]byte{0x80}, n)} {
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := mustCall(t, s.Addr(), "", "")
	send(t, c, clip.Bytes())
	r.Wait(t, whole)
	if !strings.Contains(log.String(), "malformed") {
		t.Error("the log says nothing of the malformed handshakes")
	}
}

// TestNotTS: who sends something else is told so in the status, and makes way.
func TestNotTS(t *testing.T) {
	s, r := serve(t, ServerConfig{})
	c := mustCall(t, s.Addr(), "", "")
	junk := bytes.Repeat([]byte("This is no transport stream. "), 40000)
	go func() {
		for len(junk) > 1316 {
			if _, err := c.Write(junk[:1316]); err != nil {
				return
			}
			junk = junk[1316:]
			<-time.After(time.Millisecond)
		}
	}()
	ingesttest.Until(t, "refused", func() bool { return strings.Contains(s.Stats().LastError(), "not MPEG-TS") })
	good := mustCall(t, s.Addr(), "", "")
	send(t, good, clip.Bytes())
	r.Wait(t, whole)
}

// TestManyCallers: strangers without a key cannot keep out who has it, on another address.
func TestManyCallers(t *testing.T) {
	gate := admit.NewGate(key, ingesttest.Quiet())
	s, r := serve(t, ServerConfig{Gate: gate})
	for range 20 {
		if c, err := call(s.Addr(), "publish:guess", ""); err == nil {
			c.Close()
			t.Fatal("a stranger was let in")
		}
	}
	if n := gate.Refused(); n != 20 {
		t.Errorf("%d refused, want 20", n)
	}
	ingesttest.Until(t, "let in", func() bool {
		c, err := call(s.Addr(), "publish:"+key, "")
		if err != nil {
			return false
		}
		t.Cleanup(func() { c.Close() })
		send(t, c, clip.Bytes())
		return true
	})
	r.Wait(t, whole)
}

// TestListenErrors: what is refused before anything is bound, and a port that is taken.
func TestListenErrors(t *testing.T) {
	s, _ := serve(t, ServerConfig{})
	for _, c := range []struct {
		cfg  ServerConfig
		want string
	}{
		{ServerConfig{Addr: "0.0.0.0:0"}, "anybody could publish"},
		{ServerConfig{Addr: "8890"}, "not host:port"},
		{ServerConfig{Addr: "127.0.0.1:0", Passphrase: "short"}, "SRT takes 10 to 79"},
		{ServerConfig{Addr: "127.0.0.1:0", Latency: time.Hour}, "latency"},
		{ServerConfig{Addr: s.Addr().String()}, "address already in use"},
	} {
		l, err := Listen(c.cfg)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.cfg, err, c.want)
		}
	}
}

func (p paths) Run(ctx context.Context, _ ingest.Sink) error { return p.RunPaths(ctx, p.sinks) }
