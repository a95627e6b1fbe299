package rtmp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/chunk"

	"tailcast/ingest/admit"
)

// sized is a message that sets the size of chunks.
func sized(t *testing.T, size uint32) []byte {
	t.Helper()
	b, err := chunk.Chunk0{ChunkStreamID: 2, Type: 1, BodyLen: 4, Body: []byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}}.Marshal(false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var hello = append([]byte{3}, make([]byte, handshakeSize-1)...)

// TestCustoms: what is complete goes through as it came, however it is cut on its way; nothing else does.
func TestCustoms(t *testing.T) {
	command := func(n int, sent int) []byte {
		b, err := chunk.Chunk0{ChunkStreamID: 3, Type: 20, BodyLen: uint32(n), Body: bytes.Repeat([]byte{0x5a}, sent)}.Marshal(false)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole := bytes.Join([][]byte{hello, sized(t, 4096), command(3000, 3000), sized(t, 10<<20), command(9000, 9000)}, nil)
	for name, c := range map[string]struct {
		in   []byte
		want []byte
		err  error
	}{
		"an encoder":               {whole, whole, io.EOF},
		"half a message":           {append(bytes.Clone(whole), command(500, 90)...), whole, io.ErrUnexpectedEOF},
		"a header of 10 MiB":       {append(bytes.Clone(whole), command(10<<20, 0)...), whole, io.EOF},
		"small chunks":             {append(bytes.Clone(hello), sized(t, 1)...), hello, errChunks},
		"RTMPE":                    {append([]byte{encrypted}, hello...), nil, errEncrypted},
		"more than may be said":    {append(bytes.Clone(whole), command(9000, 9000)...), whole, errStranger},
		"a large one with its all": {bytes.Join([][]byte{hello, sized(t, 1<<20), command(20<<10, 20<<10)}, nil), append(bytes.Clone(hello), sized(t, 1<<20)...), errStranger},
	} {
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader(c.in), "byte by byte": iotest.OneByteReader(bytes.NewReader(c.in))} {
			got, err := io.ReadAll(readerOnly{newCustoms(r)})
			if err == nil {
				err = io.EOF
			}
			if !bytes.Equal(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %d bytes went through and it ended with %v, want %d and %v", name, how, len(got), err, len(c.want), c.err)
			}
		}
	}
}

type readerOnly struct{ io.Reader }

// still is a connection whose peer has said something and says no more.
type still struct {
	net.Conn
	said  *bytes.Reader
	asked chan struct{} // closed when all that was said has been read, and more is wanted
	over  chan struct{} // closed by the test
}

func (s *still) Read(b []byte) (int, error) {
	if s.said.Len() > 0 {
		return s.said.Read(b)
	}
	close(s.asked)
	<-s.over
	return 0, io.EOF
}

func (s *still) Write(b []byte) (int, error)      { return len(b), nil }
func (s *still) SetReadDeadline(time.Time) error  { return nil }
func (s *still) SetWriteDeadline(time.Time) error { return nil }

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStrangersCostLittle: as many as there may be announce messages of 10 MiB, in chunks as large, and send nothing of them.
func TestStrangersCostLittle(t *testing.T) {
	header, err := chunk.Chunk0{ChunkStreamID: 3, Type: 20, BodyLen: 10 << 20}.Marshal(false)
	if err != nil {
		t.Fatal(err)
	}
	said := bytes.Join([][]byte{hello, sized(t, 10<<20), header}, nil)
	over, before := make(chan struct{}), heap()
	var conns sync.WaitGroup
	for range admit.MaxConns {
		c := &still{said: bytes.NewReader(said), asked: make(chan struct{}), over: over}
		conns.Go(func() {
			if err := (&gortmplib.ServerConn{RW: newWire(c)}).Initialize(); err == nil {
				t.Error("there was no connect")
			}
		})
		<-c.asked
	}
	each := (heap() - before) / admit.MaxConns
	t.Logf("%d bytes a stranger", each)
	if each > 256<<10 {
		t.Errorf("each of %d strangers costs %d bytes, want no more than 256 KiB", admit.MaxConns, each)
	}
	close(over)
	conns.Wait()
}

// FuzzCustoms: whatever a stranger sends, no more than he may comes through, and that as he sent it.
func FuzzCustoms(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x10, 0}, true)
	f.Add(bytes.Repeat([]byte{0x03, 0, 0, 0, 0, 0, 2, 20, 0, 0, 0, 0, 5, 6}, 2000), false)
	f.Add([]byte{0xc3, 0x43, 0, 0, 0, 0, 0, 9, 20}, true)
	real := requests(f)
	f.Add(real, true)
	f.Add(append(real, published(f)["h264-aac.ts"].bytes...), false)
	f.Fuzz(func(t *testing.T, b []byte, slow bool) {
		in := append(bytes.Clone(hello), b...)
		r := io.Reader(bytes.NewReader(in))
		if slow {
			r = iotest.HalfReader(r)
		}
		got, err := io.ReadAll(readerOnly{newCustoms(r)})
		if len(got) > handshakeSize+maxUnknown || !bytes.HasPrefix(in, got) {
			t.Errorf("%d bytes came of %d, and ended with %v", len(got), len(in), err)
		}
	})
}
