package rtsp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"tailcast/ingest"
	"tailcast/ingest/rtp"
)

// PullConfig says what to play.
type PullConfig struct {
	// URL is rtsp://[user:password@]host[:port]/path, or rtsps:// for TLS. User, password and query are never logged.
	URL string
	// UDP asks for RTP over UDP instead of inside the RTSP connection.
	UDP bool
	// RetryMin and RetryMax bound the pause between two attempts, which doubles from one to the other and is spread by a third.
	// If zero, 250 ms and 1.5 s, as ingest.Backoff; who is refused after it was let in waits longer.
	RetryMin, RetryMax time.Duration
	// Logger, if nil, is slog.Default().
	Logger *slog.Logger
}

// Pull is an ingest.Source that plays an RTSP URL and connects again whenever that ends.
type Pull struct {
	cfg   PullConfig
	url   *base.URL
	log   *slog.Logger
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	stats ingest.Stats
}

// NewPull checks cfg; nothing is dialled before Run.
func NewPull(cfg PullConfig) (*Pull, error) {
	u, err := base.ParseURL(cfg.URL)
	if err != nil || u.Host == "" { // the reason may quote a password
		return nil, errors.New("rtsp: not a URL like rtsp://user:password@host:port/path (write @ : / # in a password as %40 %3A %2F %23)")
	}
	log := cmp.Or(cfg.Logger, slog.Default()).With("url", u.Scheme+"://"+u.Host+u.Path)
	return &Pull{cfg: cfg, url: u, log: log, dial: ingest.Dialer().DialContext}, nil
}

// Stats counts what has come in; safe at any time.
func (p *Pull) Stats() *ingest.Stats { return &p.stats }

// steady is how long a session lasts before its end is no reason to wait longer.
const steady = 10 * time.Second

// Run implements ingest.Source: it plays until ctx ends, or until the server refuses our credentials before it ever let us in.
func (p *Pull) Run(ctx context.Context, sink ingest.Sink) error {
	out := rtp.NewOutput(sink, &p.stats, p.log, time.Now())
	pause, slow := ingest.Backoff{Min: p.cfg.RetryMin, Max: p.cfg.RetryMax}, ingest.AfterRefusal()
	for played, last := false, ""; ; {
		began, ok := time.Now(), false
		err := ingest.Guard(p.log, func() error { return p.play(ctx, out, played, &ok) })
		played = played || ok
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.stats.SetError(err)
		if refused(err) && !played {
			return fmt.Errorf("rtsp: %s refuses user and password: put the right ones into the URL", p.url.Host)
		}
		if ok && time.Since(began) > steady {
			pause.Reset()
			slow.Reset()
		}
		p.report(err, &last, ok)
		next := &pause
		if refused(err) {
			next = &slow
		}
		if !ingest.Sleep(ctx, next.Next()) {
			return ctx.Err()
		}
	}
}

// report logs why an attempt ended: loudly once, quietly while it stays the same.
func (p *Pull) report(err error, last *string, ok bool) {
	level := slog.LevelDebug
	if ok || err.Error() != *last {
		level = slog.LevelWarn
	}
	*last = err.Error()
	p.log.Log(context.Background(), level, "rtsp play ended, will try again", "reason", err)
}

// refused tells whether a server wants other credentials.
func refused(err error) bool {
	var status liberrors.ErrClientBadStatusCode
	return errors.As(err, &status) && (status.Code == base.StatusUnauthorized || status.Code == base.StatusForbidden)
}

// play makes one attempt, and says in plays whether it came to that: also to who contains its panics, of libraries that describe a
// session or flush what they hold at its end.
func (p *Pull) play(ctx context.Context, out *rtp.Output, again bool, plays *bool) error {
	c := p.client()
	if err := c.Start2(); err != nil {
		return err
	}
	defer closeWith(ctx, c)()

	d, res, err := c.Describe(p.url)
	if err != nil {
		return err
	}
	in, err := newIntake(out, d, res.Body, res.Header["Server"])
	if err != nil {
		return err
	}
	defer func() { in.Close(time.Now()) }()
	if err := setup(c, d, in); err != nil {
		return err
	}
	crashed := make(chan struct{}, 1)
	attach(c, d, in, *c.Transport, func(reason any) {
		complainOfPanic(&p.stats, p.log, p.url.Host, reason)
		select {
		case crashed <- struct{}{}:
		default:
		}
	})
	if _, err := c.Play(nil); err != nil {
		return err
	}
	*plays = true
	if again {
		p.stats.Reconnects.Add(1)
	}
	p.log.Info("rtsp play began", "transport", c.Transport.String(), "tracks", len(in.Tracks()))
	return wait(c, crashed)
}

// client is what makes one attempt.
func (p *Pull) client() *gortsplib.Client {
	transport := gortsplib.TransportTCP
	if p.cfg.UDP {
		transport = gortsplib.TransportUDP
	}
	var mu sync.Mutex
	var trouble rtp.Limiter
	return &gortsplib.Client{
		Scheme: p.url.Scheme, Host: p.url.Host, Transport: &transport, UserAgent: "tailcast",
		DialContext:   p.dial,
		ListenPacket:  listenWide,
		OnPacketsLost: func(uint64) {}, // the intake counts for itself, and knows the track
		OnDecodeError: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if n, ok := trouble.Pass(1, time.Now()); ok {
				p.log.Warn("rtp packet refused", "packets", n, "reason", err)
			}
		},
	}
}

// wait returns why c has ended; a crash ends it.
func wait(c *gortsplib.Client, crashed <-chan struct{}) error {
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-crashed:
		c.Close()
		<-ended
		return ingest.ErrPanic
	}
}

// setup asks for the media that in understands.
func setup(c *gortsplib.Client, d *description.Session, in *intake) error {
	asked := map[int]bool{}
	for _, t := range in.Tracks() {
		if asked[t.Media] {
			continue
		}
		asked[t.Media] = true
		if _, err := c.Setup(d.BaseURL, d.Medias[t.Media], 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// closeWith closes c when ctx ends; the function it returns does so now, and waits.
func closeWith(ctx context.Context, c *gortsplib.Client) (stop func()) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-ctx.Done():
		case <-done:
		}
		c.Close()
	}()
	return func() { close(done); <-over }
}

// listenWide is net.ListenPacket with a buffer that survives a large picture.
func listenWide(network, address string) (net.PacketConn, error) {
	c, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(udpBuffer)
	}
	return c, nil
}
