package srt

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/datarhei/gosrt/packet"
)

// relay stands between gosrt and a sender that it calls, for gosrt reads what comes in a goroutine of its own, where nobody can recover:
// a handshake that ends within an extension makes it panic, and anybody could send one in the sender's name.
//
//	gosrt ⇄ near, on loopback ⇄ far ⇄ the sender
//
// A datagram for which a socket has no room is lost, as on the network.
type relay struct {
	near, far *net.UDPConn
	gosrt     netip.AddrPort // the first that was heard by near; owned by there, and then read by back
	handshake handshake      // owned by back
	both      sync.WaitGroup
}

// newRelay makes one to addr, and says where gosrt is to call. The relay ends by close.
func newRelay(addr string, log *slog.Logger) (*relay, string, error) {
	near, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, "", err
	}
	far, err := net.Dial("udp", addr)
	if err != nil {
		near.Close()
		return nil, "", err
	}
	r := &relay{near: near, far: far.(*net.UDPConn), handshake: handshake{log: log.With("addr", addr)}}
	_ = r.near.SetReadBuffer(relayBuffer) // less loses packets under load, and they are asked for again
	_ = r.far.SetReadBuffer(relayBuffer)
	r.both.Go(r.there)
	return r, near.LocalAddr().String(), nil
}

const (
	relayBuffer = 1 << 20
	maxDatagram = 2048 // gosrt sends and takes 1500
	lastWords   = 50 * time.Millisecond
)

// there carries what gosrt says.
func (r *relay) there() {
	defer r.far.Close()
	defer r.near.Close()
	for b := make([]byte, maxDatagram); ; {
		n, from, err := r.near.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if !r.gosrt.IsValid() {
			r.gosrt = from
			r.both.Go(r.back)
		}
		if from == r.gosrt {
			_, _ = r.far.Write(b[:n])
		}
	}
}

// back carries what the sender says. When its machine says that nobody is there, gosrt hears the same of ours.
func (r *relay) back() {
	defer r.near.Close()
	for b := make([]byte, maxDatagram); ; {
		n, err := r.far.Read(b)
		if err != nil {
			return
		}
		if r.handshake.pass(b[:n]) {
			_, _ = r.near.WriteToUDPAddrPort(b[:n], r.gosrt)
		}
	}
}

// close ends the relay once it has carried gosrt's farewell, and waits for that.
func (r *relay) close() {
	_ = r.near.SetReadDeadline(time.Now().Add(lastWords))
	r.both.Wait()
}

// handshake is how far a call has come. It lets each step through once: gosrt waits for one answer, and what comes after that would block its
// reader for good.
//
//	called ── INDUCTION ─▶ greeted ── CONCLUSION ─▶ answered
//	   └─────── a refusal ────┴──────────────────────▲
type handshake struct {
	log               *slog.Logger
	greeted, answered bool
	malformed         bool // was logged
}

// pass tells whether a datagram may go to gosrt. The parser is gosrt's own: what panics here would have panicked there.
func (h *handshake) pass(b []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			h.complain()
			ok = false
		}
	}()
	p, err := packet.NewPacketFromData(nil, b)
	if err != nil {
		return false
	}
	defer p.Decommission()
	if !p.Header().IsControlPacket || p.Header().ControlType != packet.CTRLTYPE_HANDSHAKE {
		return true
	}
	var c packet.CIFHandshake
	return p.UnmarshalCIF(&c) == nil && h.step(&c)
}

// step takes the next one.
func (h *handshake) step(c *packet.CIFHandshake) bool {
	switch {
	case h.answered:
		return false
	case c.HandshakeType == packet.HSTYPE_INDUCTION && !understood(c): // gosrt ends the call
		h.answered = true
	case c.HandshakeType == packet.HSTYPE_INDUCTION:
		if h.greeted {
			return false
		}
		h.greeted = true
	case c.HandshakeType == packet.HSTYPE_CONCLUSION && !h.greeted:
		return false
	default:
		h.answered = true
	}
	return true
}

// understood tells whether gosrt goes on after an INDUCTION: it speaks two versions, of which the newer has a magic number
// (draft-sharabayko-srt-01, 4.3.1.1).
func understood(c *packet.CIFHandshake) bool {
	return c.Version == 4 || c.Version == 5 && c.ExtensionField == 0x4a17
}

func (h *handshake) complain() {
	if !h.malformed {
		h.malformed = true
		h.log.Warn("srt handshake is malformed")
	}
}
