package player

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"tailcast/ingest"
)

// bench is a pipeline without a feed: samples go in as blocks of some, streams come out of the outlets.
type bench struct {
	*pipeline
	server  *Server
	ts, mp4 *outlet
}

func newBench() *bench { return newBenchOf(Config{}) }

func newBenchOf(cfg Config) *bench {
	s := New(cfg)
	return &bench{pipeline: s.newPipeline(), server: s, ts: s.ts, mp4: s.mp4}
}

// feed delivers samples in blocks of four.
func (b *bench) feed(samples []ingest.Sample) {
	for block := range slices.Chunk(samples, 4) {
		for _, s := range block {
			if s.Flags&ingest.RandomAccess != 0 {
				b.segmentFirst()
			}
			b.WriteSample(s)
		}
		for _, f := range b.formats {
			f.endOfBlock()
		}
	}
}

func (b *bench) segmentFirst() {
	for _, f := range b.formats {
		f.segmentFirst()
	}
}

// all is every byte of the outlet's stream, as a client that was there from the beginning has them.
func all(t *testing.T, o *outlet) (s *stream, body []byte) {
	t.Helper()
	s, err := o.wait(t.Context())
	if err != nil {
		t.Fatalf("no stream: %v", err)
	}
	body = bytes.Clone(s.header)
	for _, c := range s.chunks {
		body = append(body, c.data...)
	}
	return s, body
}

// parsed is an fMP4 file taken apart: per track ID its samples with absolute times, in ticks of the track's scale.
type parsed struct {
	init  fmp4.Init
	parts fmp4.Parts
	times map[int][]int64 // DTS
	shown map[int][]int64 // PTS
	data  map[int][][]byte
	sync  map[int][]bool
}

func parse(t *testing.T, header, body []byte) parsed {
	t.Helper()
	p := parsed{times: map[int][]int64{}, shown: map[int][]int64{}, data: map[int][][]byte{}, sync: map[int][]bool{}}
	if err := p.init.Unmarshal(bytes.NewReader(header)); err != nil {
		t.Fatalf("init: %v", err)
	}
	if err := p.parts.Unmarshal(body[len(header):]); err != nil {
		t.Fatalf("parts: %v", err)
	}
	for _, part := range p.parts {
		for _, tr := range part.Tracks {
			at := int64(tr.BaseTime)
			for _, s := range tr.Samples {
				p.times[tr.ID] = append(p.times[tr.ID], at)
				p.shown[tr.ID] = append(p.shown[tr.ID], at+int64(s.PTSOffset))
				p.data[tr.ID] = append(p.data[tr.ID], s.Payload)
				p.sync[tr.ID] = append(p.sync[tr.ID], !s.IsNonSyncSample)
				at += int64(s.Duration)
			}
		}
	}
	return p
}

func TestMP4HoldsTheSamples(t *testing.T) {
	in := synthetic(3, 123456789)
	b := newBench()
	b.SetProgram(syntheticProgram())
	b.feed(in)
	s, body := all(t, b.mp4)
	if want := `video/mp4; codecs="avc1.4d401e,mp4a.40.2"`; s.contentType != want {
		t.Errorf("content type %s, want %s", s.contentType, want)
	}
	if want := "data (deu)"; s.omitted != want {
		t.Errorf("omitted %q, want %q", s.omitted, want)
	}
	p := parse(t, s.header, body)
	checkVideo(t, p, 1, track(in, picture))
	checkAudio(t, p, 2, track(in, sound))
}

// TestMP4EndsWithItsSound: what sounds after the last picture is in the file, when it ends and when another begins.
func TestMP4EndsWithItsSound(t *testing.T) {
	in := synthetic(3, 0)
	for len(in) > 0 && in[len(in)-1].Track != sound {
		in = in[:len(in)-1]
	}
	for name, end := range map[string]func(*bench){
		"an end":          func(b *bench) { b.close() },
		"another program": func(b *bench) { b.SetProgram(syntheticProgram()) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			b.SetProgram(syntheticProgram())
			b.feed(in)
			s, before := all(t, b.mp4)
			end(b)
			body := bytes.Clone(s.header)
			for _, c := range s.chunks {
				body = append(body, c.data...)
			}
			if len(body) == len(before) {
				t.Fatal("no sound waited: this tests nothing")
			}
			p, want := parse(t, s.header, body), track(in, sound)
			if last := p.data[2][len(p.data[2])-1]; !bytes.Equal(last, want[len(want)-1].Data[7:]) {
				t.Errorf("the last sound is missing: %d of %d are there", len(p.data[2]), len(want))
			}
		})
	}
}

// checkVideo compares units, times and random access.
func checkVideo(t *testing.T, p parsed, id int, want []ingest.Sample) {
	t.Helper()
	if got := len(p.times[id]); got != len(want) {
		t.Fatalf("got %d pictures, want %d", got, len(want))
	}
	for i, w := range want {
		var units h264.AnnexB
		if err := units.Unmarshal(w.Data); err != nil {
			t.Fatal(err)
		}
		got, err := fmp4.Sample{Payload: p.data[id][i]}.GetH264()
		if err != nil || !slices.EqualFunc(got, units, bytes.Equal) {
			t.Fatalf("picture %d: units differ (%v)", i, err)
		}
		if got, want := p.times[id][i]-p.times[id][0], w.DTS-want[0].DTS; got != want {
			t.Fatalf("picture %d: DTS %d after the first, want %d", i, got, want)
		}
		if got, want := p.shown[id][i]-p.times[id][i], w.PTS-w.DTS; got != want {
			t.Fatalf("picture %d: PTS %d after DTS, want %d", i, got, want)
		}
		if got, want := p.sync[id][i], w.Flags&ingest.RandomAccess != 0; got != want {
			t.Fatalf("picture %d: random access %v, want %v", i, got, want)
		}
	}
}

// checkAudio compares frames and times, also against the pictures. Sound from before the first picture is left out.
func checkAudio(t *testing.T, p parsed, id int, want []ingest.Sample) {
	t.Helper()
	for len(want) > 0 && !bytes.Equal(want[0].Data[7:], p.data[id][0]) {
		want = want[1:]
	}
	if got := len(p.times[id]); got < len(want)-6 || got > len(want) { // some wait for the next picture
		t.Fatalf("got %d frames, want %d", got, len(want))
	}
	for i, at := range p.times[id] {
		if !bytes.Equal(p.data[id][i], want[i].Data[7:]) {
			t.Fatalf("frame %d differs", i)
		}
		if got := at - p.times[id][0]; got != int64(i)*1024 {
			t.Fatalf("frame %d: %d samples after the first, want %d", i, got, i*1024)
		}
	}
}

func TestMP4SoundKeepsItsOffset(t *testing.T) {
	for _, offset := range []int64{0, 1, 7, 1919, -500, 3600 * 4} {
		in := synthetic(2, 0)
		for i := range in {
			if in[i].Track == sound {
				in[i].DTS += offset
				in[i].PTS += offset
			}
		}
		b := newBench()
		b.SetProgram(syntheticProgram())
		b.feed(in)
		s, body := all(t, b.mp4)
		p := parse(t, s.header, body)
		first := track(in, sound)
		for len(first) > 0 && !bytes.Equal(first[0].Data[7:], p.data[2][0]) {
			first = first[1:]
		}
		want := float64(first[0].PTS-in[0].DTS) / 90000
		got := float64(p.times[2][0])/48000 - float64(p.times[1][0])/90000
		if d := got - want; d > 1e-5 || d < -1e-5 {
			t.Errorf("offset %d: sound is %.6f s from the picture, want %.6f", offset, got, want)
		}
	}
}

func TestMP4StartsAreStarts(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(3, 0))
	s, _ := all(t, b.mp4)
	starts := 0
	for i, c := range s.chunks {
		var parts fmp4.Parts
		if err := parts.Unmarshal(c.data); err != nil {
			t.Fatalf("chunk %d is not whole parts: %v", i, err)
		}
		first := parts[0].Tracks[0]
		if sync := first.ID == 1 && !first.Samples[0].IsNonSyncSample; sync != c.start {
			t.Errorf("chunk %d: start %v, begins with a random access point %v", i, c.start, sync)
		}
		if c.start {
			starts++
		}
	}
	if starts != 8 {
		t.Errorf("got %d starts, want 8", starts)
	}
}

func TestMP4NewResolutionIsAnotherStream(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	in := synthetic(4, 0)
	for i := range in {
		if in[i].Track == picture && in[i].DTS >= 2*90000 {
			in[i].Data = bytes.Replace(in[i].Data, sps480, sps720, 1)
		}
	}
	half := slices.IndexFunc(in, func(s ingest.Sample) bool { return s.DTS >= 2*90000 })
	b.feed(in[:half])
	first, body := all(t, b.mp4)
	before := parse(t, first.header, body)
	b.feed(in[half:])
	second, body := all(t, b.mp4)
	if first == second || !first.ended {
		t.Fatal("the stream goes on though the resolution has changed")
	}
	if !strings.Contains(second.contentType, "avc1.64001f") {
		t.Errorf("content type %s", second.contentType)
	}
	after := parse(t, second.header, body)
	last := before.times[1][len(before.times[1])-1]
	if d := after.times[1][0] - last; d < 3600 || d > 3600*10 {
		t.Errorf("the second stream begins %d ticks after the first ends", d)
	}
}

func TestMP4NewEpochOfTheSameEncoderGoesOn(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(2, 5_000_000))
	first, _ := all(t, b.mp4)
	b.time.reset()
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(2, 100))
	second, body := all(t, b.mp4)
	if first != second {
		t.Fatal("another stream though nothing changed")
	}
	p := parse(t, first.header, body)
	if got := len(p.times[1]); got != 100 {
		t.Errorf("got %d pictures, want 100", got)
	}
	for i := 1; i < len(p.times[1]); i++ {
		if d := p.times[1][i] - p.times[1][i-1]; d < 3600 || d > 5600 {
			t.Errorf("picture %d is %d ticks after the one before", i, d)
		}
	}
}

func TestMP4WaitsForParameters(t *testing.T) {
	in := synthetic(3, 0)
	silent := slices.DeleteFunc(slices.Clone(in), func(s ingest.Sample) bool { return s.Track == sound && s.DTS < 30000 })
	unknown := func() *ingest.Program {
		p := syntheticProgram()
		p.Tracks[sound].Config = nil
		return p
	}
	b := newBench()
	b.SetProgram(unknown())
	b.feed(silent)
	s, body := all(t, b.mp4)
	p := parse(t, s.header, body)
	if len(p.init.Tracks) != 2 {
		t.Errorf("got %d tracks, want the sound too", len(p.init.Tracks))
	}
	if len(p.times[1]) != 75 {
		t.Errorf("got %d pictures, want all 75: they wait for the sound to show what it is", len(p.times[1]))
	}

	mute := slices.DeleteFunc(slices.Clone(in), func(s ingest.Sample) bool { return s.Track == sound })
	b = newBench()
	b.SetProgram(unknown())
	b.feed(mute)
	s, _ = all(t, b.mp4)
	if want := "aac (eng), data (deu)"; s.omitted != want {
		t.Errorf("omitted %q, want %q", s.omitted, want)
	}
	s, body = all(t, b.mp4)
	if n := len(parse(t, s.header, body).times[1]); n != 75 {
		t.Errorf("got %d pictures, want all 75", n)
	}
}

func TestMP4RefusesWhatItCannotCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		p := syntheticProgram()
		p.Tracks = p.Tracks[2:]
		b.SetProgram(p)
		_, err := b.mp4.wait(t.Context())
		if want := "fMP4 cannot carry data (deu); ask for /live.ts instead"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	})
}

func TestMP4SoundOnly(t *testing.T) {
	b := newBench()
	program := syntheticProgram()
	program.Tracks = program.Tracks[1:2]
	b.SetProgram(program)
	in := track(synthetic(3, 777), sound)
	for i, s := range in {
		if i%47 == 0 {
			b.segmentFirst()
		}
		b.WriteSample(s)
		if i%9 == 8 {
			for _, f := range b.formats {
				f.endOfBlock()
			}
		}
	}
	s, body := all(t, b.mp4)
	if want := `audio/mp4; codecs="mp4a.40.2"`; s.contentType != want {
		t.Errorf("content type %s, want %s", s.contentType, want)
	}
	p := parse(t, s.header, body)
	checkAudio(t, p, 1, in)
	for i, part := range p.parts {
		if n := len(part.Tracks[0].Samples); n > 9 {
			t.Errorf("part %d holds %d frames, more than a block", i, n)
		}
	}
	starts := 0
	for _, c := range s.chunks {
		if c.start {
			starts++
		}
	}
	if starts != 3 && starts != 4 {
		t.Errorf("got %d starts, want one a segment", starts)
	}
}

func TestRescale(t *testing.T) {
	for _, c := range []struct{ ticks, clock, want int64 }{
		{0, 48000, 0},
		{90000, 48000, 48000},
		{1920, 48000, 1024},
		{-1920, 48000, -1024},
		{1, 44100, 0},
		{-1, 44100, 0},
		{2090, 44100, 1024},
		{-90001, 90000, -90001},
	} {
		if got := rescale(c.ticks, c.clock); got != c.want {
			t.Errorf("rescale(%d, %d) = %d, want %d", c.ticks, c.clock, got, c.want)
		}
	}
}

// TestMP4TrackOfAnotherNumber: the same sound under another ID, as a source that was plugged in again may number it.
func TestMP4TrackOfAnotherNumber(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	in := synthetic(4, 0)
	half := slices.IndexFunc(in, func(s ingest.Sample) bool { return s.DTS >= 2*90000 })
	b.feed(in[:half])
	first, _ := all(t, b.mp4)
	p := syntheticProgram()
	p.Tracks[sound].ID = 7
	b.SetProgram(p)
	for i := range in[half:] {
		if s := &in[half+i]; s.Track == sound {
			s.Track = 7
		}
	}
	b.feed(in[half:])
	second, body := all(t, b.mp4)
	if first != second {
		t.Error("another stream though the file is the same")
	}
	got := parse(t, first.header, body)
	if end := got.times[2][len(got.times[2])-1]; end < 4*48000 {
		t.Errorf("the sound ends at %.1f s", float64(end)/48000)
	}
}
