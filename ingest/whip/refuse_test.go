package whip

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
)

// What is not an offer that can be taken is refused with a sentence, and the next publisher is let in.
func TestRefusals(t *testing.T) {
	p := newPlace(t, nil)
	good := newClient(t, h264Codec, opusCodec).offer()
	twice := newClient(t, h264Codec)
	twice.add(h264Codec, 0)
	data := newClient(t, h264Codec)
	if _, err := data.pc.CreateDataChannel("x", nil); err != nil {
		t.Fatal(err)
	}
	session := p.url + "/" + newID()
	for _, c := range []struct {
		name, method, url, kind, body string
		status                        int
		text                          string
	}{
		{"another type", "POST", p.url, "text/plain", good, 415, "want an SDP offer"},
		{"no type", "POST", p.url, "", good, 415, "want an SDP offer"},
		{"nothing", "POST", p.url, typeSDP, "", 422, "no media"},
		{"no SDP", "POST", p.url, typeSDP, "hello", 400, "not SDP"},
		{"no media", "POST", p.url, typeSDP, "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 422, "no media"},
		{"too much", "POST", p.url, typeSDP, strings.Repeat("a", maxOffer+1), 413, "more than 65536 bytes"},
		{"half of one", "POST", p.url, typeSDP, good[:strings.Index(good, "rtpmap")], 400, "not SDP"},
		{"without ICE", "POST", p.url, typeSDP, without(good, "a=ice-"), 422, ""},
		{"without a fingerprint", "POST", p.url, typeSDP, without(good, "a=fingerprint"), 422, ""},
		{"VP8 alone", "POST", p.url, typeSDP, newClient(t, vp8Codec, opusCodec).offer(), 422, "(VP8): send H.264, H.265, VP9 or AV1"},
		{"two pictures", "POST", p.url, typeSDP, twice.offer(), 422, "more than one video"},
		{"a data channel", "POST", p.url, typeSDP, data.offer(), 422, "make no data channel"},
		{"to receive", "POST", p.url, typeSDP, strings.ReplaceAll(good, "a=sendonly", "a=recvonly"), 422, "not for sending"},
		{"layers", "POST", p.url, typeSDP, strings.ReplaceAll(good, "a=sendonly", "a=sendonly\r\na=simulcast:send h;l"), 422, "switch simulcast off"},
		{"to look at", "GET", p.url, "", "", 405, "POST an SDP offer"},
		{"trickle", "PATCH", session, "application/trickle-ice-sdpfrag", "a=mid:0\r\n", 405, ""},
		{"an unknown session", "DELETE", session, "", "", 404, "no such session"},
		{"no session", "DELETE", p.url, "", "", 405, ""},
		{"an offer to a session", "POST", session, typeSDP, good, 405, ""},
	} {
		res, text := ask(t, c.method, c.url, c.kind, c.body)
		if res.StatusCode != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %s, %q, want %d, %q", c.name, res.Status, text, c.status, c.text)
		}
		if len(text) > 1000 {
			t.Errorf("%s: the reason has %d bytes", c.name, len(text))
		}
	}
	if res, _ := ask(t, "OPTIONS", p.url, "", ""); res.StatusCode != 200 || res.Header.Get("Accept-Post") != typeSDP {
		t.Errorf("OPTIONS: got %s, %v", res.Status, res.Header)
	}
	newClient(t, h264Codec).publish(p)
}

func without(sdp, prefix string) string {
	var out []string
	for _, line := range strings.Split(sdp, "\r\n") {
		if !strings.HasPrefix(line, prefix) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\r\n")
}

func (c *client) one(n int) {
	c.t.Helper()
	video := c.tracks["video"]
	c.write("video", video.packets(time.Duration(n)*frame, payloads(c.t, picture(n, true))...)...)
}

// Of a flood of offers one is taken; the others are refused without costing anything that stays.
func TestFloodOfOffers(t *testing.T) {
	p := newPlace(t, nil)
	good := newClient(t, h264Codec, opusCodec).offer()
	var wait sync.WaitGroup
	codes := make(chan int, 100)
	for range cap(codes) {
		wait.Go(func() {
			res, err := http.Post(p.url, typeSDP, strings.NewReader(good))
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			codes <- res.StatusCode
		})
	}
	wait.Wait()
	close(codes)
	count := map[int]int{}
	for code := range codes {
		count[code]++
	}
	if count[201] != 1 || count[409] != cap(codes)-1 {
		t.Errorf("got %v, want one 201 and 409 for all others", count)
	}
}

// Who is on air stays; when it has said goodbye the next comes, in a time that goes on.
func TestOneAtATime(t *testing.T) {
	p := newPlace(t, nil)
	p.silence = time.Hour // as if it sent on and on
	a := newClient(t, h264Codec)
	a.publish(p)
	a.one(0)
	p.rec.Wait(t, 1)
	res, text := ask(t, "POST", p.url, typeSDP, newClient(t, h264Codec).offer())
	if res.StatusCode != 409 || !strings.Contains(text, "somebody else is publishing") || res.Header.Get("Retry-After") == "" {
		t.Errorf("a second publisher: got %s, %s", res.Status, text)
	}
	a.one(1)
	p.rec.Wait(t, 2)
	if res, _ := ask(t, "DELETE", a.location, "", ""); res.StatusCode != 200 {
		t.Errorf("DELETE: got %s", res.Status)
	}
	if res, _ := ask(t, "DELETE", a.location, "", ""); res.StatusCode != 404 {
		t.Errorf("DELETE again: got %s", res.Status)
	}
	b := newClient(t, h264Codec)
	b.publish(p)
	b.one(0)
	b.one(1)
	got := p.rec.Wait(t, 4)
	ingesttest.CheckTimes(t, got)
	if got[2].Flags&ingest.Discontinuity == 0 || got[3].Flags&ingest.Discontinuity != 0 {
		t.Errorf("flags are %v and %v, want a discontinuity on the first of the second publisher", got[2].Flags, got[3].Flags)
	}
	if n := p.Stats().Reconnects.Load(); n != 1 {
		t.Errorf("%d reconnects, want 1", n)
	}
}

// An encoder that closes its connection makes room at once, without DELETE.
func TestClosedConnection(t *testing.T) {
	p := newPlace(t, nil)
	a := newClient(t, h264Codec)
	a.publish(p)
	a.one(0)
	p.rec.Wait(t, 1)
	p.mu.Lock()
	gone := p.only().pub.gone
	p.mu.Unlock()
	a.close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the session is still there")
	}
	b := newClient(t, h264Codec)
	b.publish(p)
	b.one(0)
	p.rec.Wait(t, 2)
}

// An encoder that was killed comes back at once: its next offer waits until it is clear that nothing comes any more, instead of being refused.
func TestSilentMakesWay(t *testing.T) {
	p := newPlace(t, nil)
	a := newClient(t, h264Codec)
	a.publish(p)
	a.one(0)
	p.rec.Wait(t, 1)
	p.mu.Lock()
	last := p.only().pub.last.Load()
	p.mu.Unlock()
	b := newClient(t, h264Codec)
	b.publish(p)
	if waited := time.Since(time.Unix(0, last)); waited < silence {
		t.Errorf("it made way %v after its last packet, want %v", waited, silence)
	}
	b.one(0)
	p.rec.Wait(t, 2)
}

// Each name has a publisher and a sink of its own; who asks for another is told which there are.
func TestNamesAreStreams(t *testing.T) {
	s, err := Listen(Config{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	high, low := ingesttest.NewRecord(), ingesttest.NewRecord()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.RunPaths(ctx, map[string]ingest.Sink{"high": high, "low": low}) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	s.silence = time.Hour // as if they sent on and on
	p := open(t, s)
	base := p.url
	for name, rec := range map[string]*ingesttest.Record{"high": high, "low": low} {
		c := newClient(t, h264Codec)
		p.url = base + "/" + name
		c.publish(p)
		c.one(0)
		rec.Wait(t, 1)
		if !strings.Contains(c.location, "/whip/"+name+"/"+idPrefix) {
			t.Errorf("the session of %s is at %s", name, c.location)
		}
		if res, _ := ask(t, "POST", p.url, typeSDP, newClient(t, h264Codec).offer()); res.StatusCode != 409 {
			t.Errorf("a second publisher of %s: got %s, want 409", name, res.Status)
		}
		if name == "high" {
			if res, _ := ask(t, "DELETE", c.location, "", ""); res.StatusCode != 200 {
				t.Errorf("DELETE: got %s", res.Status)
			}
		}
	}
	for _, url := range []string{base, base + "/other"} {
		if res, text := ask(t, "POST", url, typeSDP, newClient(t, h264Codec).offer()); res.StatusCode != 404 || !strings.Contains(text, "/whip/high or /whip/low") {
			t.Errorf("%s: got %s, %s, want 404 and the names", url, res.Status, text)
		}
	}
	if n, m := s.StatsOf("high").Samples.Load(), s.StatsOf("low").Samples.Load(); n != 1 || m != 1 {
		t.Errorf("counted %d and %d samples, want 1 each", n, m)
	}
}

// A stream may be called as sessions begin.
func TestSessionIDs(t *testing.T) {
	for name, want := range map[string]bool{newID(): true, "session-1": false, "session-": false, "whip": false, strings.ToLower(newID()): false, newID() + "A": false} {
		if isID(name) != want {
			t.Errorf("%s: is a session's %v, want %v", name, !want, want)
		}
	}
}

func TestAlive(t *testing.T) {
	born := time.Unix(1000, 0)
	for _, c := range []struct {
		born, last time.Duration // before now; 0 for none
		want       bool
	}{
		{time.Second, 0, true},
		{becomeWithin, 0, false},
		{time.Hour, silence / 2, true},
		{time.Hour, silence, false},
	} {
		now := born.Add(c.born)
		s := &session{born: born, server: &Server{patience: becomeWithin, silence: silence}}
		if c.last != 0 {
			s.last.Store(now.Add(-c.last).UnixNano())
		}
		if got := s.alive(now); got != c.want {
			t.Errorf("offered %v ago, newest packet %v ago: alive is %v", c.born, c.last, got)
		}
	}
}

// Who offers and never comes is given up, and leaves nothing behind.
func TestNeverComes(t *testing.T) {
	s, err := Listen(Config{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	s.patience = 50 * ms
	p := serve(t, s, nil)
	if res, text := ask(t, "POST", p.url, typeSDP, newClient(t, h264Codec, opusCodec).offer()); res.StatusCode != 201 {
		t.Fatalf("got %s, %s", res.Status, text)
	}
	p.mu.Lock()
	pub := p.only().pub
	p.mu.Unlock()
	if pub == nil { // it is over already
		return
	}
	select {
	case <-pub.gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the session is still there")
	}
	if reason := context.Cause(pub.ctx); reason != errSilent {
		t.Errorf("it ended by %v, want %v", reason, errSilent)
	}
}

// However many publishers come and go, nothing of them stays.
func TestNothingStays(t *testing.T) {
	p := newPlace(t, nil)
	turn := func(n int) {
		c := newClient(t, h264Codec)
		c.publish(p)
		c.one(0)
		p.rec.Wait(t, n+1)
		if res, _ := ask(t, "DELETE", c.location, "", ""); res.StatusCode != 200 {
			t.Fatalf("DELETE: got %s", res.Status)
		}
		c.close()
		http.DefaultClient.CloseIdleConnections()
	}
	turn(0)
	before := runtime.NumGoroutine()
	for n := range 10 {
		turn(n + 1)
	}
	for i := 0; runtime.NumGoroutine() > before+5; i++ { // what ends by itself may take a moment
		if i == 1000 {
			t.Fatalf("%d goroutines after 10 more publishers, %d before", runtime.NumGoroutine(), before)
		}
		<-time.After(10 * ms)
	}
}

// A panic under one publisher's packet ends its session, and nothing else.
func TestPanicIsContained(t *testing.T) {
	r := &ingesttest.Fragile{Record: ingesttest.NewRecord(), Left: 2}
	p := newPlace(t, r)
	a := newClient(t, h264Codec)
	a.publish(p)
	p.mu.Lock()
	gone := p.only().pub.gone
	p.mu.Unlock()
	for n := range 3 {
		a.one(n)
	}
	<-gone
	b := newClient(t, h264Codec)
	b.publish(p)
	b.one(0)
	r.Wait(t, 3)
	if !strings.Contains(p.Stats().LastError(), "made the parser panic: glass") {
		t.Errorf("last error is %q, want it to tell of the panic", p.Stats().LastError())
	}
}

// Run ends sessions, and before and after it nobody is let in.
func TestNotOnAir(t *testing.T) {
	s, err := Listen(Config{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.enter(""); err != error(errOff) {
		t.Errorf("before Run: got %v, want %v", err, errOff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	p := newPlace(t, nil)
	a := newClient(t, h264Codec)
	closed := make(chan struct{})
	tell := sync.OnceFunc(func() { close(closed) })
	a.publish(p)
	a.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed { // one after the other, perhaps
			tell()
		}
	})
	p.stop()
	<-closed // the encoder is told
	if res, _ := ask(t, "POST", p.url, typeSDP, newClient(t, h264Codec).offer()); res.StatusCode != 503 {
		t.Errorf("after Run: got %s, want 503", res.Status)
	}
}

func TestListenErrors(t *testing.T) {
	busy := newPlace(t, nil).Addr().String()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Addr: "nonsense"}, `address "nonsense"`},
		{Config{Addr: "0.0.0.0:0"}, "set a stream key, or listen on 127.0.0.1"},
		{Config{Addr: busy}, "address already in use"},
	} {
		if s, err := Listen(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, %v, want %q", c.cfg, s, err, c.want)
		}
	}
	for _, cfg := range []Config{{Addr: ":0"}, {Addr: "0.0.0.0:0", Gate: admit.NewGate("sesame-open", ingesttest.Quiet())}} {
		s, err := Listen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Addr == ":0" && !s.Addr().Addr().IsLoopback() {
			t.Errorf("no host is %v, want this machine alone", s.Addr())
		}
		s.Close()
	}
}

// usualOffer is what pion offers who sends pictures and sound, with all that browsers know.
func usualOffer(t testing.TB) []byte {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var codecs webrtc.MediaEngine
	check(codecs.RegisterDefaultCodecs())
	settings := webrtc.SettingEngine{}
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // nothing is asked of the network
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&codecs), webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	check(err)
	defer pc.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		check(err)
	}
	offer, err := pc.CreateOffer(nil)
	check(err)
	return []byte(offer.SDP)
}

// TestUsualOffer: what fuzzing begins with is taken.
func TestUsualOffer(t *testing.T) {
	if o, err := readOffer(usualOffer(t)); err != nil || len(o.media) != 2 {
		t.Errorf("took %+v, %v", o, err)
	}
}

// FuzzOffer: no offer makes us panic, and of each that is taken there is something to receive.
func FuzzOffer(f *testing.F) {
	head := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
	f.Add([]byte(head + "m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtpmap:102 H264/90000\r\n" +
		"a=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\na=rtcp-fb:102 nack pli\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"))
	f.Add([]byte(head + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 sprop-stereo=1\r\na=candidate:1 1 UDP 1 a.local 9 typ host\r\n"))
	f.Add([]byte(head + "m=video 9 UDP/TLS/RTP/SAVPF 45 98\r\na=rtpmap:45 AV1/90000\r\na=rtpmap:98 VP9/90000\r\na=rtcp-fb:* nack\r\n"))
	f.Add(usualOffer(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := readOffer(body)
		if err != nil {
			return
		}
		if len(o.media) == 0 || len(o.media) > 2 || strings.Contains(o.sdp, "\na=candidate:") {
			t.Errorf("took %d media of %q", len(o.media), o.sdp)
		}
		for _, m := range o.media {
			if m.stream.Format == nil || m.stream.Clock <= 0 {
				t.Errorf("took %+v", fmt.Sprint(m))
			}
		}
	})
}
