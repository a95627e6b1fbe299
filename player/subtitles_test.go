package player

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/ingest"
	"tailcast/internal/captions/captionstest"
)

const spoken = 9 // ID of the teletext track

// captioned is the clip with teletext and with line 21 in its pictures. Every two seconds each begins to say which it is, the first for 1.5 s, the
// second until the next. The texts are what comes of it: their times count in ticks as the samples do.
func captioned(t testing.TB) (program *ingest.Program, samples []ingest.Sample, teletext, cc []cue) {
	t.Helper()
	p, in := clipSamples(t)
	program = &ingest.Program{}
	*program = *p
	program.Tracks = append(slices.Clone(p.Tracks), ingest.Track{
		ID: spoken, Codec: ingest.Data, PID: 0x1f0, StreamType: 6, StreamID: 0xbd, Language: "deu", Descriptors: []byte{0x56, 5, 'd', 'e', 'u', 2<<3 | 1, 0x50},
	}, ingest.Track{
		ID: spoken + 1, Codec: ingest.Data, PID: 0x1f1, StreamType: 6, StreamID: 0xbd, Language: "eng", Descriptors: []byte{0x59, 8, 'e', 'n', 'g', 0x10, 0, 1, 0, 1},
	})
	video := program.Tracks[0].ID
	shown := track(in, video)
	slices.SortFunc(shown, func(a, b ingest.Sample) int { return int(a.PTS - b.PTS) })
	first := shown[0].PTS
	pairs := map[int64]string{}
	said := &captionstest.Teletext{}
	page := func(at int64, text string) {
		said.Header(150, 4)
		if text != "" {
			said.Line(150, 20, text)
			teletext = append(teletext, cue{from: at, text: strings.ReplaceAll(text, "|", "ö")})
		} else {
			teletext[len(teletext)-1].to = at
		}
		said.Header(100, 4)
		samples = append(samples, ingest.Sample{Track: spoken, PTS: at, DTS: at, Data: said.Take()})
	}
	for n := range 4 {
		at := first + int64(n)*2*ingest.ClockRate
		page(at, fmt.Sprintf("Zw|lf & %d", n))
		page(at+3*ingest.ClockRate/2, "")
		i := slices.IndexFunc(shown, func(s ingest.Sample) bool { return s.PTS >= at })
		script := []string{"\x94\x20", "\x94\x20", "\x94\xae", "\x94\xae", "\x94\xe0", "\x94\xe0", "Li", "ne", fmt.Sprintf(" %d", n), "\x94\x2f", "\x94\x2f"}
		for k, pair := range script {
			pairs[shown[i+k].PTS] = pair
		}
		if n > 0 {
			cc[n-1].to = shown[i+9].PTS
		}
		cc = append(cc, cue{shown[i+9].PTS, first + clipTicks, fmt.Sprintf("Line %d", n)})
	}
	for _, s := range in {
		if s.Track == video {
			pair := pairs[s.PTS]
			if pair == "" {
				pair = "\x80\x80"
			}
			s.Data = slices.Concat([]byte{0, 0, 0, 1}, captionstest.SEI(captionstest.CCData(pair, "")), s.Data)
		}
		samples = append(samples, s)
	}
	slices.SortStableFunc(samples, func(a, b ingest.Sample) int { return int(a.DTS - b.DTS) })
	return program, samples, teletext, cc
}

// event is an emsg of captions.
type event struct {
	at          int64
	track, text string
}

// events finds the messages in a file, and checks that there is nothing but boxes.
func events(t *testing.T, file []byte) (out []event) {
	t.Helper()
	for len(file) >= boxHeader {
		n := int(binary.BigEndian.Uint32(file))
		if n < boxHeader || n > len(file) {
			t.Fatalf("a box of %d bytes, %d are left", n, len(file))
		}
		if box := file[:n]; isBox(box, "emsg") {
			words := bytes.SplitN(box[fullBoxHeader+20:], []byte{0}, 3)
			if string(words[0]) != emsgScheme || binary.BigEndian.Uint32(box[fullBoxHeader:]) != ingest.ClockRate {
				t.Errorf("emsg % x", box)
			}
			out = append(out, event{int64(binary.BigEndian.Uint64(box[emsgTime:])), string(words[1]), string(words[2])})
		}
		file = file[n:]
	}
	return out
}

// TestCaptionsInMP4: they have the times of the pictures, and who joins in the middle is told what is shown.
func TestCaptionsInMP4(t *testing.T) {
	program, in, teletext, cc := captioned(t)
	b := newBench()
	b.SetProgram(program)
	b.feed(in)
	s, body := all(t, b.mp4)
	if want := "teletext-150-9;deu;, bitmap-1-10;eng;, cc-1;;"; s.captions != want {
		t.Errorf("captions %q, want %q", s.captions, want)
	}
	p := parse(t, s.header, body)
	zero := slices.Min(p.shown[1]) - slices.MinFunc(track(in, program.Tracks[0].ID), func(a, b ingest.Sample) int { return int(a.PTS - b.PTS) }).PTS
	got := map[string][]cue{}
	for _, e := range events(t, body) {
		name, _, _ := strings.Cut(e.track, ";")
		list := got[name]
		at := e.at - zero
		if n := len(list); n > 0 && list[n-1].text == e.text {
			continue // told again at a start
		} else if n > 0 && list[n-1].to == 0 {
			list[n-1].to = at
		}
		if e.text != "" {
			list = append(list, cue{from: at, text: e.text})
		}
		got[name] = list
	}
	cc[len(cc)-1].to = 0
	compare(t, "teletext", got["teletext-150-9"], teletext)
	compare(t, "line 21", got["cc-1"], cc)

	chunks, _, err := s.join(false).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var times restamper
	joined := slices.Concat(s.header, times.restamp(chunks[0]))
	first := parse(t, s.header, joined)
	for _, e := range events(t, joined) {
		if d := e.at - first.times[1][0]; d < 0 || d > ingest.ClockRate/2 {
			t.Errorf("%s %q is %d ticks after the picture that was joined at", e.track, e.text, d)
		}
	}
	if len(events(t, joined)) == 0 {
		t.Error("who joins is told nothing")
	}
}

func compare(t *testing.T, what string, got, want []cue) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n\t%v\nwant\n\t%v", what, got, want)
	}
}

// TestCaptionsInHLS: the renditions of text are listed, have the segments of the pictures, and say at each moment what was sent.
func TestCaptionsInHLS(t *testing.T) {
	program, in, teletext, cc := captioned(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	b.write(later(in, clipTicks)[:len(in)/2])
	m := c.media("")
	var index playlist.Multivariant
	if err := index.Unmarshal(c.have("index.m3u8")); err != nil {
		t.Fatal(err)
	}
	if len(index.Renditions) != 2 || index.Variants[0].Subtitles != textGroup || index.Renditions[0].Name != "deu · Teletext 150" || index.Renditions[0].Language != "deu" || index.Renditions[1].Name != "CC1" {
		t.Fatalf("index: %s", c.have("index.m3u8"))
	}
	for i, want := range [][]cue{teletext, cc} {
		list := parseMedia(t, string(c.have(*index.Renditions[i].URI)))
		if list.number != m.number || list.breaks != m.breaks || list.target != m.target || len(list.segments) < len(m.segments) {
			t.Errorf("the text's playlist has %d to %d, that of the pictures %d to %d", list.number, len(list.segments), m.number, len(m.segments))
		}
		var got []cue
		for k, s := range list.segments {
			if k < len(m.segments) && (s.seconds != m.segments[k].seconds || s.broken != m.segments[k].broken) {
				t.Errorf("segment %d: %+v, pictures %+v", k, s, m.segments[k])
			}
			for _, c := range readVTT(t, c.have(s.uri)) {
				if n := len(got); n > 0 && got[n-1].text == c.text && c.from-got[n-1].to < ingest.ClockRate/100 {
					got[n-1].to = c.to
					continue
				}
				got = append(got, c)
			}
		}
		for k, w := range want {
			if k >= len(got) || got[k].text != w.text || far90(got[k].from, w.from) || far90(got[k].to, w.to) && k < len(want)-1 {
				t.Errorf("got %v, want %v", got, want)
				break
			}
		}
	}
	status, _, _ := c.fetch(fmt.Sprintf("text.m3u8?track=cc-1&_HLS_msn=%d", m.number+len(m.segments)-1))
	if status != http.StatusOK {
		t.Errorf("a reload that need not wait: %d", status)
	}
	for path, want := range map[string]int{
		"text.m3u8": 400, "text.m3u8?track=../x": 400, "text.m3u8?track=cc-1&_HLS_msn=99999": 400, "t/cc-1/nothing.vtt": 404, "t/CC/" + m.segments[0].uri[2:]: 404,
		"t/cc-1/" + strings.TrimSuffix(m.segments[0].uri[2:], "m4s") + "vtt": 200,
	} {
		if status, body, _ := c.fetch(path); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
}

// far90 allows for milliseconds.
func far90(a, b int64) bool { return math.Abs(float64(a-b)) > ingest.ClockRate/250 }

var vttCue = regexp.MustCompile(`(?m)^(\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d+):(\d\d):(\d\d)\.(\d{3})\n((?:.+\n)+)`)

// readVTT returns cues at the times of the feed.
func readVTT(t *testing.T, b []byte) (out []cue) {
	t.Helper()
	var base int64
	if _, err := fmt.Sscanf(string(b), "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:%d,LOCAL:00:00:00.000\n", &base); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	for _, m := range vttCue.FindAllStringSubmatch(string(b), -1) {
		at := func(f []string) int64 {
			var n [4]int64
			for i := range n {
				n[i], _ = strconv.ParseInt(f[i], 10, 64)
			}
			return base + hlsOrigin + ((n[0]*60+n[1])*60+n[2])*ingest.ClockRate + n[3]*ingest.ClockRate/1000
		}
		text := strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(m[9])
		out = append(out, cue{at(m[1:5]), at(m[5:9]), strings.TrimSpace(text)})
	}
	return out
}

// TestFFmpegReadsCaptions: what is served is WebVTT for others too. (Its reader of HLS leaves subtitles out; hls.js reads them in TestPageCaptions.)
func TestFFmpegReadsCaptions(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("skipping: ffmpeg is not installed")
	}
	program, in, teletext, _ := captioned(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	c.media("")
	first := parseMedia(t, string(c.have("text.m3u8?track=teletext-150-9"))).segments[0].uri
	cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "warning", "-f", "webvtt", "-i", "-", "-f", "srt", "-")
	cmd.Stdin = bytes.NewReader(c.have(first))
	out, err := cmd.CombinedOutput()
	if want := "1\n00:00:00,083 --> 00:00:01,000\n" + teletext[0].text + "\n\n"; err != nil || string(out) != want {
		t.Errorf("ffmpeg reads %q, want %q (%v)", out, want, err)
	}
}

// TestCaptionsOfSeveralRenditions: each variant has those of the rendition that players begin with.
func TestCaptionsOfSeveralRenditions(t *testing.T) {
	program, in, teletext, _ := captioned(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program, "main", "low")
	defer b.stop()
	b.write(in)
	var index playlist.Multivariant
	if err := index.Unmarshal(c.have("index.m3u8?dvr=1h")); err != nil {
		t.Fatal(err)
	}
	if len(index.Variants) != 2 || len(index.Renditions) != 2 || index.Variants[0].Subtitles != textGroup || index.Variants[1].Subtitles != textGroup {
		t.Fatalf("index:\n%s", c.have("index.m3u8"))
	}
	list := parseMedia(t, string(c.have(*index.Renditions[0].URI)))
	if got := readVTT(t, c.have("r/main/"+list.segments[0].uri)); len(got) != 1 || got[0].text != teletext[0].text {
		t.Errorf("the first segment says %v, want %v", got, teletext[0])
	}
}
