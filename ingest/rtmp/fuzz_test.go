package rtmp

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/message"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
)

// readWriter reads what is given and forgets what is written.
type readWriter struct {
	io.Reader
	io.Writer
}

// FuzzMessages: whatever bytes a publisher sends after the handshake, the parts of ours do not panic, times stay in order, and memory
// is bounded. What panics in gortmplib ends the connection, and is passed over here.
func FuzzMessages(f *testing.F) {
	for _, m := range []message.Message{
		&message.Audio{ChunkStreamID: 4, MessageStreamID: 1, Codec: message.CodecMPEG4Audio, AACType: message.AudioAACTypeAU, AU: []byte("la")},
		&message.Audio{ChunkStreamID: 4, MessageStreamID: 1, Codec: message.CodecMPEG1Audio, DTS: 1 << 20 * time.Millisecond, AU: []byte{0xff, 0xfb, 0x90, 0, 1}},
		&message.VideoExFramesX{ChunkStreamID: 6, MessageStreamID: 1, FourCC: message.FourCCVP9, Payload: []byte{0x82, 0x49, 0x83, 0x42, 0, 1, 2, 3}},
		&message.VideoExFramesX{ChunkStreamID: 6, MessageStreamID: 1, FourCC: message.FourCCAV1, Payload: []byte{0x12, 0, 0x0a, 1, 2}},
		&message.VideoExMultitrack{TrackID: 200, Wrapped: &message.VideoExFramesX{ChunkStreamID: 6, MessageStreamID: 1, FourCC: message.FourCCHEVC, Payload: []byte{0, 0, 0, 2, 0x26, 1}}},
		&message.AudioExCodedFrames{ChunkStreamID: 4, MessageStreamID: 1, FourCC: message.FourCCOpus, Payload: []byte{4, 5}},
	} {
		var b bytes.Buffer
		rw := &readWriter{&b, &b}
		bc := bytecounter.NewReadWriter(rw)
		if err := message.NewReadWriter(bc, bc, false).Write(m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	for _, p := range published(f) {
		f.Add(p.bytes)
	}
	f.Fuzz(func(t *testing.T, in []byte) { receive(t, in) })
}

// receive takes what a publisher sends after the handshake.
func receive(t *testing.T, in []byte) (*ingesttest.Record, *ingest.Stats) {
	t.Helper()
	bc := bytecounter.NewReadWriter(&readWriter{bytes.NewReader(in), io.Discard})
	rw := message.NewReadWriter(bc, bc, false)
	r, now, stats := ingesttest.NewRecord(), time.Now(), &ingest.Stats{}
	s := newStream(&output{sink: r, stats: stats, log: ingesttest.Quiet(), start: now})
	for range 1000 {
		m := next(rw)
		if m == nil {
			break
		}
		now = now.Add(time.Millisecond)
		s.take(m, now)
		if s.bytes > holdBytes+16<<20 {
			t.Fatalf("%d bytes are held", s.bytes)
		}
	}
	s.close()
	ingesttest.CheckTimes(t, r.All())
	return r, stats
}

func next(rw *message.ReadWriter) (m message.Message) {
	defer func() {
		if recover() != nil {
			m = nil
		}
	}()
	m, err := rw.Read()
	if err != nil {
		return nil
	}
	return m
}
