package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"tailcast/ingest"
	"tailcast/node"
)

// What the health of an input is measured over.
const (
	healthSecond = 10               // seconds of the bit rate and of pictures
	healthGOP    = time.Minute      // of keyframes
	longGOP      = 2 * time.Second  // between keyframes: who joins waits half of it
	newTrouble   = 30 * time.Second // so long is a loss spoken of
)

// health watches samples on their way to air, and says what a broadcaster should know. It is a Sink before another.
type health struct {
	next ingest.Sink
	now  func() time.Time

	mu      sync.Mutex // guards all below
	start   time.Time  // that seconds are counted from: not those of the system clock, which can be set
	program *ingest.Program
	video   uint8 // the track whose keyframes count; 255: none
	bins    [healthSecond]bin
	keys    []key  // of the last healthGOP
	last    int64  // DTS of the last keyframe
	newest  int64  // DTS of the last picture
	begun   bool   // there was one since the clock jumped
	lost    recent // packets, datagrams, segments
}

// bin is what came in one second of the clock.
type bin struct {
	second int64
	bytes  int
	frames int
}

// key is a keyframe, and how long the one before lasted.
type key struct {
	at  time.Time
	gap time.Duration
}

func newHealth(next ingest.Sink) *health { return &health{next: next, now: time.Now, video: 255} }

// follow sends what comes from now on to next. Call it before the source runs.
func (h *health) follow(next ingest.Sink) { h.next = next }

// SetProgram implements ingest.Sink.
func (h *health) SetProgram(p *ingest.Program) {
	h.mu.Lock()
	h.program, h.video = p, 255
	for _, t := range p.Tracks {
		if t.Codec.IsVideo() {
			h.video = t.ID
			break
		}
	}
	h.mu.Unlock()
	h.next.SetProgram(p)
}

// WriteSample implements ingest.Sink.
func (h *health) WriteSample(s ingest.Sample) {
	h.count(&s)
	h.next.WriteSample(s)
}

// WriteClock implements ingest.ClockSink.
func (h *health) WriteClock(at int64) {
	if c, ok := h.next.(ingest.ClockSink); ok {
		c.WriteClock(at)
	}
}

func (h *health) count(s *ingest.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	second := h.second(now)
	b := &h.bins[second%healthSecond]
	if b.second != second {
		*b = bin{second: second}
	}
	b.bytes += len(s.Data)
	if s.Track != h.video {
		return
	}
	b.frames++
	h.newest = s.DTS
	if s.Flags&ingest.Discontinuity != 0 {
		h.begun = false // the time from before the jump to after it is none, whatever picture comes first
	}
	if s.Flags&ingest.RandomAccess == 0 {
		return
	}
	if gap := time.Duration(s.DTS-h.last) * time.Second / ingest.ClockRate; h.begun && gap > 0 {
		h.keys = append(h.keys, key{now, gap})
	}
	h.last, h.begun = s.DTS, true
	for len(h.keys) > 0 && now.Sub(h.keys[0].at) > healthGOP {
		h.keys = h.keys[1:]
	}
}

// second numbers the seconds since the first that was asked for, from 1.
func (h *health) second(now time.Time) int64 {
	if h.start.IsZero() {
		h.start = now
	}
	return int64(now.Sub(h.start)/time.Second) + 1
}

// report fills in what was measured, and what should be changed; lossy is what most of that which is lost comes by.
func (h *health) report(into *node.Ingest, lossy string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	into.Bitrate, into.FPS = h.rates()
	into.Keyframe = h.keyframe()
	into.Tracks, into.Warnings = []string{}, append([]node.Warning{}, h.warnings(into, lossy)...)
	if h.program != nil {
		into.Tracks = trackNames(h.program)
		into.Warnings = append(into.Warnings, unplayable(h.program)...)
	}
}

// rates are those of the whole seconds that are over.
func (h *health) rates() (bps, fps float64) {
	now, from := h.second(h.now()), int64(0)
	for _, b := range h.bins {
		if b.second == 0 || b.second >= now || b.second <= now-healthSecond { // 0: never used
			continue
		}
		bps += float64(8 * b.bytes)
		fps += float64(b.frames)
		if from == 0 || b.second < from {
			from = b.second
		}
	}
	if from == 0 {
		return 0, 0
	}
	return bps / float64(now-from), fps / float64(now-from)
}

// keyframe is the longest time between keyframes of late, in seconds; 0 while there were no two. One that is due for longer counts.
func (h *health) keyframe() float64 {
	longest := time.Duration(0)
	if h.begun {
		longest = time.Duration(h.newest-h.last) * time.Second / ingest.ClockRate
		if len(h.keys) == 0 && longest < longGOP {
			return 0
		}
	}
	for _, k := range h.keys {
		longest = max(longest, k.gap)
	}
	return longest.Seconds()
}

func (h *health) warnings(i *node.Ingest, lossy string) (list []node.Warning) {
	if h.lost.within(newTrouble, i.LostPackets+i.LostDatagrams+i.LostSegments, h.now()) > 0 {
		list = append(list, lossWarning(i.IngestCounts, lossy))
	}
	if i.Keyframe > longGOP.Seconds()+0.05 {
		list = append(list, node.Warning{
			ID: "gop", What: fmt.Sprintf("keyframes are up to %.1f s apart: who joins waits for the next one, and seeking is coarse", i.Keyframe),
			Todo: "set the keyframe interval of the encoder to 1 s (OBS: Keyframe interval 1; ffmpeg: -g with the frames of a second)",
		})
	}
	if i.LastError != "" && i.Bitrate == 0 {
		list = append(list, node.Warning{ID: "input", What: "the input has a problem: " + i.LastError, Todo: "look at the encoder, or at the camera"})
	}
	return list
}

// unplayable warns of what browsers do not play; mpv and VLC do.
func unplayable(p *ingest.Program) (list []node.Warning) {
	var video, sound []string
	heard := false
	for _, t := range p.Tracks {
		switch t.Codec {
		case ingest.H265, ingest.MPEG2Video:
			video = append(video, spoken[t.Codec])
		case ingest.AC3, ingest.EAC3, ingest.AACLATM, ingest.MPEGAudio: // in fMP4; Chromium's MediaSource takes MP3 only by itself
			sound = append(sound, spoken[t.Codec])
		}
		heard = heard || t.Codec == ingest.AAC || t.Codec == ingest.Opus
	}
	if len(video) > 0 {
		list = append(list, node.Warning{
			ID: "codec", What: strings.Join(video, " and ") + " is not played by most browsers: their viewers are sent to mpv or VLC", Todo: "encode as H.264 to reach everybody",
		})
	}
	if len(sound) > 0 && !heard {
		list = append(list, node.Warning{
			ID: "sound", What: strings.Join(sound, " and ") + " sound is not played by most browsers: their viewers are sent to mpv or VLC", Todo: "encode the sound as AAC, or add a second track of it",
		})
	}
	return list
}

// spoken is what people call codings.
var spoken = map[ingest.Codec]string{
	ingest.H264: "H.264", ingest.H265: "H.265 (HEVC)", ingest.MPEG2Video: "MPEG-2 video", ingest.AV1: "AV1", ingest.VP9: "VP9", ingest.AAC: "AAC",
	ingest.AACLATM: "AAC in LATM", ingest.Opus: "Opus", ingest.MPEGAudio: "MPEG audio", ingest.AC3: "AC-3", ingest.EAC3: "E-AC-3", ingest.Data: "data",
}

func trackNames(p *ingest.Program) []string {
	names := []string{}
	for _, t := range p.Tracks {
		name := spoken[t.Codec]
		if t.Width > 0 {
			name += fmt.Sprintf(" %d×%d", t.Width, t.Height)
		}
		if t.SampleRate > 0 {
			name += fmt.Sprintf(" %g kHz", float64(t.SampleRate)/1000)
		}
		if t.Language != "" && t.Language != "und" {
			name += " (" + t.Language + ")"
		}
		names = append(names, name)
	}
	return names
}
