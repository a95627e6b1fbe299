package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp/rtptest"
)

// camera is an RTSP server with one stream, which can be switched on and off and asks for a password if it has one.
type camera struct {
	t        *testing.T
	server   *gortsplib.Server
	addr     string
	password string
	played   chan struct{} // one for each PLAY

	mu       sync.Mutex
	stream   *gortsplib.ServerStream // nil: 404
	desc     *description.Session
	requests int // DESCRIBE
}

func newCamera(t *testing.T, password string) *camera {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rtp, rtcp, err := listenPair("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	return startCamera(t, password, l, &gortsplib.Server{
		UDPRTPAddress: rtp.LocalAddr().String(), UDPRTCPAddress: rtcp.LocalAddr().String(),
		ListenPacket: func(_, address string) (net.PacketConn, error) {
			if address == rtp.LocalAddr().String() {
				return rtp, nil
			}
			return rtcp, nil
		},
	})
}

// startCamera has a server take what comes to l.
func startCamera(t *testing.T, password string, l net.Listener, server *gortsplib.Server) *camera {
	t.Helper()
	c := &camera{t: t, server: server, addr: l.Addr().String(), password: password, played: make(chan struct{}, 16)}
	server.Handler, server.RTSPAddress, server.DisableRTCPSenderReports = c, c.addr, true
	server.Listen = func(string, string) (net.Listener, error) { return l, nil }
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.off()
		c.server.Close()
	})
	return c
}

// on begins a stream.
func (c *camera) on() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desc = describe(rtptest.PlainH264(), rtptest.AAC())
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: c.desc}
	if err := c.stream.Initialize(); err != nil {
		c.t.Fatal(err)
	}
}

// off ends the stream, and every reader's session with it.
func (c *camera) off() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != nil {
		c.stream.Close()
		c.stream = nil
	}
}

// frames sends pictures [from, to) and as much sound, reports first.
func (c *camera) frames(from, to int) {
	c.t.Helper()
	for n := from; n < to; n++ {
		video := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, Marker: true, SequenceNumber: uint16(n), Timestamp: uint32(n) * 3600}, Payload: rtptest.IDR}
		audio := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 97, Marker: true, SequenceNumber: uint16(n), Timestamp: uint32(n) * 1920}, Payload: rtptest.AACPacket(1)}
		for i, p := range []*rtp.Packet{video, audio} {
			if err := c.stream.WritePacketRTP(c.desc.Medias[i], p); err != nil {
				c.t.Error(err)
			}
			if n > from {
				continue
			}
			r := &rtcp.SenderReport{SSRC: p.SSRC, NTPTime: rtptest.NTP(time.Now()), RTPTime: p.Timestamp}
			if err := c.stream.WritePacketRTCP(c.desc.Medias[i], r); err != nil {
				c.t.Error(err)
			}
		}
	}
}

func (c *camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.password != "" && !ctx.Conn.VerifyCredentials(ctx.Request, "admin", c.password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if c.stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return &base.Response{StatusCode: base.StatusOK}, nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	select {
	case c.played <- struct{}{}:
	default:
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnAnnounce lets an encoder push what the camera plays.
func (c *camera) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desc = ctx.Description
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: c.desc}
	return &base.Response{StatusCode: base.StatusOK}, c.stream.Initialize()
}

// OnRecord relays an encoder's packets, but not its reports: servers send reports of their own.
func (c *camera) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	stream := c.stream
	ctx.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		if err := stream.WritePacketRTP(m, p); err != nil {
			c.t.Error(err)
		}
	})
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnStreamWriteError is for readers that have just left.
func (c *camera) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

// waitPlay returns when somebody plays, and gortsplib has begun to write to them.
func (c *camera) waitPlay() {
	c.t.Helper()
	select {
	case <-c.played:
	case <-time.After(10 * time.Second):
		c.t.Fatal("nobody plays")
	}
}

func pull(t *testing.T, cfg PullConfig) (*Pull, *ingesttest.Record) {
	t.Helper()
	cfg.RetryMin, cfg.RetryMax = 10*time.Millisecond, 40*time.Millisecond
	if cfg.Logger == nil {
		cfg.Logger = ingesttest.Quiet()
	}
	p, err := NewPull(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, p, r)
	return p, r
}

// until sends pictures and sound until the puller has n samples: what is sent before PLAY took effect is lost to it.
func (c *camera) until(r *ingesttest.Record, n int) {
	c.t.Helper()
	for i := 0; len(r.All()) < n; i++ {
		if i == 2000 {
			c.t.Fatalf("%d samples, want %d", len(r.All()), n)
		}
		c.frames(i, i+1)
		<-time.After(time.Millisecond)
	}
}

func TestPullAgainAndAgain(t *testing.T) {
	for name, udp := range map[string]bool{"tcp": false, "udp": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCamera(t, "")
			p, r := pull(t, PullConfig{URL: "rtsp://" + c.addr + "/cam", UDP: udp})
			for { // not there yet: it asks again
				c.mu.Lock()
				asked := c.requests
				c.mu.Unlock()
				if asked >= 3 {
					break
				}
				<-time.After(5 * time.Millisecond)
			}
			c.on()
			c.waitPlay()
			c.until(r, 40)
			n := len(r.All())
			if udp { // the end of a stream is only noticed where there is a connection
				return
			}
			c.off()
			c.on()
			c.waitPlay()
			c.until(r, n+40)
			got := r.All()
			ingesttest.CheckTimes(t, got)
			breaks := 0
			for _, g := range got {
				if g.Flags&ingest.Discontinuity != 0 {
					breaks++
				}
			}
			if breaks != 2 {
				t.Errorf("%d samples are discontinuities, want 2: the first of each track of the second session", breaks)
			}
			if n := p.Stats().Reconnects.Load(); n != 1 {
				t.Errorf("%d reconnects, want 1", n)
			}
		})
	}
}

func TestPullPassword(t *testing.T) {
	t.Parallel()
	c := newCamera(t, "s3cret")
	c.on()
	log := &ingesttest.Lines{}
	logger := log.Logger()

	_, r := pull(t, PullConfig{URL: "rtsp://admin:s3cret@" + c.addr + "/cam?token=t0ken", Logger: logger})
	c.waitPlay()
	c.until(r, 4)

	p, err := NewPull(PullConfig{URL: "rtsp://admin:wr0ng@" + c.addr + "/cam?token=t0ken", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(context.Background(), ingesttest.NewRecord())
	if want := "rtsp: " + c.addr + " refuses user and password: put the right ones into the URL"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, secret := range []string{"s3cret", "wr0ng", "t0ken", "admin"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log tells %q:\n%s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), c.addr+"/cam") {
		t.Errorf("the log does not tell what was played:\n%s", log.String())
	}
}

func TestPullConfigErrors(t *testing.T) {
	for _, url := range []string{"", "http://host/x", "rtsp://", "rtsp://user:p%zzword@host/x", "rtsp://user:pa ss@host:port/x", "cam.local/x"} {
		_, err := NewPull(PullConfig{URL: url})
		if err == nil {
			t.Errorf("%q was accepted", url)
			continue
		}
		for _, secret := range []string{"p%zz", "pa ss"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q tells the password", err)
			}
		}
	}
}

// A host that does not answer at all is tried again until the context ends; Run ends at once then.
func TestPullUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p, r := pull(t, PullConfig{URL: fmt.Sprintf("rtsp://%s/x", l.Addr())})
	for p.Stats().LastError() == "" {
		<-time.After(time.Millisecond)
	}
	if len(r.All()) != 0 {
		t.Error("there are samples")
	}
}

// pipes is a listener without a network, for virtual time.
type pipes struct {
	calls chan net.Conn
	ended chan struct{}
	end   func()
}

func newPipes() *pipes {
	p := &pipes{calls: make(chan net.Conn), ended: make(chan struct{})}
	p.end = sync.OnceFunc(func() { close(p.ended) })
	return p
}

// pipeEnd is an end of a connection, which gortsplib wants to have an address of TCP.
type pipeEnd struct{ net.Conn }

func (pipeEnd) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 554} }
func (pipeEnd) RemoteAddr() net.Addr { return pipeEnd{}.LocalAddr() }

func (p *pipes) Addr() net.Addr { return pipeEnd{}.LocalAddr() }
func (p *pipes) Close() error   { p.end(); return nil }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.calls:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.calls <- pipeEnd{there}
	return pipeEnd{here}, nil
}

// TestPullLongOutage: a camera that was away for a minute, or a little longer, plays again within 3 s of its return.
func TestPullLongOutage(t *testing.T) {
	for phase := range 20 {
		synctest.Test(t, func(t *testing.T) {
			line := newPipes()
			c := startCamera(t, "", line, &gortsplib.Server{})
			c.on()
			p, err := NewPull(PullConfig{URL: "rtsp://camera.example/x", Logger: ingesttest.Quiet()})
			if err != nil {
				t.Fatal(err)
			}
			var last time.Time
			back := time.Now().Add(time.Minute + time.Duration(phase)*100*time.Millisecond)
			p.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if last = time.Now(); last.Before(back) {
					return nil, errors.New("connection refused")
				}
				return line.dial(ctx, network, address)
			}
			r := ingesttest.NewRecord()
			stop := ingesttest.Start(t, p, r)
			time.Sleep(time.Until(back))
			for n := 0; time.Since(back) < 3*time.Second; n++ {
				c.frames(n, n+1)
				time.Sleep(40 * time.Millisecond)
			}
			stop()
			if !r.HasKey() {
				t.Errorf("no key picture came in the 3 s after its return; it was asked %v", last.Sub(back))
			}
		})
	}
}

// shaky is a Sink that panics, as a library under it would, until it is well; a call while it is not is told of.
type shaky struct {
	*ingesttest.Record
	well atomic.Bool
	hurt chan struct{}
}

func (s *shaky) SetProgram(p *ingest.Program) {
	if s.well.Load() {
		s.Record.SetProgram(p)
		return
	}
	select {
	case s.hurt <- struct{}{}:
	default:
	}
	panic("of glass")
}

// TestPullGoesOnAfterAPanic: what panics under a packet, and again under what is flushed when the session is closed for that, ends the
// session alone. The pull connects again, and its clock goes on.
func TestPullGoesOnAfterAPanic(t *testing.T) {
	c := newCamera(t, "")
	c.on()
	p, err := NewPull(PullConfig{URL: "rtsp://" + c.addr + "/cam", RetryMin: time.Millisecond, RetryMax: time.Millisecond, Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	sink := &shaky{Record: ingesttest.NewRecord(), hurt: make(chan struct{}, 1)}
	ingesttest.Start(t, p, sink)
	sent := 0
	for range 3 {
		c.waitPlay()
		select {
		case <-sink.hurt: // by the flush of the session before
		default:
		}
		for hurt := false; !hurt; sent++ {
			c.frames(sent, sent+1)
			select {
			case <-sink.hurt:
				hurt = true
			case <-time.After(time.Millisecond):
			}
		}
	}
	sink.well.Store(true)
	for len(sink.All()) < 40 {
		c.frames(sent, sent+1)
		sent++
		<-time.After(time.Millisecond)
	}
	ingesttest.CheckTimes(t, sink.All())
	if n := p.Stats().Reconnects.Load(); n != 3 {
		t.Errorf("%d reconnects, want 3", n)
	}
	if text := p.Stats().LastError(); !strings.Contains(text, "panic") {
		t.Errorf("the last error is %q, which does not tell of a panic", text)
	}
}
