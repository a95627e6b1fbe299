package ts

import (
	"bytes"
	"slices"
	"testing"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/clip/cliptest"
)

// checker is a Sink that fails the test when the Scanner breaks a promise.
type checker struct {
	t       *testing.T
	program *ingest.Program
	bytes   map[uint16][]byte // of all samples, by PID
	skipped uint64            // bytes outside packets
}

func (c *checker) SetProgram(p *ingest.Program) {
	c.program = p
	ids := make(map[uint8]bool)
	for _, t := range p.Tracks {
		if ids[t.ID] || t.ID >= ingest.MaxTracks {
			c.t.Fatalf("track %d twice, or too large", t.ID)
		}
		ids[t.ID] = true
	}
}

func (c *checker) WriteSample(s ingest.Sample) {
	if c.program == nil {
		c.t.Fatal("a sample came before a program")
	}
	if s.PTS < s.DTS {
		c.t.Fatalf("PTS %d is before DTS %d", s.PTS, s.DTS)
	}
	for _, t := range c.program.Tracks {
		if t.ID == s.Track {
			c.bytes[t.PID] = append(c.bytes[t.PID], s.Data...)
			return
		}
	}
	c.t.Fatalf("a sample is of track %d, which the program does not have", s.Track)
}

// seeds are small streams with something of everything.
func seeds() [][]byte {
	in := clip.Bytes()
	b := television()
	b.second(0)
	var zoo build
	zoo.sdt(1, "Zoo")
	zoo.pat(0, 1, 0x100)
	zoo.pmt(0x100, 1, 0, 0x101, nil, es(typeMPEG2Video, 0x101), es(typeH265, 0x103), es(typeSCTE35, 0x104), es(typeAC3, 0x105),
		es(typeEAC3, 0x106), es(typeLATM, 0x107), es(typeMPEG1Audio, 0x108), es(typePrivatePES, 0x109, 5, 4, 'O', 'p', 'u', 's'))
	zoo.unit(0x101, nil, pes(idVideo, 0, 0, false, append([]byte{0, 0, 1, 0xb3, 0x14, 0x00, 0xb4, 0x13, 0, 0, 1, 0xb5, 0x14, 0, 0, 1, 0}, make([]byte, 200)...)))
	zoo.unit(0x103, nil, pes(idVideo, 0, 0, false, []byte{0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x4e, 1, 6, 1, 0x80, 0x80, 0, 0, 1, 0x26, 1, 0xaf}))
	zoo.sections(0x104, section(0xfc, bytes.Repeat([]byte{1}, 30)))
	zoo.unit(0x105, nil, pes(idPrivate1, 0, 0, true, append([]byte{0x0b, 0x77, 0, 0, 0x10, 0x40, 0x43, 0}, make([]byte, 312)...)))
	zoo.unit(0x106, nil, pes(idPrivate1, 0, 0, true, append([]byte{0x0b, 0x77, 0, 0x31, 0x3f, 0x85, 0, 0}, make([]byte, 92)...)))
	zoo.unit(0x107, nil, pes(idAudio, 0, 0, true, append([]byte{0x56, 0xe0, 0x14, 0x20, 0, 0x11, 0x90, 0xff}, make([]byte, 16)...)))
	zoo.unit(0x108, nil, pes(idAudio, 0, 0, true, layer2()))
	zoo.unit(0x109, nil, pes(idPrivate1, 0, 0, true, []byte{0x7f, 0xe0, 3, 0xfc, 1, 2}))
	return [][]byte{in[:188*40], in[188*100 : 188*130], b.Bytes()[:188*30], zoo.Bytes()}
}

// TestClips: the seeds are what they are called.
func TestClips(t *testing.T) {
	want := map[string][]ingest.Codec{
		"h264-aac.ts":      {ingest.H264, ingest.AAC},
		"h264-aac-latm.ts": {ingest.H264, ingest.AACLATM},
		"h264-eac3.ts":     {ingest.H264, ingest.EAC3},
		"hevc-ac3.ts":      {ingest.H265, ingest.AC3},
		"mpeg2-mp2.ts":     {ingest.MPEG2Video, ingest.MPEGAudio},
		"opus-m2ts.ts":     {ingest.H264, ingest.Opus},
	}
	for name, in := range cliptest.TS(t) {
		r, stats := scanAll(in)
		codecs := []ingest.Codec{}
		for _, track := range r.program(t).Tracks {
			codecs = append(codecs, track.Codec)
		}
		pictures, sound := r.of(256), r.of(257)
		if name == "opus-m2ts.ts" {
			pictures, sound = r.of(4113), r.of(4352)
		}
		if !slices.Equal(codecs, want[name]) || len(pictures) != 10 || len(sound) < 12 || stats.DamagedSamples.Load() != 0 {
			t.Errorf("%s: got %v, %d pictures, %d frames of sound, %d damaged", name, codecs, len(pictures), len(sound), stats.DamagedSamples.Load())
		}
	}
}

// FuzzScanner: no stream makes it panic, break its promises, or depend on how it is cut into portions.
func FuzzScanner(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, uint16(188), false)
	}
	f.Add(append([]byte{0, 0, 0, 0}, seeds()[3]...), uint16(77), true)
	for _, c := range cliptest.TS(f) {
		f.Add(c, uint16(1316), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, portion uint16, idle bool) {
		run := func(portion int, idle bool) *checker {
			c := &checker{t: t, bytes: make(map[uint16][]byte)}
			s := NewScanner(Config{Sink: c})
			for p := in; len(p) > 0; {
				n := min(len(p), portion)
				s.Write(p[:n])
				p = p[n:]
				if idle {
					s.Idle()
				}
				if s.held < 0 || s.held > maxHeld || len(s.sync.rest) > 2*lookahead {
					t.Fatalf("holding %d bytes and %d", s.held, len(s.sync.rest))
				}
			}
			s.Rewind()
			_ = s.Diagnose()
			c.skipped = s.sync.skipped
			if s.held != 0 {
				t.Fatalf("holding %d bytes after the end", s.held)
			}
			return c
		}
		whole, parts := run(len(in)+1, false), run(int(portion)%1500+1, false)
		for pid, b := range whole.bytes {
			// Where packets are torn it matters whether the next one is there already to show it.
			if whole.skipped == 0 && !bytes.Equal(b, parts.bytes[pid]) {
				t.Fatalf("PID %d: %d bytes in one portion, %d in many", pid, len(b), len(parts.bytes[pid]))
			}
		}
		run(int(portion)%1500+1, idle)
	})
}

// FuzzMuxRoundTrip: whatever samples go through Muxer and Scanner come out the same.
func FuzzMuxRoundTrip(f *testing.F) {
	f.Add([]byte("some pictures, some sound, some of a private kind, in turns and of any length"))
	f.Add(bytes.Repeat([]byte{0, 1, 2, 3, 200, 184, 170, 9}, 20))
	f.Add([]byte{0, 255, 255, 255, 0, 1, 2, 3, 4, 3, 0, 0, 0, 1, 128})
	f.Fuzz(func(t *testing.T, in []byte) {
		p := program(
			ingest.Track{Codec: ingest.H264, StreamType: typeH264, StreamID: idVideo},
			ingest.Track{Codec: ingest.AAC, StreamType: typeAAC, StreamID: idAudio},
			ingest.Track{Codec: ingest.Data, StreamType: typePrivatePES, StreamID: idPrivate1},
			ingest.Track{Codec: ingest.Data, StreamType: typePrivateSections, Sections: true},
		)
		samples := invent(in)
		if len(samples) == 0 {
			return
		}
		r, stats := scan(mux(t, p, samples), 1000, Config{})
		base := originOf(r, samples)
		for _, track := range p.Tracks {
			var want []ingest.Sample
			for _, s := range samples {
				if s.Track == track.ID {
					want = append(want, s)
				}
			}
			got := r.of(track.PID)
			if len(got) != len(want) {
				t.Fatalf("track %d: got %d samples, want %d", track.ID, len(got), len(want))
			}
			for i, w := range want {
				w.PTS, w.DTS = w.PTS-base, w.DTS-base
				if track.Sections { // have no times of their own
					w.PTS, w.DTS = got[i].PTS, got[i].DTS
				}
				if g := got[i]; !bytes.Equal(g.Data, w.Data) || g.PTS != w.PTS || g.DTS != w.DTS {
					t.Fatalf("track %d, sample %d: got %d bytes, PTS %d, DTS %d, want %d, %d, %d", track.ID, i, len(g.Data), g.PTS, g.DTS, len(w.Data), w.PTS, w.DTS)
				}
			}
		}
		if n := stats.LostPackets.Load() + stats.SkippedBytes.Load() + stats.DamagedSamples.Load(); n > 0 {
			t.Fatalf("got %d packets lost, bytes skipped or samples damaged", n)
		}
	})
}

// originOf is by how many times 2^33 ticks the Scanner began earlier than the samples: where they wrap, it cannot know.
func originOf(r *recorder, samples []ingest.Sample) int64 {
	for _, w := range samples {
		if got := r.of(0x100 + uint16(w.Track)); w.Track != 3 && len(got) > 0 {
			return (w.DTS - got[0].DTS) &^ timeMask
		}
	}
	return 0
}

// invent makes well-formed samples, five bytes each: track and key, time, offset of the PTS, size (2).
func invent(in []byte) (samples []ingest.Sample) {
	dts := int64(1<<33 - 100000) // about to wrap
	for ; len(in) >= 5 && len(samples) < 300; in = in[5:] {
		dts += int64(in[1]) * 100
		s := ingest.Sample{Track: in[0] & 3, PTS: dts, DTS: dts}
		n := int(in[3])<<4 | int(in[4])
		switch s.Track {
		case 0:
			s.PTS += int64(in[2]) * 100
			if s.Data = slice(n * 20); in[0]&4 != 0 {
				s.Data = idr(n)
			}
		case 1:
			s.Data = aac(7 + n)
		case 2:
			s.Data = bytes.Repeat(in[:1], n)
		case 3:
			s.Data = section(0x80|in[2]&0x3f, make([]byte, min(n, 4000)))
		}
		samples = append(samples, s)
	}
	return samples
}
