package quicwire

import (
	"errors"
	"fmt"

	"github.com/quic-go/quic-go/quicvarint"
)

// A messageType is the number of a message on the wire.
type messageType uint64

// The messages of version 1. Others are skipped.
const (
	typeHello  messageType = 0x01
	typeNotes  messageType = 0x02
	typeStatus messageType = 0x03
	typeSub    messageType = 0x04
	typeSubOK  messageType = 0x05
	typeSubNo  messageType = 0x06
	typeMoved  messageType = 0x07
	typeUnsub  messageType = 0x08
	typePath   messageType = 0x09
	typeReq    messageType = 0x0a
	typeNack   messageType = 0x0b
	typeCancel messageType = 0x0c
	typePing   messageType = 0x0d
	typePong   messageType = 0x0e
	typePex    messageType = 0x0f
	typeFork   messageType = 0x10
	typeBye    messageType = 0x11
	typeFault  messageType = 0x12
)

// A Message is what travels on the control stream: a pointer to one of the message structs of this package. Slices and strings in a
// received message are its own.
type Message interface {
	// spec names the message.
	spec() *spec
	// fields carries the fields, in order.
	fields(c *codec)
}

// A spec says what is known of a type of message before its fields are read.
type spec struct {
	kind  messageType
	name  string
	limit int // largest body in bytes, with room for what later versions append
	make  func() Message
}

// The table of messages: docs/wire.md has the same.
var (
	specHello  = &spec{typeHello, "HELLO", 16384, func() Message { return new(Hello) }}
	specNotes  = &spec{typeNotes, "NOTES", 16384, func() Message { return new(Notes) }}
	specStatus = &spec{typeStatus, "STATUS", 512, func() Message { return new(Status) }}
	specSub    = &spec{typeSub, "SUB", 128, func() Message { return new(Sub) }}
	specSubOK  = &spec{typeSubOK, "SUBOK", 256, func() Message { return new(SubOK) }}
	specSubNo  = &spec{typeSubNo, "SUBNO", 1024, func() Message { return new(SubNo) }}
	specMoved  = &spec{typeMoved, "MOVED", 1024, func() Message { return new(Moved) }}
	specUnsub  = &spec{typeUnsub, "UNSUB", 128, func() Message { return new(Unsub) }}
	specPath   = &spec{typePath, "PATH", 256, func() Message { return new(Path) }}
	specReq    = &spec{typeReq, "REQ", 1024, func() Message { return new(Req) }}
	specNack   = &spec{typeNack, "NACK", 1024, func() Message { return new(Nack) }}
	specCancel = &spec{typeCancel, "CANCEL", 1024, func() Message { return new(Cancel) }}
	specPing   = &spec{typePing, "PING", 128, func() Message { return new(Ping) }}
	specPong   = &spec{typePong, "PONG", 128, func() Message { return new(Pong) }}
	specPex    = &spec{typePex, "PEX", 8192, func() Message { return new(Pex) }}
	specFork   = &spec{typeFork, "FORK", 8192, func() Message { return new(Fork) }}
	specBye    = &spec{typeBye, "BYE", 2048, func() Message { return new(Bye) }}
	specFault  = &spec{typeFault, "FAULT", 16384, func() Message { return new(Fault) }}
)

// specs is the table by number; nothing ever writes to it.
var specs = [...]*spec{
	typeHello: specHello, typeNotes: specNotes, typeStatus: specStatus, typeSub: specSub, typeSubOK: specSubOK, typeSubNo: specSubNo,
	typeMoved: specMoved, typeUnsub: specUnsub, typePath: specPath, typeReq: specReq, typeNack: specNack, typeCancel: specCancel,
	typePing: specPing, typePong: specPong, typePex: specPex, typeFork: specFork, typeBye: specBye, typeFault: specFault,
}

// maxUnknown is the largest body of a message of unknown type, which is read and forgotten.
const maxUnknown = 16384

// specOf returns what is known of a type, or nil.
func specOf(t messageType) *spec {
	if t >= messageType(len(specs)) {
		return nil
	}
	return specs[t]
}

// errMalformed is behind every error about bytes that this version cannot mean.
var errMalformed = errors.New("malformed")

// appendMessage appends type, length and fields of m to b.
func appendMessage(b []byte, m Message, logs *logNumbers) ([]byte, error) {
	sp := m.spec()
	c := codec{logs: logs}
	m.fields(&c)
	if c.err == nil && len(c.buf) > sp.limit {
		c.fail("%d bytes, want at most %d", len(c.buf), sp.limit)
	}
	if c.err != nil {
		return b, fmt.Errorf("couldn't encode %s: %w", sp.name, c.err)
	}
	b = quicvarint.Append(b, uint64(sp.kind))
	b = quicvarint.Append(b, uint64(len(c.buf)))
	return append(b, c.buf...), nil
}

// decodeMessage reads the fields of a message. Bytes after the last known field are a later version's and are skipped.
func decodeMessage(sp *spec, body []byte, logs *logNumbers) (Message, error) {
	m := sp.make()
	c := codec{buf: body, reading: true, logs: logs}
	m.fields(&c)
	if c.err != nil {
		return nil, fmt.Errorf("%w %s: %w", errMalformed, sp.name, c.err)
	}
	return m, nil
}

// parseFrame finds the first message in b: its type, its body, and how many bytes both take. It returns size 0 if b does not hold
// all of it yet, and an error as soon as the length is known to be too large.
func parseFrame(b []byte) (t messageType, body []byte, size int, err error) {
	kind, n, err := quicvarint.Parse(b)
	if err != nil {
		return 0, nil, 0, nil
	}
	length, m, err := quicvarint.Parse(b[n:])
	if err != nil {
		return 0, nil, 0, nil
	}
	t, limit, name := messageType(kind), uint64(maxUnknown), "message of unknown type"
	if sp := specOf(t); sp != nil {
		limit, name = uint64(sp.limit), sp.name
	}
	if length > limit {
		return t, nil, 0, fmt.Errorf("%w %s: %d bytes, want at most %d", errMalformed, name, length, limit)
	}
	if n += m; uint64(len(b)-n) < length {
		return t, nil, 0, nil
	}
	return t, b[n : n+int(length)], n + int(length), nil
}
