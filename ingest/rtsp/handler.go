package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/rtp"
)

// handler answers the requests of encoders on behalf of a Server. gortsplib calls it from many goroutines.
//
//	        ANNOUNCE                 RECORD
//	free ─────────────▶ announced ───────────▶ publishing
//	 ▲ session closed       │                       │  connection lost: the next ANNOUNCE takes over
//	 └──────────────────────┴───────────────────────┘
type handler struct {
	out   *rtp.Output
	stats *ingest.Stats
	key   string
	gate  *admit.Gate // of key
	log   *slog.Logger

	mu      sync.Mutex
	pub     *publication // nil: free
	count   int          // of publications that reached RECORD
	trouble rtp.Limiter
	refused rtp.Limiter // of who was refused before anybody asked for the key
}

// publication is the session of an encoder, from its ANNOUNCE on.
type publication struct {
	session *gortsplib.ServerSession
	conn    *gortsplib.ServerConn
	intake  *intake
	udp     bool          // its packets come over UDP. Under handler.mu
	orphan  bool          // conn is gone; only over UDP does the session outlive it. Under handler.mu
	closed  chan struct{} // the session has ended
}

// Reasons for a refusal; they travel in the status line, where ffmpeg and OBS show them.
var (
	errBusy    = errors.New("somebody else is publishing here")
	errPublish = errors.New("this server takes streams in and does not play them")
)

// refuse is an answer that says why. The error ends the connection.
func refuse(code base.StatusCode, err error) (*base.Response, error) {
	return &base.Response{StatusCode: code, StatusMessage: err.Error()}, err
}

// challenge is an answer that asks for the key, or, to a wrong one, a refusal.
func challenge(err error) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusUnauthorized, StatusMessage: err.Error()}, liberrors.ErrServerAuth{}
}

// OnAnnounce implements gortsplib.ServerHandlerOnAnnounce.
func (h *handler) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if err := h.admits(ctx); err != nil {
		return challenge(err)
	}
	var in *intake
	err := ingest.Guard(h.log, func() (err error) {
		in, err = newIntake(h.out, ctx.Description, ctx.Request.Body, ctx.Request.Header["User-Agent"])
		return err
	})
	if err != nil {
		h.stats.SetError(err)
		h.log.Warn("rtsp publisher refused", "peer", peer(ctx.Conn), "reason", err)
		return refuse(base.StatusUnsupportedMediaType, err)
	}
	if !h.claim(&publication{session: ctx.Session, conn: ctx.Conn, intake: in, closed: make(chan struct{})}) {
		h.log.Warn("rtsp publisher refused", "peer", peer(ctx.Conn), "reason", errBusy)
		return refuse(base.StatusForbidden, errBusy)
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// admits lets in who showed the key: as the last element of the path, or as the password, which encoders show when they are asked: each
// of them announces itself without one first.
func (h *handler) admits(ctx *gortsplib.ServerHandlerOnAnnounceCtx) error {
	from := admit.AddrOf(ctx.Conn.NetConn().RemoteAddr())
	inPath := func() bool {
		_, last := h.gate.Split(ctx.Path)
		return h.gate.Is(last)
	}
	var a headers.Authorization
	if a.Unmarshal(ctx.Request.Header["Authorization"]) != nil || a.Username == "" { // what gortsplib answers with a challenge
		err := h.gate.Ask("RTSP", from, inPath)
		if err != nil {
			_ = ctx.Conn.VerifyCredentials(ctx.Request, "anybody", h.key) // false; it makes gortsplib choose the nonce of the challenge
		}
		return err
	}
	return h.gate.Try("RTSP", from, func() bool {
		return inPath() || ctx.Conn.VerifyCredentials(ctx.Request, a.Username, h.key)
	})
}

// claim makes p the publication, if nobody publishes. A publisher that has lost its connection makes way for the next: it is most
// likely the same encoder, which has come back before its silence was noticed.
func (h *handler) claim(p *publication) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.pub; old != nil && old.orphan {
		h.mu.Unlock()
		old.session.Close()
		<-old.closed
		h.mu.Lock()
	}
	if h.pub != nil {
		return false
	}
	h.pub = p
	return true
}

// current is the publication of a session, or nil.
func (h *handler) current(s *gortsplib.ServerSession) *publication {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pub == nil || h.pub.session != s {
		return nil
	}
	return h.pub
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe: a refusal.
func (h *handler) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	res, err := refuse(base.StatusMethodNotAllowed, errPublish)
	return res, nil, err
}

// OnSetup implements gortsplib.ServerHandlerOnSetup, for publishers only.
func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() != gortsplib.ServerSessionStatePreRecord {
		res, err := refuse(base.StatusMethodNotAllowed, errPublish)
		return res, nil, err
	}
	return &base.Response{StatusCode: base.StatusOK}, nil, nil
}

// OnRecord implements gortsplib.ServerHandlerOnRecord.
func (h *handler) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	p := h.current(ctx.Session)
	if p == nil {
		return refuse(base.StatusForbidden, errBusy)
	}
	transport := *ctx.Session.SetuppedTransport()
	h.mu.Lock()
	p.udp = transport == gortsplib.TransportUDP
	if h.count++; h.count > 1 {
		h.stats.Reconnects.Add(1)
	}
	h.mu.Unlock()
	attach(ctx.Session, ctx.Session.AnnouncedDescription(), p.intake, transport, func(reason any) { h.crash(p, reason) })
	trust(ctx.Conn, true)
	h.log.Info("rtsp publisher came", "peer", peer(ctx.Conn), "transport", transport.String(), "tracks", len(p.intake.Tracks()))
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// lastPackets is how long a TEARDOWN waits for what it has overtaken: packets in a UDP socket would be lost with the session.
const lastPackets = 100 * time.Millisecond

// OnRequest implements gortsplib.ServerHandlerOnRequest.
func (h *handler) OnRequest(c *gortsplib.ServerConn, r *base.Request) {
	h.mu.Lock()
	wait := r.Method == base.Teardown && h.pub != nil && h.pub.conn == c && h.pub.udp
	h.mu.Unlock()
	if wait {
		<-time.After(lastPackets)
	}
}

// OnSessionClose implements gortsplib.ServerHandlerOnSessionClose.
func (h *handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	p := h.current(ctx.Session)
	if p == nil {
		return
	}
	trust(p.conn, false)
	func() {
		defer recovered(func(reason any) { h.crash(p, reason) })
		p.intake.Close(time.Now())
	}()
	h.log.Info("rtsp publisher left", "peer", peer(p.conn), "reason", h.mask(ctx.Error))
	h.mu.Lock()
	h.pub = nil
	h.mu.Unlock()
	close(p.closed)
}

// publishes tells whether a connection is that of the publisher.
func (h *handler) publishes(c *gortsplib.ServerConn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pub != nil && h.pub.conn == c
}

// OnConnClose implements gortsplib.ServerHandlerOnConnClose.
func (h *handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pub != nil && h.pub.conn == ctx.Conn {
		h.pub.orphan = true
	}
	var sdp liberrors.ErrServerSDPInvalid
	if errors.As(ctx.Error, &sdp) { // gortsplib has refused it: ffmpeg's of AC-3, for one, does not say what it is
		h.complainOfSDP(peer(ctx.Conn), sdp)
		return
	}
	h.log.Debug("rtsp connection closed", "peer", peer(ctx.Conn), "reason", h.mask(ctx.Error))
}

// complainOfSDP reports what gortsplib has refused. With a key it may be anybody's, who neither has the status say what he likes nor
// fills the log. Under mu.
func (h *handler) complainOfSDP(peer string, sdp error) {
	text := h.mask(sdp)
	text = strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
	if !h.gate.Keyed() {
		h.stats.SetError(errors.New(text))
	}
	if n, ok := h.refused.Pass(1, time.Now()); ok {
		h.log.Warn("rtsp publisher refused", "peer", peer, "reason", text, "refused", n)
	}
}

const maxReason = 200 // bytes of what a stranger's SDP is quoted with

// OnPacketsLost implements gortsplib.ServerHandlerOnPacketsLost. The intake counts for itself, and knows the track.
func (h *handler) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx) {}

// OnDecodeError implements gortsplib.ServerHandlerOnDecodeError.
func (h *handler) OnDecodeError(ctx *gortsplib.ServerHandlerOnDecodeErrorCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, ok := h.trouble.Pass(1, time.Now()); ok {
		h.log.Warn("rtp packet refused", "packets", n, "reason", ctx.Error)
	}
}

// mask is err in words, without the key: some of gortsplib's quote the URL.
func (h *handler) mask(err error) string {
	if err == nil || h.key == "" {
		return fmt.Sprint(err)
	}
	return strings.ReplaceAll(err.Error(), h.key, "[key]")
}

// crash ends the session of a publisher whose media made a library panic.
func (h *handler) crash(p *publication, reason any) {
	complainOfPanic(h.stats, h.log, peer(p.conn), reason)
	p.session.Close()
}

// complainOfPanic reports a panic that was contained.
func complainOfPanic(stats *ingest.Stats, log *slog.Logger, peer string, reason any) {
	err := fmt.Errorf("rtsp: media of %s made the parser panic: %v", peer, reason)
	stats.SetError(err)
	log.Error("rtsp session ended by a panic", "peer", peer, "reason", reason, "stack", string(debug.Stack()))
}

// recovered, deferred, hands a panic to f.
func recovered(f func(reason any)) {
	if r := recover(); r != nil {
		f(r)
	}
}

func peer(c *gortsplib.ServerConn) string { return c.NetConn().RemoteAddr().String() }

func trust(c *gortsplib.ServerConn, yes bool) {
	if g, ok := c.NetConn().(*admit.Conn); ok {
		g.Trust(yes)
	}
}
