package rtmp

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"tailcast/ingest"
)

const (
	becomeWithin = 10 * time.Second // of its connection an encoder publishes, or is cut off
	stallTime    = 10 * time.Second // without a byte, after which a publisher counts as gone
	writeWithin  = 5 * time.Second  // for an answer, whatever the peer does not read
)

// wire is a connection that bounds what its peer may cost. gortmplib reads from it, in one goroutine.
type wire struct {
	net.Conn
	ledger  *ledger      // reads by receive
	heard   atomic.Int64 // unix nanoseconds of the newest byte
	customs *customs     // what a stranger sends goes through
	rest    io.Reader    // and what a publisher sends, here
	stats   *ingest.Stats
}

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c, customs: newCustoms(c)}
	w.ledger = newLedger(receiver(w.receive))
	w.heard.Store(time.Now().UnixNano())
	_ = c.SetReadDeadline(time.Now().Add(becomeWithin))
	return w
}

// receiver is an io.Reader.
type receiver func(b []byte) (int, error)

func (r receiver) Read(b []byte) (int, error) { return r(b) }

// publishes lifts the limits of strangers; those of the ledger stay.
func (w *wire) publishes(stats *ingest.Stats) {
	w.rest = io.MultiReader(&w.customs.seen, w.Conn)
	w.stats, w.customs = stats, nil
}

// Silence implements admit.Publisher.
func (w *wire) Silence() time.Duration { return time.Since(time.Unix(0, w.heard.Load())) }

// Read implements io.Reader.
func (w *wire) Read(b []byte) (int, error) { return w.ledger.Read(b) }

func (w *wire) receive(b []byte) (int, error) {
	if w.stats == nil {
		n, err := w.customs.Read(b)
		w.heard.Store(time.Now().UnixNano())
		return n, err
	}
	_ = w.SetReadDeadline(time.Now().Add(stallTime)) // of a closed connection Read says so
	n, err := w.rest.Read(b)
	w.heard.Store(time.Now().UnixNano())
	w.stats.Bytes.Add(uint64(n))
	return n, err
}

// Write implements io.Writer.
func (w *wire) Write(b []byte) (int, error) {
	_ = w.SetWriteDeadline(time.Now().Add(writeWithin))
	return w.Conn.Write(b)
}
