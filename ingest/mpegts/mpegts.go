// Package mpegts brings programs that arrive as MPEG transport streams: from a file paced by its own clock, a pipe, UDP,
// and HTTP in both directions. What the packets mean is internal/ts's business; this package knows where bytes come
// from, when they stop, and how to begin again.
package mpegts

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"

	"tailcast/ingest"
)

// Config is what all sources of this package share.
type Config struct {
	Program uint16        // program_number to take. If zero, the first in the stream.
	Stats   *ingest.Stats // If nil, counted for nobody.
	Logger  *slog.Logger  // If nil, silent.
}

var errTODO = errors.New("not there yet")

// File airs a recording at the pace of its own clock.
type File struct {
	Config
	Path  string
	Open  func() (io.ReadCloser, error) // If nil, os.Open(Path).
	Loop  bool                          // begin again at the end, times going on as if it were longer
	Speed float64                       // If zero, 1: as it was recorded. math.Inf(1) does not wait at all.
}

// Run implements ingest.Source.
func (f *File) Run(ctx context.Context, sink ingest.Sink) error { return errTODO }

// Reader takes a live stream from a pipe or a connection.
type Reader struct {
	Config
	R    io.Reader // closed at the end of Run if it is an io.Closer
	Pace bool      // R is a recording: wait as File does
}

// Run implements ingest.Source.
func (r *Reader) Run(ctx context.Context, sink ingest.Sink) error { return errTODO }

// UDP receives datagrams of transport packets, bare or in RTP.
type UDP struct {
	Config
	conn *net.UDPConn
}

// ListenUDP opens addr, host:port. A multicast group is joined on the named interface, or on the one the system chooses.
func ListenUDP(cfg Config, addr, ifname string) (*UDP, error) { return nil, errTODO }

// Addr is the address that is listened on.
func (u *UDP) Addr() net.Addr { return u.conn.LocalAddr() }

// Close ends a UDP that is not running.
func (u *UDP) Close() error { return u.conn.Close() }

// Run implements ingest.Source.
func (u *UDP) Run(ctx context.Context, sink ingest.Sink) error { return errTODO }

// HTTPPull fetches a stream over HTTP, and again whenever it ends.
type HTTPPull struct {
	Config
	URL    string
	Client *http.Client // If nil, http.DefaultClient.
}

// Run implements ingest.Source.
func (h *HTTPPull) Run(ctx context.Context, sink ingest.Sink) error { return errTODO }

// Push is an http.Handler for publishers that PUT or POST a stream, one at a time, and the Source of what they send.
type Push struct {
	Config
}

// ServeHTTP implements http.Handler.
func (p *Push) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Run implements ingest.Source.
func (p *Push) Run(ctx context.Context, sink ingest.Sink) error { return errTODO }
