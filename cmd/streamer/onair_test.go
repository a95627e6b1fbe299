package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/internal/clip"
	"tailcast/internal/cpu"
	"tailcast/internal/ts"
	"tailcast/segmenter"
)

// units is a Sink that writes down what it gets.
type units []string

func (u *units) SetProgram(p *ingest.Program) {}

func (u *units) WriteSample(s ingest.Sample) {
	*u = append(*u, fmt.Sprintf("%d %d %d %d %x", s.Track, s.Flags, s.PTS, s.DTS, s.Data))
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// channel is what a streamer has before anything is on air.
type channel struct {
	config feed.WriterConfig
	writer *feed.Writer
}

func newChannel(t testing.TB, cfg feed.Config) *channel {
	t.Helper()
	station, err := feed.OpenStation(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { station.Close() })
	replica, err := feed.Open(station.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.Close() })
	c := &channel{config: feed.WriterConfig{Replica: replica, Station: station}}
	if c.writer, err = feed.NewWriter(c.config); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *channel) onAir() *onAir {
	return c.onAirOf(&desk{writer: c.writer, title: "Test"}, mainRendition)
}

// onAirOf is a rendition of a desk.
func (c *channel) onAirOf(d *desk, name string) *onAir {
	return newRendition(input{name: name}, nil, d, nil, quiet()).air
}

// next opens the epoch after those that there are.
func (c *channel) next() (*feed.Writer, error) { return feed.NewWriter(c.config) }

// airClip plays the clip once, as fast as it goes.
func airClip(t testing.TB, sink ingest.Sink) {
	t.Helper()
	f := &mpegts.File{Open: clip.Open, Speed: math.Inf(1)}
	if err := f.Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
}

// TestBlocksGiveTheSameSamples: what is signed, put together again, is what the source delivered.
func TestBlocksGiveTheSameSamples(t *testing.T) {
	var want units
	airClip(t, &want)
	c := newChannel(t, feed.Config{})
	a := c.onAir()
	airClip(t, a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	var got units
	assembler := segmenter.NewAssembler(&got)
	log := a.outlet.out.Log()
	for i := range log.Head().Size {
		b, err := log.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		if err := assembler.Write(b.Payload, b.Record.Flags&feed.SegmentFirst != 0); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d samples, want the same %d as went in", len(got), len(want))
	}
	state, ok := c.writer.Epoch().State()
	if !ok || state.Title != "Test" || state.Renditions[0].Stripes != 8 || !slices.Equal(state.Renditions[0].Codecs, []string{"avc1.4d401e", "mp4a.40.2"}) {
		t.Errorf("catalog says %+v, want the title, h264 and aac, 8 stripes", state)
	}
}

// TestNextEpochBeginsWithASegment: the sink moves to the next epoch where a segment begins, and nothing of the programme is missing,
// neither in the old epoch nor in the new one.
func TestNextEpochBeginsWithASegment(t *testing.T) {
	c := newChannel(t, feed.Config{})
	a := c.onAir()
	airClip(t, a)
	first := a.outlet.out.Log()
	moved := a.outlet.desk.want(c.next)
	airClip(t, a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	second := a.outlet.out.Log()
	if second.Epoch() == first.Epoch() || a.outlet.desk.current().Epoch() != second.Epoch() {
		t.Fatal("still writes the epoch before")
	}
	if s, ok := second.Epoch().State(); !ok || s.Title != "Test" {
		t.Errorf("the catalog of the new epoch says %+v", s)
	}
	var want, got units
	airClip(t, &want)
	assembler := segmenter.NewAssembler(&got)
	for _, l := range []*feed.Log{first, second} {
		for i := range l.Head().Size {
			b, err := l.Block(i)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 && b.Record.Flags&(feed.SegmentFirst|feed.RandomAccess) != feed.SegmentFirst|feed.RandomAccess {
				t.Errorf("record 0 of %s has flags %v: one cannot join there", l.Origin(), b.Record.Flags)
			}
			if err := assembler.Write(b.Payload, b.Record.Flags&feed.SegmentFirst != 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(got, append(want, want...)) {
		t.Errorf("got %d samples in two epochs, want all %d, once each, in order", len(got), 2*len(want))
	}
}

// TestNextEpochBeginsInSilence: nothing comes that could begin a segment, and nothing is lost that came before.
func TestNextEpochBeginsInSilence(t *testing.T) {
	c := newChannel(t, feed.Config{})
	a := c.onAir()
	airClip(t, a)
	next, err := a.outlet.desk.move(t.Context(), c.next)
	if err != nil {
		t.Fatal(err)
	}
	if next == c.writer || next != a.outlet.desk.current() {
		t.Error("move did not return the writer of the new epoch")
	}
	airClip(t, a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := a.outlet.out.Log().Block(0)
	if err != nil || b.Record.Flags&feed.SegmentFirst == 0 {
		t.Errorf("record 0 of the new epoch: got flags %v, error %v; want the first of a segment", b.Record.Flags, err)
	}
}

// TestNextEpochAfterOneThatEnded: what comes between an epoch in which nothing is signed any more and the next is lost; that is no failure
// of the programme, which goes on.
func TestNextEpochAfterOneThatEnded(t *testing.T) {
	c := newChannel(t, feed.Config{})
	a := c.onAir()
	airClip(t, a)
	ended, end := context.WithCancel(t.Context())
	end()
	if err := c.writer.Run(ended); err != nil {
		t.Fatal(err)
	}
	airClip(t, a)
	moved := a.outlet.desk.want(c.next)
	airClip(t, a)
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("got %v at the end of the programme, want nil", err)
	}
	if a.outlet.out.Log().Head().Size == 0 {
		t.Error("nothing is in the next epoch")
	}
}

// TestTitleFitsTheCatalog, whatever a programme calls itself: without a STATE nobody could watch.
func TestTitleFitsTheCatalog(t *testing.T) {
	for _, name := range []string{"", "Évening news", "broken \xff\xfe name", strings.Repeat("ä", 1000)} {
		state := feed.State{Title: fit(name, feed.MaxTitle), Renditions: []feed.Rendition{{Name: mainRendition, Stripes: 1}}}
		if _, err := state.Payload(); err != nil {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// TestShortProgrammeIsAired: one that ends before the probe does.
func TestShortProgrammeIsAired(t *testing.T) {
	c := newChannel(t, feed.Config{})
	a := c.onAir()
	a.SetProgram(&ingest.Program{Number: 1, Tracks: []ingest.Track{{ID: 0, Codec: ingest.MPEGAudio}}})
	a.WriteSample(ingest.Sample{Flags: ingest.RandomAccess, Data: []byte("frame")})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if a.outlet.out == nil || a.outlet.out.Log().Head().Size == 0 {
		t.Error("nothing was signed")
	}
}

// probing is a rendition of pictures, sound and data of which nothing has come yet.
func probing(t *testing.T) *onAir {
	t.Helper()
	a := newChannel(t, feed.Config{}).onAir()
	a.SetProgram(&ingest.Program{Number: 1, Tracks: []ingest.Track{{ID: 0, Codec: ingest.H264}, {ID: 1, Codec: ingest.MPEGAudio}, {ID: 2, Codec: ingest.Data}}})
	return a
}

// TestRateIsOfOneTracksTime: 8 Mbit/s are 16 stripes, though the multiplex has its pictures most of a second before its sound, or after it,
// and whichever comes first; and though the clock of the pictures jumps, or data has a time of its own.
func TestRateIsOfOneTracksTime(t *testing.T) {
	const frame = ingest.ClockRate / 25
	for name, c := range map[string]struct {
		sound int64 // DTS of the first; pictures begin at 900000
		jump  int64 // of the sixth picture
		flags ingest.Flags
		data  int64 // DTS of all data
	}{
		"sound first, pictures ahead": {sound: 900_000 - 80_000, data: 900_000},
		"sound ahead":                 {sound: 900_000 + 80_000, data: 900_000},
		"pictures go back":            {sound: 900_000, jump: -500_000, data: 900_000},
		"pictures go on later":        {sound: 900_000, jump: 500_000, flags: ingest.Discontinuity, data: 900_000},
		"data elsewhere":              {sound: 900_000, data: 5_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			a := probing(t)
			for i := range int64(30) {
				picture := ingest.Sample{DTS: 900_000 + i*frame, Data: make([]byte, 8_000_000/8/25)}
				if i >= 5 {
					picture.DTS += c.jump
				}
				if i == 5 {
					picture.Flags = c.flags
				}
				a.WriteSample(ingest.Sample{Track: 1, DTS: c.sound + i*frame, Data: make([]byte, 100)})
				a.WriteSample(picture)
				a.WriteSample(ingest.Sample{Track: 2, DTS: c.data, Data: []byte{1}})
			}
			if a.cutter == nil || a.state.Stripes != 16 || a.state.Bitrate < 7_500_000 || a.state.Bitrate > 9_000_000 {
				t.Errorf("on air %v with %d bit/s and %d stripes, want about 8 Mbit/s and 16", a.cutter != nil, a.state.Bitrate, a.state.Stripes)
			}
		})
	}
}

// TestAirsWithoutLead: pictures that are listed and do not come hold nothing up for long, nor does what is too much or has no time.
func TestAirsWithoutLead(t *testing.T) {
	a := probing(t)
	for i := range int64(200) {
		a.WriteSample(ingest.Sample{Track: 1, DTS: i * 2160, Data: make([]byte, 1500)})
	}
	if a.cutter == nil || a.state.Stripes != 8 {
		t.Errorf("sound alone is on air %v with %d bit/s, want 500 kbit/s", a.cutter != nil, a.state.Bitrate)
	}
	a = probing(t)
	a.WriteSample(ingest.Sample{Track: 0, Data: make([]byte, 1500)})
	for i := range int64(200) {
		a.WriteSample(ingest.Sample{Track: 1, DTS: i * 2160, Data: make([]byte, 1500)})
	}
	if a.cutter == nil || a.state.Stripes != 8 {
		t.Errorf("sound after one picture is on air %v with %d bit/s, want 500 kbit/s", a.cutter != nil, a.state.Bitrate)
	}
	a = probing(t)
	a.WriteSample(ingest.Sample{Track: 1, Data: make([]byte, probeBytes)})
	if a.cutter == nil {
		t.Error("what is large without any time is held still")
	}
	a = probing(t)
	for range probeSamples {
		a.WriteSample(ingest.Sample{Track: 2})
	}
	if a.cutter == nil {
		t.Error("samples without time or bytes are held still")
	}
}

// TestSizeOutOfRangeIsNotSaid: pictures that claim more than the catalog takes go on air without a size.
func TestSizeOutOfRangeIsNotSaid(t *testing.T) {
	a := probing(t)
	for _, size := range [][2]int{{70_000, 16}, {1920, -1}, {65535, 16}} {
		a.program.Tracks[0].Width, a.program.Tracks[0].Height = size[0], size[1]
		a.describe()
		if got := [2]int{a.state.Width, a.state.Height}; got != [2]int{} && got != [2]int{65535, 16} || (size[0] == 65535) != (got[0] > 0) {
			t.Errorf("of %v the catalog would say %v", size, got)
		}
	}
}

// TestFailedStartHoldsNothing: what cannot go on air is not kept, and is tried again.
func TestFailedStartHoldsNothing(t *testing.T) {
	a := probing(t)
	name := a.outlet.name
	a.outlet.name = "no name of a log"
	for i := range int64(100) {
		if i == 80 {
			a.outlet.name = name
		}
		a.WriteSample(ingest.Sample{Track: 0, DTS: i * 3600, Data: make([]byte, 1000)})
		if len(a.held) > 14 {
			t.Fatalf("%d samples are held, want those of half a second", len(a.held))
		}
	}
	if a.cutter == nil {
		t.Error("is not on air, though nothing is wrong any more")
	}
}

// TestRefusedNoticeIsTriedAgain: it counts as said only once the catalog has taken it.
func TestRefusedNoticeIsTriedAgain(t *testing.T) {
	a := probing(t)
	for i := range int64(20) {
		a.WriteSample(ingest.Sample{Track: 0, DTS: i * 3600, Data: make([]byte, 1000)})
	}
	name := a.state.Name
	a.state.Name = "no name of a log"
	a.announce(true)
	if a.state.Name = name; a.said.state.Name != name || !a.behind {
		t.Error("what was refused counts as said")
	}
	if a.announce(true); a.behind {
		t.Error("is behind still, with nothing to say")
	}
}

// TestIngestAllocates: from bytes of TS to signed blocks, three allocations a picture at most besides the blocks' own memory.
func TestIngestAllocates(t *testing.T) {
	c := newChannel(t, feed.Config{})
	a := c.onAir()
	scanner := ts.NewScanner(ts.Config{Sink: a})
	data, pictures := synthetic(t, 4*time.Second, 6e6), 100.0
	air := func() {
		_, _ = scanner.Write(data)
		scanner.Rewind()
	}
	air()
	before, runs := a.outlet.out.Log().Head().Size, 0
	all := testing.AllocsPerRun(5, func() { runs++; air() })
	blocks := float64(a.outlet.out.Log().Head().Size-before) / float64(runs)
	if more := (all - blocks) / pictures; more > 3 {
		t.Errorf("%.2f allocations a picture besides %.2f blocks, want 3 at most", more, blocks/pictures)
	}
}

// BenchmarkIngest measures TS bytes to signed blocks, in MB per CPU-second, at the bit rate of the built-in clip and at that
// of an HD channel: signing costs the same for a small block as for a large one. With and without a disk beneath.
func BenchmarkIngest(b *testing.B) {
	hd := synthetic(b, 4*time.Second, 6e6)
	b.Run("clip", func(b *testing.B) { benchmarkIngest(b, clip.Bytes(), feed.Config{Dir: b.TempDir()}) })
	b.Run("6Mbit", func(b *testing.B) { benchmarkIngest(b, hd, feed.Config{Dir: b.TempDir()}) })
	b.Run("memory6Mbit", func(b *testing.B) { benchmarkIngest(b, hd, feed.Config{}) })
}

func benchmarkIngest(b *testing.B, data []byte, cfg feed.Config) {
	c := newChannel(b, cfg)
	a := c.onAir()
	scanner := ts.NewScanner(ts.Config{Sink: a})
	begin := cpu.Used()
	for b.Loop() {
		_, _ = scanner.Write(data)
		scanner.Rewind()
		if err := c.config.Replica.Sync(context.Background()); err != nil { // or we would outrun the disk
			b.Fatal(err)
		}
	}
	used := cpu.Used() - begin
	b.ReportMetric(float64(len(data))*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
	block := used.Seconds() / float64(a.outlet.out.Log().Head().Size)
	b.ReportMetric(block*1e6, "cpu-us/block")
	b.ReportMetric(block/cryptoFloor().Seconds(), "x-crypto") // its signature and hash: a ratio that travels between machines
}

// synthetic is a TS of H.264 that has the shape of video at so many bit/s, 25 pictures a second, one in 25 a key frame five times
// as large as the others.
func synthetic(b testing.TB, length time.Duration, rate float64) []byte {
	b.Helper()
	var out bytes.Buffer
	m := ts.NewMuxer(&out)
	track := ingest.Track{Codec: ingest.H264, PID: 256, StreamType: 0x1b, StreamID: 0xe0}
	if err := m.SetProgram(&ingest.Program{Number: 1, PMTPID: 4096, PCRPID: 256, Tracks: []ingest.Track{track}}); err != nil {
		b.Fatal(err)
	}
	size := int(rate / 8 / 25 * 25 / 29)
	for i := range int64(length.Seconds() * 25) {
		s := ingest.Sample{PTS: i * 3600, DTS: i * 3600, Data: picture(i%25 == 0, size)}
		if i%25 == 0 {
			s.Flags = ingest.RandomAccess
		}
		if err := m.WriteSample(s); err != nil {
			b.Fatal(err)
		}
	}
	return out.Bytes()
}

// picture is an access unit delimiter and one slice without start codes in it.
func picture(key bool, size int) []byte {
	kind := byte(0x41)
	if key {
		kind, size = 0x65, 5*size
	}
	p := append([]byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, kind}, make([]byte, size)...)
	for i := range p[11:] {
		p[11+i] = byte(i*i>>3) | 0x80
	}
	return p
}
