package player

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/segmenter"
)

// blocksOf cuts samples as a streamer does.
func blocksOf(t *testing.T, p *ingest.Program, samples []ingest.Sample) (blocks []feed.Block) {
	t.Helper()
	cut := segmenter.New(segmenter.Config{}, func(b segmenter.Block) error {
		var flags feed.Flags
		if b.SegmentFirst {
			flags = feed.SegmentFirst
		}
		blocks = append(blocks, feed.Block{Index: uint64(len(blocks)), Record: feed.Record{Kind: feed.Media, Flags: flags}, Payload: bytes.Clone(b.Payload)})
		return nil
	})
	cut.SetProgram(p)
	for _, s := range samples {
		cut.WriteSample(s)
	}
	if err := cut.Close(); err != nil {
		t.Fatal(err)
	}
	return blocks
}

// render renders blocks as those of one epoch.
func render(t *testing.T, c Container, blocks []feed.Block) ([]byte, *Renderer, error) {
	t.Helper()
	var out bytes.Buffer
	r := NewRenderer(&out, c)
	for k := range blocks {
		if err := r.Block(&blocks[k], feed.EpochID{}, false); err != nil {
			return out.Bytes(), r, err
		}
	}
	return out.Bytes(), r, r.Close()
}

func TestRenderTS(t *testing.T) {
	program, in := clipSamples(t)
	body, r, err := render(t, TS, blocksOf(t, program, in))
	if err != nil || r.Omitted() != "" {
		t.Fatalf("got %v, omitted %q", err, r.Omitted())
	}
	out := scan(body)
	same(t, track(out.samples, program.Tracks[0].ID), track(in, program.Tracks[0].ID))
	continuous(t, body)
	ffmpegLikes(t, "ts", body)
}

// A file is whole: the sound too, up to the end.
func TestRenderMP4(t *testing.T) {
	program, in := clipSamples(t)
	body, _, err := render(t, MP4, blocksOf(t, program, in))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(body, []byte("moof")) - 4
	if at < 0 || !bytes.Equal(body[4:8], []byte("ftyp")) {
		t.Fatalf("it begins with %q, and has no moof", body[:8])
	}
	p := parse(t, body[:at], body)
	if got := p.times[1][0]; got != 0 {
		t.Errorf("the first picture is decoded at tick %d of the file, want 0", got)
	}
	checkVideo(t, p, 1, track(in, program.Tracks[0].ID))
	if got, want := len(p.times[2]), len(track(in, program.Tracks[1].ID)); got < want-1 {
		t.Errorf("got %d frames of sound, want %d", got, want)
	}
	ffmpegLikes(t, "mp4", body)
}

// A rendering that begins in the middle of a segment begins with the next one.
func TestRenderFromTheMiddle(t *testing.T) {
	program, in := clipSamples(t)
	blocks := blocksOf(t, program, in)
	body, _, err := render(t, TS, blocks[1:])
	if err != nil {
		t.Fatal(err)
	}
	got, want := track(scan(body).samples, program.Tracks[0].ID), track(in, program.Tracks[0].ID)
	if len(got) == 0 || len(got) >= len(want) || got[0].Flags&ingest.RandomAccess == 0 {
		t.Errorf("got %d of %d pictures, want some, from a random access point on", len(got), len(want))
	}
}

func TestRenderRefuses(t *testing.T) {
	if _, _, err := render(t, TS, nil); err == nil || !strings.Contains(err.Error(), "nothing in it can be shown") {
		t.Errorf("no blocks: got %v", err)
	}
	text := &ingest.Program{Number: 1, PMTPID: 0x1000, Tracks: []ingest.Track{{ID: 1, PID: 0x101, Codec: ingest.Data, StreamType: 6}}}
	samples := []ingest.Sample{{Track: 1, Flags: ingest.RandomAccess, Data: []byte("text")}}
	var no refusal
	if _, _, err := render(t, MP4, blocksOf(t, text, samples)); !errors.As(err, &no) {
		t.Errorf("text as MP4: got %v, want a refusal", err)
	}
	program, in := clipSamples(t)
	r := NewRenderer(failing{}, TS)
	for _, b := range blocksOf(t, program, in) {
		if err := r.Block(&b, feed.EpochID{}, false); err != nil {
			return
		}
	}
	t.Error("a full disk: got no error")
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }
