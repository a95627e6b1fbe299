package rtmp

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"tailcast/ingest"
)

const (
	becomeWithin = 10 * time.Second // of its connection an encoder publishes, or is cut off
	stallTime    = 10 * time.Second // without a byte, after which a publisher counts as gone
	writeWithin  = 5 * time.Second  // for an answer, whatever the peer does not read
	// A stranger may send so much. The handshake takes 3 kB, the requests of an encoder 1 kB.
	maxUnknown = 64 << 10
)

var errStranger = errors.New("too much was sent before the stream key")

// wire is a connection that bounds what its peer may cost. gortmplib reads from it, in one goroutine.
type wire struct {
	net.Conn
	heard   atomic.Int64 // unix nanoseconds of the newest byte
	unknown int          // bytes that came while stats was nil
	stats   *ingest.Stats
}

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	w.heard.Store(time.Now().UnixNano())
	_ = c.SetReadDeadline(time.Now().Add(becomeWithin))
	return w
}

// publishes lifts the limits of strangers.
func (w *wire) publishes(stats *ingest.Stats) { w.stats = stats }

// Silence implements admit.Publisher.
func (w *wire) Silence() time.Duration { return time.Since(time.Unix(0, w.heard.Load())) }

// Read implements io.Reader.
func (w *wire) Read(b []byte) (int, error) {
	if w.stats != nil {
		_ = w.SetReadDeadline(time.Now().Add(stallTime)) // of a closed connection Read says so
	} else if w.unknown >= maxUnknown {
		return 0, errStranger
	}
	n, err := w.Conn.Read(b)
	w.heard.Store(time.Now().UnixNano())
	if w.stats != nil {
		w.stats.Bytes.Add(uint64(n))
	} else {
		w.unknown += n
	}
	return n, err
}

// Write implements io.Writer.
func (w *wire) Write(b []byte) (int, error) {
	_ = w.SetWriteDeadline(time.Now().Add(writeWithin))
	return w.Conn.Write(b)
}
