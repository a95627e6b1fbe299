package whip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"tailcast/ingest/rtp"
)

// session is one publisher, from its offer to its end.
//
//	offered ── 201 ──▶ connecting ── first packet ──▶ sending ── DELETE, silence of ICE, a successor, the end of Run ──▶ gone
//	   └── refused ──────┴── none within becomeWithin ────────────────────────────────────────────────────────────────────┘
type session struct {
	id     string
	log    *slog.Logger
	server *Server
	room   *room
	born   time.Time
	last   atomic.Int64 // when the newest packet came, unix ns; 0 before the first

	pc     *webrtc.PeerConnection
	intake *rtp.Intake
	wanted chan *rtp.Track // keyframes that are to be asked for

	ctx  context.Context // ends when the session is to end; its cause says why
	end  context.CancelCauseFunc
	gone chan struct{} // closed by Server.leave

	mu      sync.Mutex // held to change readers from zero, and to set closing
	closing bool
	readers sync.WaitGroup
}

// Reasons for an end.
var (
	errDeleted  = errors.New("publisher said goodbye")
	errReplaced = errors.New("publisher has fallen silent, another came")
	errSilent   = errors.New("publisher sent no media in time")
	errLost     = errors.New("connection lost")
)

const (
	becomeWithin = 10 * time.Second
	silence      = time.Second            // without a packet: another may publish
	gatherWithin = 5 * time.Second        // our own addresses are known at once
	askPause     = 500 * time.Millisecond // between two requests for a keyframe: one has to have had time to come
)

// admit makes who offers o the publisher, and answers.
func (s *Server) admit(r *http.Request, run *running, to *room, o *offer) (p *session, answer string, err error) {
	p = &session{
		id: newID(), server: s, room: to, born: time.Now(), gone: make(chan struct{}), wanted: make(chan *rtp.Track, len(o.media)),
		log: s.log.With("peer", r.RemoteAddr),
	}
	p.ctx, p.end = context.WithCancelCause(context.Background())
	if err := s.claim(r.Context(), p); err != nil {
		return nil, "", err
	}
	if answer, err = p.answer(run, o, r.UserAgent()); err != nil {
		p.end(err)
		p.close()
		return nil, "", err
	}
	go p.run(run.ctx)
	return p, answer, nil
}

// answer makes the peer connection and its answer. What an offer does to pion comes back as an error, a panic too.
func (p *session) answer(run *running, o *offer, agent string) (text string, err error) {
	defer p.recovered(func(reason any) { err = refuse(http.StatusBadRequest, "the offer made the parser panic: %v", reason) })
	c := rtp.Config{Agent: agent, Wait: p.server.wait, NeedKey: p.needKey}
	for _, m := range o.media {
		c.Streams = append(c.Streams, m.stream)
	}
	if p.intake, err = rtp.NewIntake(p.room.out, c); err != nil {
		return "", refusal{http.StatusUnprocessableEntity, err}
	}
	p.intake.Datagrams = true
	if p.pc, err = connect(run.mux, p.server.public, o, p.log); err != nil {
		return "", err
	}
	p.pc.OnTrack(p.onTrack)
	p.pc.OnConnectionStateChange(p.onState)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.sdp}); err != nil {
		return "", refuse(http.StatusUnprocessableEntity, "couldn't take the offer: %w", err)
	}
	return p.describe()
}

// describe is the answer, with all our addresses.
func (p *session) describe() (string, error) {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	d, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", refuse(http.StatusUnprocessableEntity, "couldn't answer the offer: %w", err)
	}
	if err := p.pc.SetLocalDescription(d); err != nil {
		return "", refuse(http.StatusUnprocessableEntity, "couldn't answer the offer: %w", err)
	}
	select {
	case <-gathered:
		return p.pc.LocalDescription().SDP, nil
	case <-time.After(gatherWithin):
		return "", errors.New("couldn't find an address of this machine to receive at")
	}
}

// run is there until the session has ended.
func (p *session) run(serving context.Context) {
	patience := time.NewTimer(p.server.patience)
	defer patience.Stop()
	var asked time.Time
	for p.ctx.Err() == nil {
		select {
		case <-patience.C:
			if p.last.Load() == 0 {
				p.end(errSilent)
			}
		case <-serving.Done():
			p.end(serving.Err())
		case t := <-p.wanted:
			if now := time.Now(); now.Sub(asked) >= askPause {
				asked = now
				p.askKey(t)
			}
		case <-p.ctx.Done():
		}
	}
	reason := context.Cause(p.ctx)
	p.close()
	p.log.Info("whip publisher left", "reason", reason)
}

// close ends all that the session began, and delivers what is held.
func (p *session) close() {
	if p.pc != nil {
		_ = p.pc.GracefulClose() // it has nothing to tell that anybody waits for
	}
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.readers.Wait()
	func() {
		defer p.recovered(p.crash)
		if p.intake != nil {
			p.intake.Close(time.Now())
		}
	}()
	p.server.leave(p)
}

// alive tells whether nobody else may publish.
func (p *session) alive(now time.Time) bool {
	if last := p.last.Load(); last != 0 {
		return now.Sub(time.Unix(0, last)) < p.server.silence
	}
	return now.Sub(p.born) < p.server.patience
}

// pause waits until p would be silent if nothing came any more, but not for long. False: nothing has come yet, or ctx has ended.
func (p *session) pause(ctx context.Context) bool {
	last := p.last.Load()
	if last == 0 {
		return false
	}
	select {
	case <-time.After(min(time.Until(time.Unix(0, last).Add(p.server.silence)), silence)):
		return true
	case <-p.gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// onState is called by pion. Of an answerer that is controlled, "disconnected" may pass.
func (p *session) onState(s webrtc.PeerConnectionState) {
	p.log.Debug("whip connection", "state", s.String())
	if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
		p.end(errLost)
	}
}

// onTrack is called by pion, in a goroutine, when the first packet of a media has come.
func (p *session) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	t := p.track(remote)
	p.mu.Lock()
	if t == nil || p.closing {
		p.mu.Unlock()
		return
	}
	p.readers.Add(2)
	p.mu.Unlock()
	p.log.Debug("whip media began", "codec", remote.Codec().MimeType, "media", t.Media)
	go func() {
		defer p.readers.Done()
		p.readReports(t, receiver)
	}()
	defer p.readers.Done()
	p.readPackets(t, remote)
}

// track finds the track of a media by its kind: there is one of each.
func (p *session) track(remote *webrtc.TrackRemote) *rtp.Track {
	for _, t := range p.intake.Tracks() {
		if isVideo(t) == (remote.Kind() == webrtc.RTPCodecTypeVideo) {
			return t
		}
	}
	return nil
}

// maxTrouble is how many reads in a row may fail for another reason than the end.
const maxTrouble = 100

// readPackets takes packets until the session ends.
func (p *session) readPackets(t *rtp.Track, remote *webrtc.TrackRemote) {
	defer p.recovered(p.crash)
	for trouble := 0; trouble < maxTrouble; {
		packet, _, err := remote.ReadRTP()
		switch {
		case p.ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
			return
		case err != nil:
			trouble++
			p.log.Debug("whip packet refused", "reason", err)
			continue
		}
		trouble = 0
		p.took(t, packet)
	}
	p.end(errors.New("packets are not what the offer says"))
}

func (p *session) took(t *rtp.Track, packet *pionrtp.Packet) {
	now := time.Now()
	if p.last.Swap(now.UnixNano()) == 0 {
		p.server.came(p.room)
		p.log.Info("whip publisher came", "tracks", len(p.intake.Tracks()))
	}
	p.intake.Packet(t, packet, now)
}

// readReports takes sender reports until the session ends.
func (p *session) readReports(t *rtp.Track, receiver *webrtc.RTPReceiver) {
	defer p.recovered(p.crash)
	for trouble := 0; trouble < maxTrouble; {
		packets, _, err := receiver.ReadRTCP()
		switch {
		case p.ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
			return
		case err != nil:
			trouble++
			continue
		}
		for _, packet := range packets {
			if r, ok := packet.(*rtcp.SenderReport); ok {
				p.intake.Report(t.Media, r, time.Now())
			}
		}
	}
}

// needKey is told by the intake, which waits for it, that t cannot be decoded before the next random access point.
func (p *session) needKey(t *rtp.Track) {
	select {
	case p.wanted <- t:
	default: // it has been told
	}
}

// askKey sends a picture loss indication (RFC 4585, 6.3.1).
func (p *session) askKey(t *rtp.Track) {
	ssrc, ok := p.intake.SSRC(t)
	if !ok {
		return
	}
	if err := p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}); err != nil {
		p.log.Debug("couldn't ask for a keyframe", "reason", err)
	}
}

// recovered, deferred, hands a panic to f.
func (p *session) recovered(f func(reason any)) {
	if reason := recover(); reason != nil {
		p.log.Error("whip session panicked", "reason", reason, "stack", string(debug.Stack()))
		f(reason)
	}
}

// crash ends a session whose media made a library panic.
func (p *session) crash(reason any) {
	err := fmt.Errorf("whip: media made the parser panic: %v", reason)
	p.room.stats.SetError(err)
	p.end(err)
}
