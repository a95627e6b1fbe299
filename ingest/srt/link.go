package srt

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/datarhei/gosrt/circular"

	"tailcast/ingest"
)

// link is one connection: what arrives in time, in order, and what is known of the rest.
type link struct {
	conn  gosrt.Conn
	peer  string
	stats *ingest.Stats

	heard    atomic.Int64  // unix nanoseconds of when packets were last seen to have come; they are read a latency later
	lost     atomic.Uint64 // packets that did not come in time
	overfull atomic.Bool   // was ended for what it had gosrt hold

	// Owned by Read.
	begun bool
	next  circular.Number // of the packet that is due
	rest  []byte

	// Owned by watch, and by others once that has ended.
	received      uint64 // packets
	retransmitted uint64 // packets that came again because they were asked for
}

func newLink(conn gosrt.Conn, stats *ingest.Stats) *link {
	l := &link{conn: conn, peer: conn.RemoteAddr().String(), stats: stats}
	l.heard.Store(time.Now().UnixNano())
	return l
}

// Silence implements admit.Publisher.
func (l *link) Silence() time.Duration { return time.Since(time.Unix(0, l.heard.Load())) }

// latency is what the two ends have agreed on.
func (l *link) latency() time.Duration {
	var s gosrt.Statistics
	l.conn.Stats(&s)
	return time.Duration(s.Instantaneous.MsRecvTsbPdDelay) * time.Millisecond
}

// Read implements io.Reader. Packets are taken one by one, for their numbers: gosrt's own count of losses has those in it that came
// after all, and counts one too many each time.
func (l *link) Read(b []byte) (int, error) {
	if len(l.rest) == 0 {
		p, err := l.conn.ReadPacket()
		if err != nil {
			return 0, err
		}
		l.count(p.Header().PacketSequenceNumber)
		l.rest = append(l.rest[:0], p.Data()...)
		p.Decommission()
	}
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *link) count(number circular.Number) {
	if missing := uint64(0); l.begun && number.Gt(l.next) {
		missing = uint64(number.Distance(l.next))
		l.lost.Add(missing)
		l.stats.LostDatagrams.Add(missing)
	}
	l.begun, l.next = true, number.Inc()
}

// Close implements io.Closer.
func (l *link) Close() error { return l.conn.Close() }

// What gosrt may hold of one connection: nothing in it bounds what a sender puts in by numbers or times of the future. Twice what
// 50 Mbit/s and a latency of five seconds need.
const (
	maxHeld    = 64 << 20
	watchEvery = 100 * time.Millisecond
)

var errOverfull = errors.New("the sender has more than 64 MB waiting: its times run ahead, or the latency is too long for the bit rate")

// watched has gosrt's figures looked at until stop is called, which may be twice.
func (l *link) watched() (stop func()) {
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ended) })
	return sync.OnceFunc(func() {
		close(ended)
		watch.Wait()
	})
}

// watch looks at gosrt's figures until ended is closed.
func (l *link) watch(ended <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		l.look()
		select {
		case <-tick.C:
		case <-ended:
			l.look()
			return
		}
	}
}

func (l *link) look() {
	var s gosrt.Statistics
	l.conn.Stats(&s)
	if n := s.Accumulated.PktRecv; n > l.received {
		l.received = n
		l.heard.Store(time.Now().UnixNano())
	}
	l.stats.Retransmitted.Add(s.Accumulated.PktRecvRetrans - l.retransmitted)
	l.retransmitted = s.Accumulated.PktRecvRetrans
	if s.Instantaneous.ByteRecvBuf > maxHeld && l.overfull.CompareAndSwap(false, true) {
		_ = l.Close()
	}
}
