package rtmp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/bluenviron/gortmplib/pkg/chunk"
	"github.com/bluenviron/gortmplib/pkg/message"
)

// maxMessages is what the longest messages of all chunk streams may have together. gortmplib takes 10 MiB each on 62 streams at once, and keeps
// the chunks of the last message of each.
const maxMessages = 32 << 20

var errMessages = errors.New("the messages of all chunk streams are longer than 32 MiB together")

// ledger hands on what a connection sends and goes along with its chunks, so that no peer, stranger or publisher, has gortmplib hold much more
// than it should. Headers are read by gortmplib's own package.
//
//	handshake ─▶ header ─▶ body of the chunk ─▶ header …
type ledger struct {
	from    *bufio.Reader
	head    bytes.Buffer // of a chunk, that is still to be handed on
	body    int          // bytes behind it that are; at the beginning those of the handshake
	size    uint32       // of chunks
	streams [64]messages // by chunk stream
	total   int          // of their longest
}

// messages are those of a chunk stream, of which each takes from the one before what it does not say.
type messages struct {
	kind             message.Type
	length, received uint32
	longest          uint32
	extended         bool // its timestamp has 32 bits, in each chunk
}

func newLedger(r io.Reader) *ledger {
	return &ledger{from: bufio.NewReader(r), body: handshakeSize, size: leastChunk}
}

// Read implements io.Reader.
func (l *ledger) Read(b []byte) (n int, err error) {
	if l.head.Len() == 0 && l.body == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	if l.head.Len() > 0 {
		return l.head.Read(b)
	}
	n, err = l.from.Read(b[:min(len(b), l.body)])
	l.body -= n
	return n, err
}

// next reads the header of a chunk.
func (l *ledger) next() error {
	first, err := l.from.Peek(1)
	if err != nil {
		return err
	}
	m := &l.streams[first[0]&0x3f]
	if err := m.header(first[0]>>6, io.TeeReader(l.from, &l.head)); err != nil {
		return err
	}
	if m.length > m.longest {
		l.total += int(m.length - m.longest)
		m.longest = m.length
	}
	if l.total > maxMessages {
		return errMessages
	}
	part := min(m.length-m.received, l.size)
	l.body = int(part)
	if m.received += part; m.received == m.length {
		m.received = 0
	}
	return l.resize(m)
}

// header reads the header of a chunk of m (RTMP 1.0, 5.3.1.2), and none of its body.
func (m *messages) header(kind byte, from io.Reader) (err error) {
	const all = 0xffffff // says that the timestamp is longer
	switch kind {
	case 0:
		var c chunk.Chunk0
		err = c.Read(from, 0, false)
		m.kind, m.length, m.received, m.extended = message.Type(c.Type), c.BodyLen, 0, c.Timestamp >= all
	case 1:
		var c chunk.Chunk1
		err = c.Read(from, 0, false)
		m.kind, m.length, m.received, m.extended = message.Type(c.Type), c.BodyLen, 0, c.TimestampDelta >= all
	case 2:
		var c chunk.Chunk2
		err = c.Read(from, 0, false)
		m.received, m.extended = 0, c.TimestampDelta >= all
	default:
		err = new(chunk.Chunk3).Read(from, 0, m.extended)
	}
	return err
}

// resize looks whether the body that follows sets the size of chunks (5.4.1).
func (l *ledger) resize(m *messages) error {
	if m.kind != message.TypeSetChunkSize || m.length != 4 {
		return nil
	}
	b, err := l.from.Peek(l.body)
	if err == nil {
		l.size = binary.BigEndian.Uint32(b)
	}
	if err == nil && l.size < leastChunk {
		return errChunks
	}
	return err
}
