package rtmp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

const (
	// A stranger may send so much. The requests of an encoder take 1 kB, unless its address is long.
	maxUnknown = 16 << 10
	// handshakeSize is that of C0, C1 and C2.
	handshakeSize = 1 + 1536 + 1536
	encrypted     = 6   // C0 of RTMPE
	leastChunk    = 128 // as they are at the beginning; each costs us memory besides its bytes
)

var (
	errStranger  = errors.New("too much was sent before the stream key")
	errEncrypted = errors.New("RTMPE is not taken: send by RTMPS")
	errChunks    = errors.New("chunks of less than 128 bytes")
)

// customs looks at what a stranger sends before it is handed on: gortmplib allocates what a header announces, up to 10 MiB, before any of it is there. Here
// messages are handed on that are there in full, and so are within what a stranger may send. The reading of chunks is gortmplib's, by another
// reader whose chunks are never larger than that.
type customs struct {
	allowed   *io.LimitedReader
	seen      bytes.Buffer  // what was read and not handed on
	ready     int           // bytes of it that may be handed on
	from      *bufio.Reader // reads through seen
	raw       *rawmessage.Reader
	handshake int // bytes of it that are still to come
}

func newCustoms(r io.Reader) *customs {
	c := &customs{handshake: handshakeSize, allowed: &io.LimitedReader{R: r, N: handshakeSize + maxUnknown}}
	// rawmessage takes a bufio.Reader as it is, so what that holds, and nothing else, is not yet looked at.
	c.from = bufio.NewReader(io.TeeReader(c.allowed, &c.seen))
	c.raw = rawmessage.NewReader(c.from, nil, nil)
	return c
}

// Read implements io.Reader.
func (c *customs) Read(b []byte) (int, error) {
	if c.ready == 0 {
		if err := c.look(); err != nil {
			return 0, err
		}
	}
	n, err := c.seen.Read(b[:min(len(b), c.ready)])
	c.ready -= n
	return n, err
}

// look makes something ready.
func (c *customs) look() error {
	if c.handshake > 0 {
		return c.shake()
	}
	m, err := c.raw.Read()
	if err != nil {
		return c.reason(err)
	}
	if m.Type == uint8(message.TypeSetChunkSize) && len(m.Body) == 4 {
		size := binary.BigEndian.Uint32(m.Body)
		if size < leastChunk {
			return errChunks
		}
		_ = c.raw.SetChunkSize(min(size, maxUnknown)) // it refuses larger ones alone
	}
	c.ready = c.seen.Len() - c.from.Buffered()
	return nil
}

// shake lets what there is of the handshake through.
func (c *customs) shake() error {
	first, err := c.from.Peek(1)
	if err != nil {
		return c.reason(err)
	}
	if c.handshake == handshakeSize && first[0] == encrypted {
		return errEncrypted
	}
	c.ready, err = c.from.Discard(min(c.from.Buffered(), c.handshake))
	c.handshake -= c.ready
	return err
}

// reason tells the end of what is allowed from that of the connection.
func (c *customs) reason(err error) error {
	if c.allowed.N == 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return errStranger
	}
	return err
}
