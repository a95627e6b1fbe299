package quicwire

import "sync/atomic"

type counter = atomic.Uint64

// Bytes counts what a session carried, by kind. QUIC's and UDP's own bytes are not in it.
type Bytes struct {
	Media   uint64 // payloads on stripe streams
	Proofs  uint64 // all else on stripe streams: headers, records, signatures, peaks
	Control uint64 // the control stream
	Repair  uint64 // repair streams and ranges, with all that is on them
}

// Stats are the figures of one session.
type Stats struct {
	Sent, Received         Bytes
	WireSent, WireReceived uint64 // QUIC packets, without UDP and IP headers
	PacketsSent            uint64
	PacketsLost            uint64
	Window                 uint64 // congestion window, bytes
}

// counters is Bytes while it counts.
type counters struct {
	sent, received struct{ media, proofs, control, repair counter }
}

// blocks returns how many bytes of blocks there were, either way.
func (c *counters) blocks() uint64 {
	return c.sent.media.Load() + c.sent.repair.Load() + c.received.media.Load() + c.received.repair.Load()
}

// Stats returns the figures so far. They stay readable after the session has ended.
func (s *Session) Stats() Stats {
	q := s.conn.ConnectionStats()
	sent, received := &s.stats.sent, &s.stats.received
	return Stats{
		Sent:         Bytes{sent.media.Load(), sent.proofs.Load(), sent.control.Load(), sent.repair.Load()},
		Received:     Bytes{received.media.Load(), received.proofs.Load(), received.control.Load(), received.repair.Load()},
		WireSent:     q.BytesSent,
		WireReceived: q.BytesReceived,
		PacketsSent:  q.PacketsSent,
		PacketsLost:  q.PacketsLost,
		Window:       q.CongestionWindow,
	}
}
