package mpegts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// Push is an http.Handler for publishers that PUT or POST a stream of any length, one at a time, and the Source of what they
// send:
//
//	ffmpeg -re -i clip.ts -c copy -f mpegts http://127.0.0.1:8080/live
//
// The next publisher continues the program of the last; what does not fit together in time is flagged as discontinuous.
type Push struct {
	Config

	mu         sync.Mutex
	ctx        context.Context // of Run; nil while it is not running
	sink       ingest.Sink     // of Run
	scanner    *ts.Scanner     // owned by the publisher, or by nobody
	publishing string          // address of the publisher; empty if there is none
	publishers sync.WaitGroup
}

// Run implements ingest.Source. While it is not running publishers are refused.
func (p *Push) Run(ctx context.Context, sink ingest.Sink) error {
	p.mu.Lock()
	if p.ctx != nil {
		p.mu.Unlock()
		return errors.New("couldn't run twice at a time")
	}
	p.ctx, p.sink, p.scanner = ctx, sink, p.Config.scanner(sink)
	p.mu.Unlock()

	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	p.mu.Unlock()
	p.publishers.Wait()
	return ctx.Err()
}

// ServeHTTP implements http.Handler.
func (p *Push) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		w.Header().Set("Allow", "PUT, POST")
		http.Error(w, "PUT or POST an MPEG transport stream here", http.StatusMethodNotAllowed)
		return
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		http.Error(w, "send the stream as it is, not as "+encoding, http.StatusUnsupportedMediaType)
		return
	}
	ctx, status, err := p.enter(r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	defer p.leave()
	p.logger().Info("publisher", "addr", r.RemoteAddr)
	if err := p.publish(ctx, w, r); err != nil {
		p.stats().SetError(err)
		p.logger().Warn("publisher left", "addr", r.RemoteAddr, "error", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.logger().Info("publisher finished", "addr", r.RemoteAddr)
}

// enter makes r the publisher, or says why it cannot be.
func (p *Push) enter(r *http.Request) (ctx context.Context, status int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil || p.ctx.Err() != nil {
		return nil, http.StatusServiceUnavailable, errors.New("not on air: try again when the streamer runs")
	}
	if p.publishing != "" {
		return nil, http.StatusConflict, fmt.Errorf("%s is publishing here already: stop it first, there can be only one", p.publishing)
	}
	p.publishing = r.RemoteAddr
	p.publishers.Add(1)
	return p.ctx, 0, nil
}

func (p *Push) leave() {
	p.mu.Lock()
	p.publishing = ""
	p.mu.Unlock()
	p.publishers.Done()
}

// publish takes the body of r to its end.
func (p *Push) publish(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	return p.guard(func() error { return p.take(ctx, w, r) }, func() { p.scanner = p.Config.scanner(p.sink) })
}

func (p *Push) take(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	// The request's own context is of no use here: it ends when the publisher closes the connection, and a publisher that has sent
	// everything does so before we have taken it. One that vanishes makes Read fail.
	b := &body{in: r.Body, conn: http.NewResponseController(w)}
	// Whatever time the server gives to requests, a stream may take longer. (A server without deadlines has none to lift.)
	_ = b.conn.SetReadDeadline(time.Time{})
	_ = b.conn.SetWriteDeadline(time.Time{})
	if err := pump(ctx, b, p.scanner, stallTime); err != nil {
		w.Header().Set("Connection", "close")
		return fmt.Errorf("couldn't take the stream: %w", err)
	}
	return p.scanner.Diagnose()
}

// body is a request body that can be closed while it is read, which its own Close would wait for.
type body struct {
	in    io.Reader
	conn  *http.ResponseController
	ended atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

// Close ends a Read in progress. It costs the connection, so one whose body was read to its end is left alone.
func (b *body) Close() error {
	if b.ended.Load() {
		return nil
	}
	return b.conn.SetReadDeadline(time.Unix(1, 0))
}
