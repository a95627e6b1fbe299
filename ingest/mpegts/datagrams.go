package mpegts

import (
	"bytes"
	"log/slog"
	"time"

	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/rtporder"
	"tailcast/internal/ts"
)

const (
	payloadTypeMP2T = 33 // RFC 3551, 6
	tsPacket        = 188
	// The continuity counter of a PID is back where it was after 16 packets, which three datagrams of seven can hold: from here on it
	// is the sequence numbers that tell of a loss.
	longGap = 3
	// A sender of RTP that was silent for so long has made way for one of bare packets.
	otherSender = time.Second
)

// datagrams takes transport packets out of what a socket receives.
//
//	bare ──▶ scanner
//	RTP ──▶ in order of sequence numbers ──▶ scanner, which is told of long gaps
//
// Datagrams of another kind in between, as forward error correction or RTCP on the same port, are dropped once RTP was seen, until that
// falls silent and bare packets come.
type datagrams struct {
	scanner *ts.Scanner
	stats   *ingest.Stats
	log     *slog.Logger

	rtp   bool      // has been seen
	last  time.Time // that RTP came
	ssrc  uint32
	queue rtporder.Queue

	running bool   // next is valid
	next    uint16 // sequence number
	per     int    // transport packets in the last datagram
}

// take takes one datagram; b is the caller's again afterwards.
func (d *datagrams) take(b []byte) {
	var p rtp.Packet
	switch {
	case !mayBeRTP(b) || p.Unmarshal(b) != nil || !holdsPackets(&p):
		d.bare(b)
		return
	case !d.rtp || p.SSRC != d.ssrc: // another sender, or the same that has begun again
		d.flush()
		d.rtp, d.ssrc, d.queue, d.running = true, p.SSRC, rtporder.Queue{}, false
	}
	if !d.queue.Passes(p.SequenceNumber) {
		p.Payload = bytes.Clone(p.Payload)
	}
	now := time.Now()
	d.last = now
	d.queue.Push(&p, now, d.emit)
	d.queue.Expire(now, d.emit)
}

// bare takes a datagram that is no RTP with transport packets.
func (d *datagrams) bare(b []byte) {
	if d.rtp && len(b) > 0 && b[0] == 0x47 && time.Since(d.last) > otherSender {
		d.flush()
		d.rtp = false
	}
	if !d.rtp {
		d.scanner.Write(b)
	}
}

// mayBeRTP tells RTP, whose first two bits are 10, from a transport packet, whose first byte is 0x47.
func mayBeRTP(b []byte) bool { return len(b) >= 12 && b[0]>>6 == 2 }

// holdsPackets tells whether the payload is transport packets: by its type, or, for encoders that choose another, by its look.
func holdsPackets(p *rtp.Packet) bool {
	return p.PayloadType == payloadTypeMP2T || len(p.Payload) >= tsPacket && len(p.Payload)%tsPacket == 0 && p.Payload[0] == 0x47
}

// emit takes the packets in order.
func (d *datagrams) emit(a rtporder.Arrived) {
	n := a.Packet.SequenceNumber
	if lost := int(int16(n - d.next)); d.running && lost > 0 {
		d.log.Debug("datagrams are missing", "count", lost, "before", n)
		if lost >= longGap {
			d.scanner.Gap(lost * d.per)
		}
	}
	d.running, d.next, d.per = true, n+1, len(a.Packet.Payload)/tsPacket
	d.scanner.Write(a.Packet.Payload)
}

// expire gives up on packets that are overdue.
func (d *datagrams) expire() { d.queue.Expire(time.Now(), d.emit) }

func (d *datagrams) waiting() bool { return d.queue.Len() > 0 }

func (d *datagrams) flush() { d.queue.Flush(d.emit) }
