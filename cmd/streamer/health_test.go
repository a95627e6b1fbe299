package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/node"
)

// fed is a health that has seen seconds of 25 pictures a second of 10,000 bytes, with a keyframe each gop seconds, and sound.
func fed(p *ingest.Program, seconds, gop int) *health {
	now := time.Unix(1_800_000_000, 0)
	h := newHealth(&recorder{})
	h.now = func() time.Time { return now }
	h.SetProgram(p)
	for i := range seconds * 25 {
		s := ingest.Sample{Track: 1, DTS: int64(i) * 3600, Data: make([]byte, 10_000)}
		if i%(gop*25) == 0 {
			s.Flags = ingest.RandomAccess
		}
		h.WriteSample(s)
		h.WriteSample(ingest.Sample{Track: 2, DTS: s.DTS, Data: make([]byte, 500)})
		now = now.Add(40 * time.Millisecond)
	}
	return h
}

// recorder counts what comes through.
type recorder struct{ programs, samples int }

func (r *recorder) SetProgram(*ingest.Program)  { r.programs++ }
func (r *recorder) WriteSample(_ ingest.Sample) { r.samples++ }

func programOf(video, sound ingest.Codec) *ingest.Program {
	return &ingest.Program{Tracks: []ingest.Track{
		{ID: 1, Codec: video, Width: 1280, Height: 720}, {ID: 2, Codec: sound, SampleRate: 48000, Language: "eng"},
	}}
}

func warned(h *health, i *node.Ingest) (ids []string) {
	h.report(i, byUDP)
	for _, w := range i.Warnings {
		ids = append(ids, w.ID)
	}
	return ids
}

func TestHealthMeasures(t *testing.T) {
	h := fed(programOf(ingest.H264, ingest.AAC), 30, 1)
	var i node.Ingest
	if ids := warned(h, &i); len(ids) != 0 {
		t.Errorf("warns of %v though all is well", ids)
	}
	if math.Abs(i.Bitrate-25*10_500*8) > 1 || i.FPS != 25 || i.Keyframe != 1 {
		t.Errorf("got %.0f bit/s, %v pictures a second, a keyframe each %v s; want 2100000, 25, 1", i.Bitrate, i.FPS, i.Keyframe)
	}
	if !slices.Equal(i.Tracks, []string{"H.264 1280×720", "AAC 48 kHz (eng)"}) {
		t.Errorf("tracks %q", i.Tracks)
	}
	if got := h.next.(*recorder); got.programs != 1 || got.samples != 1500 {
		t.Errorf("%d programs and %d samples went on, want 1 and 1500", got.programs, got.samples)
	}
	h.now = func() time.Time { return time.Unix(1_800_000_000+3600, 0) }
	if warned(h, &i); i.Bitrate != 0 || i.FPS != 0 {
		t.Errorf("an hour later: %v bit/s, %v pictures a second, want 0", i.Bitrate, i.FPS)
	}
}

// TestHealthMeasuresFromTheStart: the rates are known once a second is over, not after ten.
func TestHealthMeasuresFromTheStart(t *testing.T) {
	var i node.Ingest
	for _, seconds := range []int{1, 2, 5, 9} {
		warned(fed(programOf(ingest.H264, ingest.AAC), seconds, 1), &i)
		if math.Abs(i.Bitrate-25*10_500*8) > 1 || i.FPS != 25 {
			t.Errorf("after %d s: %.0f bit/s, %v pictures a second; want 2100000, 25", seconds, i.Bitrate, i.FPS)
		}
	}
}

func TestHealthWarns(t *testing.T) {
	for name, c := range map[string]struct {
		video, sound ingest.Codec
		gop          int
		lost         uint64
		want         []string
		text         string
	}{
		"long gop":             {ingest.H264, ingest.AAC, 10, 0, []string{"gop"}, "up to 10.0 s apart"},
		"two seconds are well": {ingest.H264, ingest.AAC, 2, 0, nil, ""},
		"hevc":                 {ingest.H265, ingest.AAC, 1, 0, []string{"codec"}, "H.265 (HEVC) is not played by most browsers"},
		"mpeg-2, ac-3":         {ingest.MPEG2Video, ingest.AC3, 1, 0, []string{"codec", "sound"}, "MPEG-2 video is not played"},
		"mp3":                  {ingest.H264, ingest.MPEGAudio, 1, 0, []string{"sound"}, "MPEG audio sound is not played"},
		"loss":                 {ingest.H264, ingest.AAC, 1, 7, []string{"loss"}, "7 packets so far"},
	} {
		i := node.Ingest{IngestCounts: node.IngestCounts{LostPackets: c.lost}}
		if ids := warned(fed(programOf(c.video, c.sound), 30, c.gop), &i); !slices.Equal(ids, c.want) {
			t.Errorf("%s: warns of %v, want %v", name, ids, c.want)
		}
		for _, w := range i.Warnings[:min(1, len(i.Warnings))] {
			if !strings.Contains(w.What, c.text) || w.Todo == "" {
				t.Errorf("%s: says %+v, want %q in it", name, w, c.text)
			}
		}
	}
}

// TestHealthAfterAJump: when the encoder's clock jumps, also within a group of pictures and also back, that is no long group.
func TestHealthAfterAJump(t *testing.T) {
	for name, jump := range map[string]int64{"an hour on": 3600, "an hour back": -3600} {
		for _, at := range []int{125, 135} { // a keyframe, and a picture between two of them
			h := fed(programOf(ingest.H264, ingest.AAC), 5, 1)
			now := h.now()
			h.now = func() time.Time { return now }
			for i := 125; i < 375; i++ {
				s := ingest.Sample{Track: 1, DTS: int64(i) * 3600}
				if i >= at {
					s.DTS += jump * ingest.ClockRate
				}
				if i == at {
					s.Flags |= ingest.Discontinuity
				}
				if i%25 == 0 {
					s.Flags |= ingest.RandomAccess
				}
				h.WriteSample(s)
				now = now.Add(40 * time.Millisecond)
				var said node.Ingest
				if slices.Contains(warned(h, &said), "gop") || said.Keyframe > 1 {
					t.Fatalf("%s at picture %d: a keyframe each %v s, warns %v", name, at, said.Keyframe, said.Warnings)
				}
			}
			if got := h.keyframe(); got != 1 {
				t.Errorf("%s at picture %d: a keyframe each %v s, want 1", name, at, got)
			}
		}
	}
}

// A loss is spoken of for a while, and then no more.
func TestHealthForgetsLoss(t *testing.T) {
	h := fed(programOf(ingest.H264, ingest.AAC), 5, 1)
	i := node.Ingest{IngestCounts: node.IngestCounts{LostPackets: 3}}
	if ids := warned(h, &i); !slices.Equal(ids, []string{"loss"}) {
		t.Fatalf("warns of %v", ids)
	}
	now := h.now().Add(newTrouble + time.Second)
	h.now = func() time.Time { return now }
	if ids := warned(h, &i); len(ids) != 0 {
		t.Errorf("warns of %v long after", ids)
	}
}

// TestLossIsToldByWhatItComesBy: whatever is lost is told of, and what helps is of the protocol by which it was lost.
func TestLossIsToldByWhatItComesBy(t *testing.T) {
	for by, c := range map[string]struct {
		lose       func(*ingest.Stats)
		what, todo string
	}{
		"SRT":     {func(s *ingest.Stats) { s.LostDatagrams.Store(3) }, "3 datagrams of SRT so far", "--srt-latency"},
		"HLS":     {func(s *ingest.Stats) { s.LostSegments.Store(2) }, "2 segments of HLS so far", "#bandwidth"},
		"WHIP":    {func(s *ingest.Stats) { s.LostPackets.Store(5) }, "5 packets so far", "a better line"},
		"RTSP":    {func(s *ingest.Stats) { s.LostPackets.Store(5) }, "5 packets so far", "over TCP"},
		byRTSPUDP: {func(s *ingest.Stats) { s.LostPackets.Store(5) }, "5 packets so far", "leave out --rtsp-udp"},
		byUDP:     {func(s *ingest.Stats) { s.LostPackets.Store(5) }, "5 packets so far", "by SRT"},
		"HTTP":    {func(s *ingest.Stats) { s.LostPackets.Store(5) }, "5 packets so far", "before it came here"},
	} {
		t.Run(by, func(t *testing.T) {
			well, bad, s := &ingest.Stats{}, &ingest.Stats{}, &source{}
			s.add("RTMP", well)
			s.add(by, bad)
			c.lose(bad)
			i := s.health(input{}, "")
			fed(programOf(ingest.H264, ingest.AAC), 5, 1).report(i, s.lossy())
			if len(i.Warnings) != 1 || i.Warnings[0].ID != "loss" || !strings.Contains(i.Warnings[0].What, c.what) || !strings.Contains(i.Warnings[0].Todo, c.todo) {
				t.Errorf("warns of %+v, want loss, %q and %q", i.Warnings, c.what, c.todo)
			}
		})
	}
}

// TestInputsComeBy: what helps an input that is fetched follows from how it was spelled.
func TestInputsComeBy(t *testing.T) {
	for text, want := range map[string]string{
		"udp://127.0.0.1:5000": byUDP, "rtp://127.0.0.1:5000": byUDP, "srt://127.0.0.1:9000": "SRT",
		"rtsp://127.0.0.1/cam": byRTSPUDP, "http://127.0.0.1/live.ts": byUs, "-": byUs,
	} {
		in, err := parseInput(text)
		if got := in.by(&options{rtspUDP: true}); err != nil || got != want {
			t.Errorf("%s: %v, comes by %q, want %q", text, err, got, want)
		}
	}
}

// TestHealthTellsOfTrouble: what is wrong with an input is a warning while nothing comes of it, before the first sample too, and no longer.
func TestHealthTellsOfTrouble(t *testing.T) {
	p := programOf(ingest.H264, ingest.AAC)
	for name, c := range map[string]struct {
		h     *health
		later time.Duration
		err   string
		want  []string
	}{
		"nothing came yet":     {newHealth(nil), 0, "the server answered 404", []string{"input"}},
		"no trouble yet":       {newHealth(nil), 0, "", nil},
		"it comes":             {fed(p, 5, 1), 0, "was away", nil},
		"it does not any more": {fed(p, 5, 1), time.Minute, "the server answered 404", []string{"input"}},
	} {
		now := c.h.now().Add(c.later)
		c.h.now = func() time.Time { return now }
		i := node.Ingest{LastError: c.err}
		if ids := warned(c.h, &i); !slices.Equal(ids, c.want) {
			t.Errorf("%s: warns of %v, want %v", name, ids, c.want)
		}
		for _, w := range i.Warnings {
			if !strings.Contains(w.What, c.err) || w.Todo == "" {
				t.Errorf("%s: says %+v", name, w)
			}
		}
	}
}

// What AC-3 comes with decides: a second track that browsers play is enough.
func TestHealthOfTwoSounds(t *testing.T) {
	p := programOf(ingest.H264, ingest.AC3)
	p.Tracks = append(p.Tracks, ingest.Track{ID: 3, Codec: ingest.AAC})
	if ids := warned(fed(p, 5, 1), &node.Ingest{}); len(ids) != 0 {
		t.Errorf("warns of %v", ids)
	}
}
