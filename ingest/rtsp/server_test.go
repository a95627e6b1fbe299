package rtsp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp/rtptest"
)

// encoder is a publisher of one video and one sound track.
type encoder struct {
	t      *testing.T
	client *gortsplib.Client
	desc   *description.Session
}

var (
	overTCP = gortsplib.TransportTCP
	overUDP = gortsplib.TransportUDP
)

// publish announces and records; path may hold credentials.
func publish(t *testing.T, s *Server, transport *gortsplib.Transport, path string) (*encoder, error) {
	t.Helper()
	user, path, found := strings.Cut(path, "@")
	if !found {
		user, path = "", user
	} else {
		user += "@"
	}
	e := &encoder{t: t, desc: describe(rtptest.PlainH264(), rtptest.AAC())}
	e.client = &gortsplib.Client{Transport: transport, DisableRTCPSenderReports: true, UserAgent: "an encoder"}
	if err := e.client.StartRecording(fmt.Sprintf("rtsp://%s%s/%s", user, s.Addr(), path), e.desc); err != nil {
		return nil, err
	}
	t.Cleanup(e.client.Close)
	return e, nil
}

func mustPublish(t *testing.T, s *Server, transport *gortsplib.Transport) *encoder {
	t.Helper()
	e, err := publish(t, s, transport, "live")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *encoder) packet(track, number int) *rtp.Packet {
	p := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: uint16(number)}}
	if track == 0 {
		p.PayloadType, p.Timestamp, p.Payload = 96, uint32(number)*3600, append(rtptest.IDR[:len(rtptest.IDR):len(rtptest.IDR)], byte(number)|1)
	} else {
		p.PayloadType, p.Timestamp, p.Payload = 97, uint32(number)*1920, rtptest.AACPacket(1)
	}
	return p
}

func (e *encoder) write(track int, p *rtp.Packet) {
	e.t.Helper()
	if err := e.client.WritePacketRTP(e.desc.Medias[track], p); err != nil {
		e.t.Error(err)
	}
}

// frames sends pictures [from, to) and as many frames of sound, reports first.
func (e *encoder) frames(from, to int) {
	e.t.Helper()
	now := rtptest.NTP(time.Now())
	for track := range 2 {
		p := e.packet(track, from)
		e.write(track, p)
		r := &rtcp.SenderReport{SSRC: p.SSRC, NTPTime: now, RTPTime: p.Timestamp}
		if err := e.client.WritePacketRTCP(e.desc.Medias[track], r); err != nil {
			e.t.Error(err)
		}
	}
	for n := from + 1; n < to; n++ {
		e.write(0, e.packet(0, n))
		e.write(1, e.packet(1, n))
	}
}

func TestPush(t *testing.T) {
	for name, transport := range map[string]*gortsplib.Transport{"tcp": &overTCP, "udp": &overUDP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := listen(t, ServerConfig{})
			mustPublish(t, s, transport).frames(0, 30)
			got := r.Wait(t, 60)
			ingesttest.CheckTimes(t, got)
			for track := range uint8(2) {
				samples := r.Of(track)
				if len(samples) != 30 {
					t.Fatalf("track %d: %d samples, want 30", track, len(samples))
				}
				for i, g := range samples {
					if d := g.PTS - samples[0].PTS; d != int64(i)*3600 {
						t.Errorf("track %d, sample %d comes %d after the first, want %d", track, i, d, i*3600)
					}
				}
			}
			if a, v := r.Of(1)[0].PTS, r.Of(0)[0].PTS; a != v {
				t.Errorf("sound begins %d ticks after the picture, want 0", a-v)
			}
			if n := s.Stats().LostPackets.Load(); n != 0 {
				t.Errorf("%d packets lost, want 0", n)
			}
		})
	}
}

// Packets that overtake one another on the way are put into order; for those that do not come nobody waits long.
func TestReorderedAndLostOverUDP(t *testing.T) {
	t.Parallel()
	s, r := listen(t, ServerConfig{})
	e := mustPublish(t, s, &overUDP)
	e.frames(0, 5)
	for _, n := range []int{6, 5, 8, 7, 7, 9} { // one of them twice
		e.write(0, e.packet(0, n))
	}
	r.Wait(t, 15)
	e.write(0, e.packet(0, 12)) // 10 and 11 are lost
	e.write(0, e.packet(0, 13))
	for n := 5; len(r.Of(0)) < 12; n++ { // a packet of any track shows that time has passed
		if n == 100 {
			t.Fatal("the loss holds everything up")
		}
		e.write(1, e.packet(1, n))
		<-time.After(10 * time.Millisecond)
	}
	samples := r.Of(0)
	ingesttest.CheckTimes(t, samples)
	for i, g := range samples {
		want := int64(i) * 3600
		if i >= 10 {
			want += 2 * 3600
		}
		if d := g.PTS - samples[0].PTS; d != want {
			t.Fatalf("picture %d comes %d after the first, want %d", i, d, want)
		}
		if damaged := g.Flags&ingest.Damaged != 0; damaged != (i == 10) {
			t.Errorf("picture %d: damaged is %v", i, damaged)
		}
	}
	if n := s.Stats().LostPackets.Load(); n != 2 {
		t.Errorf("%d packets lost, want 2", n)
	}
}

// left waits until a session of s has ended: the next publisher is let in.
func left(t *testing.T, s *Server, transport *gortsplib.Transport, path ...string) *encoder {
	t.Helper()
	for range 200 {
		if e, err := publish(t, s, transport, cmp.Or(strings.Join(path, ""), "live")); err == nil {
			return e
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatal("nobody is let in any more")
	return nil
}

func TestOnePublisherAtATime(t *testing.T) {
	t.Parallel()
	s, r := listen(t, ServerConfig{})
	first := mustPublish(t, s, &overTCP)
	first.frames(0, 3)
	_, err := publish(t, s, &overTCP, "other")
	var status liberrors.ErrClientBadStatusCode
	if !errors.As(err, &status) || status.Code != base.StatusForbidden || status.Message != errBusy.Error() {
		t.Errorf("second publisher got %v, want 403 %s", err, errBusy)
	}
	first.frames(3, 6)
	r.Wait(t, 12)

	first.client.Close()
	second := left(t, s, &overTCP)
	second.frames(0, 3)
	got := r.Wait(t, 18)
	ingesttest.CheckTimes(t, got)
	for i, g := range got {
		want := i >= 12 && i < 14 // the first of each track
		if is := g.Flags&ingest.Discontinuity != 0; is != want {
			t.Errorf("sample %d: discontinuity is %v, want %v", i, is, want)
		}
	}
	if n := len(r.Programs()); n != 2 {
		t.Errorf("%d programs, want 2", n)
	}
	if n := s.Stats().Reconnects.Load(); n != 1 {
		t.Errorf("%d reconnects, want 1", n)
	}
}

// An encoder that loses its connection and comes back is let in at once, although over UDP its old session is still there.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s, r := listen(t, ServerConfig{})
	conns := make(chan net.Conn, 1)
	e := &encoder{t: t, desc: describe(rtptest.PlainH264(), rtptest.AAC())}
	e.client = &gortsplib.Client{
		Transport: &overUDP, DisableRTCPSenderReports: true, UserAgent: "an encoder",
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			conns <- c
			return c, err
		},
	}
	if err := e.client.StartRecording(fmt.Sprintf("rtsp://%s/live", s.Addr()), e.desc); err != nil {
		t.Fatal(err)
	}
	defer e.client.Close()
	e.frames(0, 3)
	r.Wait(t, 6)
	(<-conns).Close()
	left(t, s, &overUDP).frames(0, 3)
	r.Wait(t, 12)
}

func TestReadersAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := listen(t, ServerConfig{})
	mustPublish(t, s, &overTCP)
	u, _ := base.ParseURL(fmt.Sprintf("rtsp://%s/live", s.Addr()))
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host}
	if err := c.Start2(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _, err := c.Describe(u)
	var status liberrors.ErrClientBadStatusCode
	if !errors.As(err, &status) || status.Code != base.StatusMethodNotAllowed || status.Message != errPublish.Error() {
		t.Errorf("got %v, want 405 %s", err, errPublish)
	}
	for _, method := range []string{"SETUP", "PLAY"} {
		header := "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
		if method == "SETUP" {
			header = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
		}
		got := request(t, s, fmt.Sprintf("%s rtsp://%s/live/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n%s\r\n", method, s.Addr(), header))
		if !strings.HasPrefix(got, "RTSP/1.0 4") && !strings.HasPrefix(got, "RTSP/1.0 5") {
			t.Errorf("%s is answered %q, want a refusal", method, got)
		}
	}
}

// request sends bytes and returns the first line that comes back, or "" if the server hangs up.
func request(t *testing.T, s *Server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	_ = c.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(c)
	line, _, _ := strings.Cut(string(all), "\r\n")
	return line
}

func TestKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		in   bool
	}{
		{"live", false},
		{"", false},
		{"live/wrong", false},
		{"s3cret/live", false},
		{"user:wrong@live", false},
		{"live/s3cret", true},
		{"s3cret", true},
		{"anybody:s3cret@live", true},
	} {
		s, r := listen(t, ServerConfig{Key: "s3cret"})
		e, err := publish(t, s, &overTCP, c.path)
		if (err == nil) != c.in {
			t.Errorf("path %q: got %v, want it let in: %v", c.path, err, c.in)
		}
		if err != nil {
			continue
		}
		e.frames(0, 2)
		r.Wait(t, 4)
	}
}

// TestAskedOften: an announcement without the password is no guess, however often; the right password is taken at once.
func TestAskedOften(t *testing.T) {
	t.Parallel()
	s, r := listen(t, ServerConfig{Key: "s3cret"})
	for range 10 {
		if _, err := publish(t, s, &overTCP, "live"); err == nil {
			t.Fatal("let in without the key")
		}
	}
	if n := s.cfg.Gate.Refused(); n > 3 {
		t.Errorf("%d counted as guesses", n)
	}
	e, err := publish(t, s, &overTCP, "anybody:s3cret@live")
	if err != nil {
		t.Fatal(err)
	}
	e.frames(0, 2)
	r.Wait(t, 4)
}

// TestMistyped: after four wrong passwords, each asked for first, the right one is taken.
func TestMistyped(t *testing.T) {
	t.Parallel()
	s, _ := listen(t, ServerConfig{Key: "s3cret"})
	for range 4 {
		if _, err := publish(t, s, &overTCP, "anybody:wrong@live"); err == nil {
			t.Fatal("let in with a wrong key")
		}
	}
	if n := s.cfg.Gate.Refused(); n != 4 {
		t.Errorf("%d counted as guesses, want 4", n)
	}
	if _, err := publish(t, s, &overTCP, "anybody:s3cret@live"); err != nil {
		t.Error(err)
	}
}

func TestListenErrors(t *testing.T) {
	busy, err := Listen(ServerConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, c := range []struct {
		cfg  ServerConfig
		want string
	}{
		{ServerConfig{Addr: "0.0.0.0:0"}, "rtsp: anybody could publish on 0.0.0.0:0: set a stream key, or listen on 127.0.0.1"},
		{ServerConfig{Addr: "[::]:0"}, "rtsp: anybody could publish on [::]:0: set a stream key, or listen on 127.0.0.1"},
		{ServerConfig{Addr: "localhost"}, `rtsp: address "localhost" is not host:port`},
		{ServerConfig{Addr: "127.0.0.1:0", UDPPort: 5001}, "rtsp: UDP port 5001 is odd: RTP takes an even port and RTCP the next"},
		{ServerConfig{Addr: busy.Addr().String()}, "address already in use"},
		{ServerConfig{Addr: "127.0.0.1:0", UDPPort: busy.rtp.LocalAddr().(*net.UDPAddr).Port}, "address already in use"},
	} {
		s, err := Listen(c.cfg)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %s", c.cfg, err, c.want)
		}
	}
	if _, err := Listen(ServerConfig{Addr: busy.Addr().String()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want one that wraps %v", err, syscall.EADDRINUSE)
	}
}

// Without a key no host means this machine; with one it means everywhere.
func TestListenAddress(t *testing.T) {
	for _, c := range []struct {
		key      string
		loopback bool
	}{{"", true}, {"k", false}} {
		s, err := Listen(ServerConfig{Addr: ":0", Key: c.key})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := s.Addr().Addr().IsLoopback(); got != c.loopback || s.Addr().Port() == 0 {
			t.Errorf("key %q: bound to %v, want loopback: %v", c.key, s.Addr(), c.loopback)
		}
		if p := s.rtp.LocalAddr().(*net.UDPAddr).Port; p%2 != 0 || s.rtcp.LocalAddr().(*net.UDPAddr).Port != p+1 {
			t.Errorf("RTP is at %v and RTCP at %v, want an even port and the next", s.rtp.LocalAddr(), s.rtcp.LocalAddr())
		}
	}
}

// Strangers who send nonsense, or nothing, do not disturb the publisher.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s, r := listen(t, ServerConfig{})
	e := mustPublish(t, s, &overTCP)
	e.frames(0, 3)
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	announce := "ANNOUNCE rtsp://x/y RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: "
	for _, text := range []string{
		"", "\x00", "GET / HTTP/1.1\r\n\r\n", "OPTIONS * RTSP/1.0\r\n\r\n", "$\x00\xff\xff", string(noise),
		announce + "3\r\n\r\nv=0", announce + "99999999999\r\n\r\n", announce + "-1\r\n\r\n",
		announce + "0\r\n\r\n", "RECORD rtsp://x/y RTSP/1.0\r\nCSeq: 1\r\nSession: 0\r\n\r\n",
		"ANNOUNCE rtsp://x/" + strings.Repeat("y", 5000), strings.Repeat("OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n", 100),
	} {
		request(t, s, text)
	}
	udp, err := net.Dial("udp", s.rtp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for i := range 20 {
		udp.Write(noise[:i*50])
	}
	for n := 3; n < 10; n++ { // and the publisher itself may send what is no RTP
		e.write(0, e.packet(0, n))
		e.write(1, &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 97, SequenceNumber: uint16(n), Timestamp: uint32(n) * 1920}, Payload: noise[n : 2*n]})
	}
	r.Wait(t, 3+3+7)
	ingesttest.CheckTimes(t, r.All())
}

// Connections are bounded; who has gone makes room.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s, _ := listen(t, ServerConfig{})
	var held []net.Conn
	for range admit.MaxConns + 8 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	refused := held[admit.MaxConns+7]
	_ = refused.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := refused.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("connection %d: got %v, want it closed", admit.MaxConns+8, err)
	}
	for _, c := range held {
		c.Close()
	}
	left(t, s, &overTCP)
}

// A panic under one publisher's packet ends its session, and nothing else.
func TestPanicIsContained(t *testing.T) {
	t.Parallel()
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r := &ingesttest.Fragile{Record: ingesttest.NewRecord(), Left: 3}
	ingesttest.Start(t, s, r)
	mustPublish(t, s, &overTCP).frames(0, 5)
	left(t, s, &overTCP).frames(0, 3)
	r.Wait(t, 3+6)
	if !strings.Contains(s.Stats().LastError(), "made the parser panic: glass") {
		t.Errorf("last error is %q, want it to tell of the panic", s.Stats().LastError())
	}
}

// What the library cannot read is refused before we see it; the operator is told all the same.
func TestBadSDP(t *testing.T) {
	t.Parallel()
	s, _ := listen(t, ServerConfig{})
	body := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 97\r\n"
	request(t, s, fmt.Sprintf("ANNOUNCE rtsp://x/y RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	for range 500 {
		if strings.Contains(s.Stats().LastError(), "clock rate not found") {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("last error is %q, want it to say what is wrong with the SDP", s.Stats().LastError())
}

// TestStrangersSDP: with a key, what strangers announce is not in the status, and in the log once in a while, in few words.
func TestStrangersSDP(t *testing.T) {
	for _, key := range []string{"", "s3cret"} {
		var log bytes.Buffer // written under mu
		h := &handler{stats: new(ingest.Stats), key: key, gate: admit.NewGate(key, ingesttest.Quiet()), log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 100 {
			h.complainOfSDP("peer", errors.New("bad: "+strings.Repeat("what I like ", 1000)))
		}
		if n := strings.Count(log.String(), "refused\""); n != 1 || log.Len() > 2*maxReason {
			t.Errorf("key %q: logged %d times, in %d bytes", key, n, log.Len())
		}
		if text := h.stats.LastError(); (text != "") != (key == "") || len(text) > maxReason {
			t.Errorf("key %q: the status says %q", key, text)
		}
	}
}

func TestUnknownCodecIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := listen(t, ServerConfig{})
	c := &gortsplib.Client{Transport: &overTCP}
	err := c.StartRecording(fmt.Sprintf("rtsp://%s/live", s.Addr()), describe(&format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}))
	var status liberrors.ErrClientBadStatusCode
	if !errors.As(err, &status) || status.Code != base.StatusUnsupportedMediaType {
		t.Errorf("got %v, want 415", err)
	}
}

// TestPathsAreStreams: each path has a publisher and a sink of its own; a path that nobody waits at is told which there are, but only to who has the key.
func TestPathsAreStreams(t *testing.T) {
	t.Parallel()
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Key: "s3cret", Logger: ingesttest.Quiet()})
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
	a := left(t, s, &overTCP, "high/s3cret")
	b := left(t, s, &overUDP, "anybody:s3cret@low")
	a.frames(0, 2)
	b.frames(0, 5)
	high.Wait(t, 4)
	low.Wait(t, 10)
	if n, m := s.StatsOf("high").Samples.Load(), s.StatsOf("low").Samples.Load(); n != 4 || m != 10 {
		t.Errorf("counted %d and %d samples, want 4 and 10", n, m)
	}
	var status liberrors.ErrClientBadStatusCode
	if _, err := publish(t, s, &overTCP, "other/s3cret"); !errors.As(err, &status) || status.Code != base.StatusNotFound || !strings.Contains(status.Message, "/high or /low") {
		t.Errorf("an unknown path got %v, want 404 and the names", err)
	}
	if _, err := publish(t, s, &overTCP, "other"); err == nil || strings.Contains(err.Error(), "high") {
		t.Errorf("an unknown path without the key got %v, want a refusal without names", err)
	}
	if _, err := publish(t, s, &overTCP, "high/s3cret"); !errors.As(err, &status) || status.Code != base.StatusForbidden {
		t.Errorf("a second publisher of one path got %v, want 403", err)
	}
}
