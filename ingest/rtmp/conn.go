package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"

	"tailcast/ingest/admit"
)

// Reasons for a refusal; the encoder is told, where ffmpeg and OBS show it.
var (
	errBusy    = errors.New("somebody else is publishing here")
	errPlay    = errors.New("this server takes streams in and does not play them")
	errNowhere = errors.New("nothing of this name is waited for")
)

// room is where one stream is published.
type room struct {
	*admit.Room
	out output // owned by whose turn it is
}

// serve is a connection from its first byte to its last. A panic of the libraries ends it, and nothing else.
func (s *Server) serve(ctx context.Context, c net.Conn, rooms map[string]*room) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	peer := c.RemoteAddr().String()
	defer func() {
		if r := recover(); r != nil {
			s.cfg.Logger.Error("rtmp connection ended by a panic", "peer", peer, "reason", r, "stack", string(debug.Stack()))
		}
	}()
	if s.cfg.TLS != nil {
		c = tls.Server(c, s.cfg.TLS)
	}
	w := newWire(c)
	conn := &gortmplib.ServerConn{RW: w}
	if err := conn.Initialize(); err != nil {
		s.cfg.Logger.Debug("rtmp connection ended before it began", "peer", peer, "reason", err)
		return
	}
	if err := conn.Accept(); err != nil {
		s.cfg.Logger.Debug("rtmp connection ended before it published", "peer", peer)
		return
	}
	r, err := s.judge(ctx, w, conn, rooms)
	if err != nil {
		s.complain(peer, err)
		refuse(w, conn, err)
		return
	}
	defer r.Leave(w)
	s.publish(ctx, r, w, conn)
}

// complain logs why somebody was refused, though not as often as strangers like.
func (s *Server) complain(peer string, reason error) {
	if errors.Is(reason, admit.ErrKey) {
		return // the gate has spoken
	}
	s.mu.Lock()
	n, ok := s.refused.Pass(1, time.Now())
	s.mu.Unlock()
	if ok {
		s.cfg.Logger.Warn("rtmp publisher refused", "peer", peer, "reason", reason, "refused", n)
	}
}

// judge tells whether a connection may publish, and where.
func (s *Server) judge(ctx context.Context, w *wire, conn *gortmplib.ServerConn, rooms map[string]*room) (*room, error) {
	if !conn.Publish {
		return nil, errPlay
	}
	path, shown := s.cfg.Gate.Split(conn.URL.Path)
	if key := conn.URL.Query().Get("key"); key != "" {
		path, shown = conn.URL.Path, key
	}
	if err := s.cfg.Gate.Check(s.cfg.scheme(), admit.AddrOf(w.RemoteAddr()), shown); err != nil {
		return nil, err
	}
	r, ok := admit.Pick(rooms, path)
	if !ok {
		return nil, errNowhere
	}
	if !r.Await(ctx) {
		return nil, errBusy
	}
	again, ok := r.Claim(w)
	if !ok {
		return nil, errBusy
	}
	if again {
		r.out.stats.Reconnects.Add(1)
	}
	return r, nil
}

// maxRefused is what is read and thrown away of an encoder that begins to send before it has heard that it is refused.
const maxRefused = 64 << 10

// refuse tells an encoder why, in the way in which it is told that its stream has a bad name. gortmplib has said that it may begin.
func refuse(w *wire, conn *gortmplib.ServerConn, reason error) {
	_ = conn.Write(&message.CommandAMF0{ // if it does not arrive, the connection ends all the same
		ChunkStreamID: 5, MessageStreamID: 0x1000000, Name: "onStatus",
		Arguments: []any{nil, amf0.Object{
			{Key: "level", Value: "error"},
			{Key: "code", Value: "NetStream.Publish.BadName"},
			{Key: "description", Value: reason.Error()},
		}},
	})
	// What has come and was not read would make the system reset the connection, and the answer with it.
	_ = w.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, w.Conn, maxRefused)
}

// publish takes a stream to its end.
func (s *Server) publish(ctx context.Context, r *room, w *wire, conn *gortmplib.ServerConn) {
	done, err := r.Wait(ctx)
	if err != nil {
		return
	}
	defer done()
	peer := w.RemoteAddr().String()
	s.cfg.Logger.Info("rtmp publisher came", "peer", peer, "tls", s.cfg.TLS != nil)
	w.publishes(r.out.stats)
	st := newStream(&r.out)
	defer func() {
		st.close()
		s.cfg.Logger.Info("rtmp publisher left", "peer", peer, "reason", reason(err))
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("media made the parser panic: %v", p)
			r.out.stats.SetError(err)
			s.cfg.Logger.Error("rtmp publisher's media made the parser panic", "peer", peer, "reason", p, "stack", string(debug.Stack()))
		}
	}()
	for {
		var m message.Message
		if m, err = conn.Read(); err != nil {
			if !gone(err) {
				r.out.stats.SetError(fmt.Errorf("%s: %w", s.cfg.scheme(), err))
			}
			return
		}
		st.take(m, time.Now())
	}
}

// gone tells whether a connection ended as connections do.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func reason(err error) string {
	if err == nil || gone(err) {
		return "the connection ended"
	}
	return err.Error()
}
