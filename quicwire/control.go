package quicwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// control makes stream the control stream.
func (s *Session) control(stream *quic.Stream) {
	stream.SetPriority(urgencyControl, false)
	s.in = inbox{stream: stream, received: &s.stats.received.control}
	s.out.stream = stream
}

// An inbox is the reading half of the control stream. It is owned by the handshake, then by whoever calls Receive.
type inbox struct {
	stream   *quic.Stream
	received *counter
	buf      []byte // bytes not yet consumed begin at pos
	pos      int
	began    time.Time // when the first byte of an incomplete message was there; zero between messages
}

// take returns the next n bytes.
func (in *inbox) take(n int) ([]byte, error) {
	for len(in.buf)-in.pos < n {
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
	b := in.buf[in.pos : in.pos+n]
	in.pos += n
	return b, nil
}

// fill reads more. The buffer grows with the bytes that have come, never with a length that was announced.
func (in *inbox) fill() error {
	if in.pos > 0 {
		in.buf = in.buf[:copy(in.buf, in.buf[in.pos:])]
		in.pos = 0
	}
	if len(in.buf) == cap(in.buf) {
		in.buf = append(make([]byte, 0, max(512, 2*cap(in.buf))), in.buf...)
	}
	n, err := in.stream.Read(in.buf[len(in.buf):cap(in.buf)])
	in.buf = in.buf[:len(in.buf)+n]
	in.received.Add(uint64(n))
	if n > 0 {
		return nil
	}
	return err
}

// Receive returns the peer's next message. An error other than that of ctx is the session's, and final.
func (s *Session) Receive(ctx context.Context) (Message, error) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		s.in.stream.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-interrupted // or it would interrupt the next call
		}
	}()
	for {
		m, err := s.receive(ctx)
		switch {
		case m != nil:
			return m, nil
		case err == nil: // a message for the session itself, or of a later version
		case ctx.Err() != nil && isTimeout(err):
			s.in.began = time.Time{} // the wait for the next call is not the peer's fault
			return nil, ctx.Err()
		default:
			return nil, s.receiveError(err)
		}
	}
}

// receive reads one message. It returns neither message nor error for one that is not for the caller.
func (s *Session) receive(ctx context.Context) (Message, error) {
	kind, body, err := s.nextFrame(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.allow(kind); err != nil {
		return nil, err
	}
	sp := specOf(kind)
	if sp == nil {
		return nil, nil
	}
	m, err := decodeMessage(sp, body, &s.logs)
	if err != nil {
		return nil, err
	}
	if sp == specHello {
		return nil, fmt.Errorf("%w: a second HELLO", errMalformed)
	}
	s.heard(m)
	if notes, ok := m.(*Notes); ok {
		return s.heardNotes(notes)
	}
	return m, nil
}

// nextFrame returns the next message of the control stream; body is valid until the next call. Once a message has begun it must be
// complete within messageTimeout.
func (s *Session) nextFrame(ctx context.Context) (kind messageType, body []byte, err error) {
	for {
		kind, body, size, err := parseFrame(s.in.buf[s.in.pos:])
		if size > 0 || err != nil {
			s.in.pos += size
			s.in.began = time.Time{}
			return kind, body, err
		}
		if err := s.fill(ctx); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads more of the control stream, until the deadline of the message that has begun or the end of ctx.
func (s *Session) fill(ctx context.Context) error {
	var deadline time.Time
	if len(s.in.buf) > s.in.pos {
		if s.in.began.IsZero() {
			s.in.began = time.Now()
		}
		deadline = s.in.began.Add(messageTimeout)
	}
	s.in.stream.SetReadDeadline(deadline)
	// The deadline that the end of ctx sets comes after ours, or ctx has ended by now.
	if ctx.Err() != nil {
		return context.DeadlineExceeded
	}
	return s.in.fill()
}

// heardNotes takes over the log numbers that a NOTES binds. It returns the message only if it brings notes.
func (s *Session) heardNotes(m *Notes) (Message, error) {
	for _, b := range m.Logs {
		if err := s.logs.heard(b); err != nil {
			return nil, fmt.Errorf("%w NOTES: %w", errMalformed, err)
		}
	}
	if len(m.Notes.Channel) == 0 && len(m.Notes.Epoch) == 0 {
		return nil, nil
	}
	if !s.notes.AllowN(s.endpoint.cfg.Now(), 1) {
		return nil, fmt.Errorf("%w NOTES, want at most %d a second", errFlood, notesRate)
	}
	return m, nil
}

// errFlood is behind every error about too much of something.
var errFlood = errors.New("too many")

// allow returns an error if the peer sends more than it may.
func (s *Session) allow(kind messageType) error {
	now := s.endpoint.cfg.Now()
	switch {
	case kind == typeSub && !s.subs.AllowN(now, 1):
		return fmt.Errorf("%w SUBs, want at most %d a second", errFlood, subRate)
	case kind == typeReq && !s.reqs.AllowN(now, 1):
		return fmt.Errorf("%w REQs, want at most %d a second", errFlood, reqRate)
	case (kind == typeFork || kind == typeFault) && !s.forks.AllowN(now, 1):
		return fmt.Errorf("%w FORKs and FAULTs, want at most %d a second", errFlood, forkRate)
	case !s.all.AllowN(now, 1):
		return fmt.Errorf("%w messages, want at most %d a second", errFlood, messageRate)
	}
	return nil
}

// receiveError ends the session for an error of the control stream's reading half, and returns the session's.
func (s *Session) receiveError(err error) error {
	switch {
	case s.Err() != nil:
		return s.Err()
	case errors.Is(err, errFlood):
		return s.fail(CodeFlood, err)
	case errors.Is(err, errMalformed):
		return s.fail(CodeMalformed, err)
	case isTimeout(err):
		return s.fail(CodeTimeout, fmt.Errorf("a message was not complete after %v", messageTimeout))
	case errors.Is(err, io.EOF), s.conn.Context().Err() == nil:
		return s.fail(CodeMalformed, errors.New("the control stream ended"))
	}
	return sessionError(err)
}

// An outbox is the writing half of the control stream: a queue of whole messages that one goroutine writes.
type outbox struct {
	stream *quic.Stream
	wake   chan struct{} // one token: there is something in queue

	mu    sync.Mutex
	queue []byte // at most sendQueue
}

// Send queues m and returns. If more than 64 KiB wait already, the peer is too slow and loses the session. An error that is not
// the session's says what is wrong with m; nothing was sent then.
func (s *Session) Send(m Message) error {
	if err := s.Err(); err != nil {
		return err
	}
	if p, ok := m.(*Pong); ok && p.Wall.IsZero() {
		p.Wall = s.endpoint.cfg.Now()
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	b, err := appendMessage(nil, m, &s.logs)
	if err != nil {
		return err
	}
	queue, err := s.appendBindings(s.out.queue)
	if err != nil {
		return err
	}
	s.sent(m)
	s.out.queue = append(queue, b...)
	if len(s.out.queue) > sendQueue {
		return s.fail(CodeSlow, fmt.Errorf("%d bytes of messages wait to be sent", len(s.out.queue)))
	}
	select {
	case s.out.wake <- struct{}{}:
	default:
	}
	return nil
}

// appendBindings appends a NOTES that binds the log numbers of which the peer does not know.
func (s *Session) appendBindings(b []byte) ([]byte, error) {
	fresh := s.logs.takeFresh()
	for len(fresh) > 0 {
		n := min(len(fresh), maxBindings)
		var err error
		if b, err = appendMessage(b, &Notes{Logs: fresh[:n]}, &s.logs); err != nil {
			return b, err
		}
		fresh = fresh[n:]
	}
	return b, nil
}

// flush writes the queue to the control stream until the session ends. It is the session's only goroutine.
func (s *Session) flush() {
	defer s.endpoint.forget(s)
	var spare []byte
	for {
		select {
		case <-s.out.wake:
		case <-s.Done():
			return
		}
		s.out.mu.Lock()
		full := s.out.queue
		s.out.queue = spare[:0]
		s.out.mu.Unlock()
		if err := s.write(full); err != nil {
			s.writeError(err)
		}
		spare = full
	}
}

// write writes b to the control stream within messageTimeout.
func (s *Session) write(b []byte) error {
	s.out.stream.SetWriteDeadline(time.Now().Add(messageTimeout))
	n, err := s.out.stream.Write(b)
	s.stats.sent.control.Add(uint64(n))
	return err
}

// writeError ends the session for an error of the control stream, unless it has ended.
func (s *Session) writeError(err error) {
	if isTimeout(err) {
		s.fail(CodeSlow, fmt.Errorf("messages could not be sent for %v", messageTimeout))
		return
	}
	s.fail(CodeMalformed, fmt.Errorf("the control stream broke: %w", s.streamError(err)))
}
