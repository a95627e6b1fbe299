package quicwire

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"time"
)

// Times and sizes that every node of version 1 keeps to (docs/wire.md, "Limits"). Sizes in bytes.
const (
	proofTimeout   = 3 * time.Second  // for a link proof, from the end of the TLS handshake
	messageTimeout = 5 * time.Second  // for HELLO, and for any message, stream header or block once it has begun
	idleTimeout    = 15 * time.Second // without a packet the peer is gone
	keepAlive      = 5 * time.Second  // a packet at least so often

	streamWindow    = 64 << 10  // at first
	maxStreamWindow = 512 << 10 // grown, as far as the connection's allows
	connWindow      = 256 << 10 // at first
	maxConnWindow   = 2 << 20   // grown, for parents only

	maxIncomingUni  = 256 // stripe and repair streams open at once
	maxIncomingBidi = 17  // the control stream and 16 ranges

	sendQueue = 64 << 10 // messages that wait for their way out; more: the peer is too slow
)

// Rates that a peer may keep up, and bursts. One joining a log of 32 stripes subscribes them all at once.
const (
	subRate, subBurst         = 32, 64
	reqRate, reqBurst         = 64, 128
	notesRate, notesBurst     = 2, 8      // NOTES that bring notes: three signatures each
	forkRate, forkBurst       = 4, 16     // FORKs and FAULTs together: two signatures each
	messageRate, messageBurst = 256, 1024 // of all messages together
	strayRate, strayBurst     = 32, 128   // streams that nobody asked for: those under way when we unsubscribed
)

// A Config says what an Endpoint works with.
type Config struct {
	Conn net.PacketConn     // the one UDP socket; the Endpoint takes it over and closes it
	Key  ed25519.PrivateKey // node key. If nil, a new one

	MaxSessions  int   // inbound ones are refused above it. If zero, 256
	WindowBudget int64 // bytes by which all receive windows together may grow beyond 256 KiB a session. If zero, 64 MiB

	Logger *slog.Logger     // If nil, slog.Default()
	Now    func() time.Time // If nil, time.Now. Read for HELLO, PONG and rates; deadlines always follow the runtime's clock
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() (Config, error) {
	if c.Conn == nil {
		return c, errors.New("quicwire: Config.Conn is missing")
	}
	if c.Key == nil {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return c, err
		}
		c.Key = key
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 256
	}
	if c.WindowBudget == 0 {
		c.WindowBudget = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}
