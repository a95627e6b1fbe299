package rtmp

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/message"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
)

// noted is a connection that keeps what is written, as it goes over the wire behind the handshake.
type noted struct {
	*message.ReadWriter
	b bytes.Buffer
}

func newNoted() *noted {
	n := &noted{}
	bc := bytecounter.NewReadWriter(&readWriter{bytes.NewReader(nil), &n.b})
	n.ReadWriter = message.NewReadWriter(bc, bc, false)
	return n
}

func (n *noted) BytesReceived() uint64 { return 0 }
func (n *noted) BytesSent() uint64     { return uint64(n.b.Len()) }

// carried are the codecs of the clips that RTMP can carry; of MPEG audio it takes 44.1 kHz and less, which none of them is.
var carried = []ingest.Codec{ingest.H264, ingest.H265, ingest.AV1, ingest.VP9, ingest.AAC, ingest.AC3, ingest.Opus}

// published are the clips of others as gortmplib publishes them, each with how many units are in it.
func published(t testing.TB) map[string]publication {
	t.Helper()
	out := make(map[string]publication)
	for name, clip := range ingesttest.Clips(t) {
		p := *clip.Program(t)
		p.Tracks = slices.DeleteFunc(slices.Clone(p.Tracks), func(t ingest.Track) bool { return !slices.Contains(carried, t.Codec) })
		if len(p.Tracks) == 0 {
			continue
		}
		part := ingesttest.NewRecord()
		part.SetProgram(&p)
		for _, track := range p.Tracks {
			units := clip.Of(track.ID)
			for _, s := range units[:min(len(units), 8)] {
				part.WriteSample(s)
			}
		}
		n := newNoted()
		newPlayer(t, part).play(t, n, part)
		out[name] = publication{n.b.Bytes(), len(part.All())}
	}
	return out
}

type publication struct {
	bytes []byte
	units int
}

// requests are what gortmplib says before it may publish, as it goes over the wire behind the handshake.
func requests(t testing.TB) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan []byte, 1)
	go func() {
		var b bytes.Buffer
		defer func() { heard <- b.Bytes() }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		conn := &gortmplib.ServerConn{RW: &readWriter{io.TeeReader(c, &b), c}}
		if err := conn.Initialize(); err == nil {
			_ = conn.Accept()
		}
	}()
	c := &gortmplib.Client{URL: &url.URL{Scheme: "rtmp", Host: l.Addr().String(), Path: "/live/" + key}, Publish: true}
	if err := c.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	b := <-heard
	if len(b) <= handshakeSize {
		t.Fatalf("%d bytes were said", len(b))
	}
	return b[handshakeSize:]
}

// TestSeeds: what fuzzing begins with is understood to the end.
func TestSeeds(t *testing.T) {
	codecs := map[ingest.Codec]bool{}
	for name, p := range published(t) {
		r, stats := receive(t, p.bytes)
		for _, track := range r.Program(t).Tracks {
			codecs[track.Codec] = true
		}
		if n := len(r.All()); n != p.units || stats.LastError() != "" {
			t.Errorf("%s: %d units came of %d; %s", name, n, p.units, stats.LastError())
		}
	}
	if len(codecs) != len(carried) {
		t.Errorf("there are %v, want %v", codecs, carried)
	}
	whole := append(bytes.Clone(hello), requests(t)...)
	if got, err := io.ReadAll(readerOnly{newCustoms(bytes.NewReader(whole))}); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("%d bytes came through of the %d of a real encoder: %v", len(got), len(whole), err)
	}
}
