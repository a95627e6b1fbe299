package srt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gosrt "github.com/datarhei/gosrt"

	"tailcast/ingest/admit"
)

// Reasons for a refusal. SRT transmits a number, which encoders show as a word or two; the sentence is for the log.
var (
	errOld       = errors.New("the encoder speaks SRT of before 1.3, which has no stream id; 1.4.1 or later is needed")
	errPlay      = errors.New("this server takes streams in and does not play them: want m=publish")
	errPlain     = errors.New("the stream is not encrypted: set the passphrase")
	errEncrypted = errors.New("the stream is encrypted, but there is no passphrase here: set --srt-passphrase-file")
	errBusy      = errors.New("somebody else is publishing here")
	errNowhere   = errors.New("nothing of this name is waited for")
)

// refusal is why a caller is turned away.
type refusal struct {
	code gosrt.RejectionReason
	err  error
}

// judge tells whether a caller may publish, and the path of its stream without the key.
func (s *Server) judge(req gosrt.ConnRequest) (path string, no *refusal) {
	if req.Version() < 5 {
		return "", &refusal{gosrt.REJ_VERSION, errOld}
	}
	r, err := parseStreamID(req.StreamId())
	switch {
	case err != nil:
		return "", &refusal{gosrt.REJX_BAD_REQUEST, err}
	case r.play:
		return "", &refusal{gosrt.REJX_BAD_MODE, errPlay}
	case !req.IsEncrypted() && s.cfg.Encrypted:
		return "", &refusal{gosrt.REJ_UNSECURE, errPlain}
	case req.IsEncrypted():
		return s.decrypt(req, r)
	}
	path, shown := s.cfg.Gate.Split(r.path)
	if r.secret != "" {
		path, shown = r.path, r.secret
	}
	if err := s.cfg.Gate.Check("SRT", admit.AddrOf(req.RemoteAddr()), shown); err != nil {
		return "", &refusal{gosrt.REJX_UNAUTHORIZED, err}
	}
	return path, nil
}

// decrypt lets in who encrypts with the passphrase: SRT wraps the key of a stream with it, so that a wrong one is found out at once.
func (s *Server) decrypt(req gosrt.ConnRequest, r request) (path string, no *refusal) {
	if s.cfg.Passphrase == "" {
		return "", &refusal{gosrt.REJ_UNSECURE, errEncrypted}
	}
	fits := func() bool { return req.SetPassphrase(s.cfg.Passphrase) == nil }
	if !s.cfg.Gate.Keyed() {
		if !fits() {
			return "", &refusal{gosrt.REJ_BADSECRET, errors.New("the passphrase is wrong")}
		}
		return r.path, nil
	}
	if err := s.cfg.Gate.Try("SRT", admit.AddrOf(req.RemoteAddr()), fits); err != nil {
		return "", &refusal{gosrt.REJ_BADSECRET, err}
	}
	if name, shown := s.cfg.Gate.Split(r.path); s.cfg.Gate.Is(shown) { // said twice
		return name, nil
	}
	return r.path, nil
}

// welcome answers a caller, and starts what takes its stream. One that finds the room busy is answered when it is known whether that is
// so: see admit.Room.
func (s *Server) welcome(ctx context.Context, publishers *sync.WaitGroup, rooms map[string]*room, req gosrt.ConnRequest) {
	path, no := s.judge(req)
	if no != nil {
		s.refuse(req, no)
		return
	}
	r, ok := admit.Pick(rooms, path)
	switch {
	case !ok:
		s.refuse(req, &refusal{gosrt.REJX_NOTFOUND, errNowhere})
	case !r.Busy():
		s.accepted(ctx, publishers, r, req)
	case s.waiting.Add(1) > maxWaiting:
		s.waiting.Add(-1)
		s.refuse(req, &refusal{gosrt.REJX_OVERLOAD, errBusy})
	default:
		publishers.Go(func() {
			defer s.waiting.Add(-1)
			if !r.Await(ctx) {
				s.refuse(req, &refusal{gosrt.REJX_CONFLICT, errBusy})
				return
			}
			s.accepted(ctx, publishers, r, req)
		})
	}
}

// maxWaiting bounds the callers that wait for an answer.
const maxWaiting = 16

func (s *Server) refuse(req gosrt.ConnRequest, no *refusal) {
	req.Reject(no.code)
	if errors.Is(no.err, admit.ErrKey) {
		return // the gate has spoken
	}
	s.mu.Lock()
	n, ok := s.trouble.Pass(1, time.Now())
	s.mu.Unlock()
	if ok {
		s.cfg.Logger.Warn("srt publisher refused", "peer", req.RemoteAddr().String(), "reason", no.err, "refused", n)
	}
}

// accepted gives the caller the room.
func (s *Server) accepted(ctx context.Context, publishers *sync.WaitGroup, r *room, req gosrt.ConnRequest) {
	conn, err := req.Accept()
	if err != nil {
		s.refuse(req, &refusal{gosrt.REJ_PEER, fmt.Errorf("couldn't accept: %w", err)})
		return
	}
	l := newLink(conn, r.stats)
	again, ok := r.Claim(l)
	if !ok { // another was faster
		_ = l.Close()
		return
	}
	if again {
		r.stats.Reconnects.Add(1)
	}
	s.cfg.Logger.Info("srt publisher came", "peer", l.peer, "encrypted", req.IsEncrypted(), "latency", l.latency())
	publishers.Go(func() { r.publish(ctx, l) })
}
