package rtmp

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/bluenviron/gortmplib/pkg/chunk"

	"tailcast/ingest/ingesttest"
)

// part is the first chunk of a message of n bytes.
func part(t testing.TB, stream byte, n uint32, body []byte) []byte {
	t.Helper()
	b, err := chunk.Chunk0{ChunkStreamID: stream, Type: 9, BodyLen: n, Body: body}.Marshal(false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLedger: what encoders send goes through as it is, however it is cut; what would cost too much does not.
func TestLedger(t *testing.T) {
	sound := append(append(part(t, 4, 300, make([]byte, 128)), 0xc4), make([]byte, 128)...)
	whole := append(append(sound, 0xc4), make([]byte, 44)...)
	again := append(append(sized(t, 4096), 0xc4), make([]byte, 300)...) // a message like the one before
	in := bytes.Join([][]byte{hello, whole, again, part(t, 6, 3, []byte("abc"))}, nil)
	large := bytes.Clone(hello)
	for i := range byte(4) {
		large = append(large, part(t, 4+i, 10<<20, make([]byte, 128))...)
	}
	for name, c := range map[string]struct {
		in   []byte
		want int // bytes that come through
		err  error
	}{
		"an encoder":              {in, len(in), io.EOF},
		"small chunks":            {append(bytes.Clone(in), sized(t, 127)...), len(in), errChunks},
		"four messages of 10 MiB": {large, len(hello) + 3*140, errMessages},
	} {
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader(c.in), "byte by byte": iotest.OneByteReader(bytes.NewReader(c.in))} {
			got, err := io.ReadAll(readerOnly{newLedger(r)})
			if err == nil {
				err = io.EOF
			}
			if !bytes.Equal(got, c.in[:c.want]) || !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %d bytes went through and it ended with %v, want %d and %v", name, how, len(got), err, c.want, c.err)
			}
		}
	}
}

// flood sends a message of 10 MiB on each of so many chunk streams, a chunk of each in turn, and of none the end. It returns early if the
// connection ends.
func flood(t *testing.T, to io.Writer, streams byte, size int) error {
	w := bufio.NewWriterSize(to, 1<<20)
	body := make([]byte, size)
	_, err := w.Write(sized(t, uint32(size)))
	for i := 0; i < 10<<20-size && err == nil; i += size {
		for id := 2 + byte(0); id < 2+streams && err == nil; id++ {
			if i == 0 {
				_, err = w.Write(part(t, id, 10<<20, body))
				continue
			}
			_ = w.WriteByte(0xc0 | id)
			_, err = w.Write(body)
		}
	}
	return cmp.Or(err, w.Flush())
}

// TestPublishersCostLittle: who was let in cannot fill the memory either.
func TestPublishersCostLittle(t *testing.T) {
	for _, c := range []struct {
		streams byte
		size    int
		want    string // of the error; empty if it goes on
	}{
		{62, 64 << 10, errMessages.Error()},
		{1, 1, errChunks.Error()},
		{3, 128, ""},
	} {
		s, _ := serve(t, ServerConfig{})
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var hearing sync.WaitGroup
		hearing.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		before := heap()
		if _, err := conn.Write(append(bytes.Clone(hello), requests(t)...)); err != nil {
			t.Fatal(err)
		}
		err = flood(t, conn, c.streams, c.size)
		if c.want == "" {
			ingesttest.Until(t, "all heard", func() bool { return s.Stats().Bytes.Load() > uint64(c.streams)*(10<<20)-1<<20 })
			if err != nil {
				t.Errorf("ended with %v", err)
			}
		} else {
			ingesttest.Until(t, "cut off", func() bool { return strings.Contains(s.Stats().LastError(), c.want) })
		}
		took := heap() - before
		t.Logf("%d streams in chunks of %d: %d bytes", c.streams, c.size, took)
		if took > 64<<20 {
			t.Errorf("a publisher with %d streams in chunks of %d took %d bytes of memory", c.streams, c.size, took)
		}
		conn.Close()
		hearing.Wait()
	}
}

// FuzzLedger: what comes is what came.
func FuzzLedger(f *testing.F) {
	f.Add(requests(f), true)
	f.Add(published(f)["h264-aac.ts"].bytes, false)
	f.Fuzz(func(t *testing.T, b []byte, slow bool) {
		in := append(bytes.Clone(hello), b...)
		r := io.Reader(bytes.NewReader(in))
		if slow {
			r = iotest.HalfReader(r)
		}
		if got, err := io.ReadAll(readerOnly{newLedger(r)}); !bytes.HasPrefix(in, got) {
			t.Errorf("%d bytes came of %d, and ended with %v", len(got), len(in), err)
		}
	})
}
