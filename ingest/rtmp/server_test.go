package rtmp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
)

// singer sends frames of sound with given stamps.
type singer struct {
	w     *gortmplib.Writer
	track *gortmplib.Track
}

func sing(t *testing.T, c *gortmplib.Client) *singer {
	t.Helper()
	s := &singer{track: &gortmplib.Track{Codec: &codecs.MPEG4Audio{Config: &mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2,
	}}}}
	s.w = &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{s.track}}
	if err := s.w.Initialize(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *singer) note(t *testing.T, ms int64) {
	t.Helper()
	if err := s.w.WriteMPEG4Audio(s.track, time.Duration(ms)*time.Millisecond, []byte("la la la")); err != nil {
		t.Fatal(err)
	}
}

// bar is a second and a half of sound from ms on, as encoders stamp it.
func (s *singer) bar(t *testing.T, ms int64) {
	t.Helper()
	for i := range int64(70) {
		s.note(t, ms+i*64/3)
	}
}

// TestPaths: an element of the path names the stream; the key comes last, or as a parameter.
func TestPaths(t *testing.T) {
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet(), Gate: admit.NewGate(key, ingesttest.Quiet())})
	if err != nil {
		t.Fatal(err)
	}
	high, low := ingesttest.NewRecord(), ingesttest.NewRecord()
	ingesttest.Start(t, paths{s, map[string]ingest.Sink{"high": high, "low": low}}, nil)
	for path, r := range map[string]*ingesttest.Record{"live/high/" + key: high, "live/low?key=" + key: low} {
		c, err := connect(t, s.Addr(), path)
		if err != nil {
			t.Fatal(err)
		}
		sing(t, c).bar(t, 0)
		r.Wait(t, 70)
	}
	c, err := connect(t, s.Addr(), "live/elsewhere/"+key)
	if err != nil {
		return // refused already
	}
	ingesttest.Until(t, "refused", func() bool { _, err := c.Read(); return err != nil })
}

// paths runs a server as a source.
type paths struct {
	*Server
	sinks map[string]ingest.Sink
}

// TestTwoPublishers: the first stays; when it has left, the next goes on later in time, with a discontinuity.
func TestTwoPublishers(t *testing.T) {
	s, r := serve(t, ServerConfig{})
	first, err := connect(t, s.Addr(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	voice := sing(t, first)
	on, off := context.WithCancel(t.Context())
	var singing sync.WaitGroup
	singing.Go(func() {
		for i := int64(0); on.Err() == nil; i++ {
			_ = voice.w.WriteMPEG4Audio(voice.track, time.Duration(1_000_000+i*64/3)*time.Millisecond, []byte("la la la"))
			<-time.After(20 * time.Millisecond)
		}
	})
	r.Wait(t, 30)
	second, err := connect(t, s.Addr(), "live/b")
	if err != nil {
		t.Fatal(err)
	}
	if text := toldWhy(t, second); !strings.Contains(text, "somebody else is publishing") {
		t.Errorf("the second publisher is told %q", text)
	}
	off()
	singing.Wait()
	first.Close()
	next, err := connect(t, s.Addr(), "live/b")
	if err != nil {
		t.Fatal(err)
	}
	sing(t, next).bar(t, 0)
	breaks := func(s ingest.Sample) bool { return s.Flags&ingest.Discontinuity != 0 }
	ingesttest.Until(t, "all there", func() bool {
		at := slices.IndexFunc(r.All(), breaks)
		return at >= 0 && len(r.All()) == at+70
	})
	all := r.All()
	ingesttest.CheckTimes(t, all)
	if at := slices.IndexFunc(all, breaks); at < 30 || slices.ContainsFunc(all[at+1:], breaks) {
		t.Errorf("the first discontinuity is at sample %d of %d, want one, where the second publisher begins", at, len(all))
	}
	if n := s.Stats().Reconnects.Load(); n != 1 {
		t.Errorf("%d reconnects counted, want 1", n)
	}
}

// toldWhy is why a publisher was refused.
func toldWhy(t *testing.T, c *gortmplib.Client) string {
	t.Helper()
	for {
		m, err := c.Read()
		if err != nil {
			t.Fatalf("told nothing: %v", err)
		}
		if cmd, ok := m.(*message.CommandAMF0); ok && len(cmd.Arguments) > 1 {
			o, _ := cmd.Arguments[1].(interface{ GetString(string) (string, bool) })
			text, _ := o.GetString("description")
			return text
		}
	}
}

// TestRefusedWhileItSends: an encoder that is refused has begun to send, and hears why all the same: its connection ends, and is not reset.
func TestRefusedWhileItSends(t *testing.T) {
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ingesttest.Start(t, paths{s, map[string]ingest.Sink{"high": ingesttest.NewRecord(), "low": ingesttest.NewRecord()}}, nil)
	c, err := connect(t, s.Addr(), "live/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(&message.Video{ChunkStreamID: 6, MessageStreamID: 1, Codec: message.CodecH264, Type: message.VideoTypeAU, AU: make([]byte, 48<<10)}); err != nil {
		t.Fatal(err)
	}
	if text := toldWhy(t, c); text != errNowhere.Error() {
		t.Errorf("told %q, want %q", text, errNowhere)
	}
	if _, err := c.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v, want EOF", err)
	}
}

// TestStrangers: garbage, silence and a flood of connections keep nobody out, end in time, and cost little memory.
func TestStrangers(t *testing.T) {
	s, r := serve(t, ServerConfig{})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		junk := make([]byte, 100+i*500)
		for j := range junk {
			junk[j] = byte(rng.Uint32())
		}
		if i%2 == 0 {
			junk[0] = 3 // the version, so that the handshake goes on
		}
		c := dial()
		_, _ = c.Write(junk) // who hangs up early is right
		if i%3 == 0 {
			c.Close()
		}
	}
	// One that never stops sending before it says who it is.
	endless := dial()
	var writing sync.WaitGroup
	writing.Go(func() {
		hello := append([]byte{3}, make([]byte, 1536+1536)...)
		_, _ = endless.Write(hello)
		for chunk := bytes.Repeat([]byte{0x02, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 1}, 4096); ; {
			if _, err := endless.Write(chunk); err != nil {
				return
			}
		}
	})
	ended := make(chan struct{})
	go func() { writing.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("who sends without end before the key is not hung up on")
	}
	var c *gortmplib.Client
	ingesttest.Until(t, "let in", func() (ok bool) {
		var err error
		c, err = connect(t, s.Addr(), "live/a")
		return err == nil
	})
	sing(t, c).bar(t, 0)
	r.Wait(t, 70)
}

// TestSilence: who connects and says nothing is hung up on in ten seconds.
func TestSilence(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	s, _ := serve(t, ServerConfig{})
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(2 * becomeWithin))
	began := time.Now()
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("not hung up on: %v", err)
	}
	if d := time.Since(began); d < becomeWithin-time.Second {
		t.Errorf("hung up on after %v", d)
	}
}

// TestManyWatchers: those who want to play do not fill the log.
func TestManyWatchers(t *testing.T) {
	log := &ingesttest.Lines{}
	s, _ := serve(t, ServerConfig{Logger: log.Logger(), Gate: admit.NewGate(key, ingesttest.Quiet())})
	for range 10 {
		u, _ := url.Parse("rtmp://" + s.Addr().String() + "/live/a")
		c := &gortmplib.Client{URL: u}
		if err := c.Initialize(t.Context()); err != nil {
			t.Fatal(err)
		}
		for toldWhy(t, c) != errPlay.Error() { // it is told that it plays first
		}
		c.Close()
	}
	if n := strings.Count(log.String(), errPlay.Error()); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
}

// TestWatchers: who wants to play is told that there is nothing to see.
func TestWatchers(t *testing.T) {
	s, _ := serve(t, ServerConfig{})
	u := "rtmp://" + s.Addr().String() + "/live/a"
	needFFmpeg(t)
	if out, err := ffmpeg(t, "-i", u, "-f", "null", "-"); err == nil {
		t.Errorf("ffmpeg could play\n%s", out)
	}
}

func TestListenErrors(t *testing.T) {
	s, _ := serve(t, ServerConfig{})
	for addr, want := range map[string]string{"0.0.0.0:0": "anybody could publish", "1935": "not host:port", s.Addr().String(): "address already in use"} {
		l, err := Listen(ServerConfig{Addr: addr})
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", addr, err, want)
		}
	}
}

func (p paths) Run(ctx context.Context, _ ingest.Sink) error { return p.RunPaths(ctx, p.sinks) }
