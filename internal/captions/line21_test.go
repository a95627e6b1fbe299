package captions

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/captions/captionstest"
	"tailcast/internal/ts"
)

// pictured is an access unit with cc_data.
func pictured(c ingest.Codec, cc []byte) []byte {
	start := []byte{0, 0, 1}
	switch c {
	case ingest.H265:
		return bytes.Join([][]byte{nil, captionstest.SEI265(cc), {1 << 1, 1, 9, 9}}, start)
	case ingest.MPEG2Video:
		return bytes.Join([][]byte{nil, {0x00, 1, 2}, captionstest.UserData(cc), {0x01, 9, 9}, captionstest.UserData(captionstest.CCData(clear, ""))}, start)
	}
	return bytes.Join([][]byte{nil, {9, 0xf0}, captionstest.SEI(cc), {0x65, 1, 2, 3}, captionstest.SEI(captionstest.CCData(clear, ""))}, start)
}

// Codes of channel 1, first field, with parity (CTA-608, 6 and 8).
const (
	popOn    = "\x94\x20"
	erase    = "\x94\xae" // non-displayed memory
	show     = "\x94\x2f"
	clear    = "\x94\x2c"
	row14    = "\x94\x40"
	row15    = "\x94\xe0"
	rollUp2  = "\x94\x25"
	carriage = "\x94\xad"
	note     = "\x91\x37" // ♪
	eAcute   = "\x92\xa1" // É of the extended set; E is before it for others
)

func TestLine21(t *testing.T) {
	for _, codec := range []ingest.Codec{ingest.H264, ingest.H265, ingest.MPEG2Video} {
		p := &ingest.Program{Tracks: []ingest.Track{{ID: 5, Codec: codec}}}
		d, got := heard(p)
		at := int64(0)
		write := func(first, second string) {
			at += 3000
			d.Write(&ingest.Sample{Track: 5, PTS: at, DTS: at, Data: pictured(codec, captionstest.CCData(first, second))})
		}
		if len(d.Tracks()) != 0 {
			t.Errorf("%s: captions before any have come", codec)
		}
		write("\x80\x80", "")
		if len(d.Tracks()) != 1 {
			t.Errorf("%s: no captions though there is room for some", codec)
		}
		same(t, got, "3000 cc-1: ")
		for _, pair := range []string{popOn, popOn, erase, erase, row14, row14, "HI", " \x80", note, note, row15, row15, "Ca", "fe", "E\x80", eAcute, eAcute} {
			write(pair, "")
		}
		same(t, got)
		write(show, "")
		same(t, got, "57000 cc-1: HI ♪\nCafeÉ")
		write(show, "") // the same, said twice
		write(clear, "")
		same(t, got, "63000 cc-1: ")

		for _, pair := range []string{rollUp2, rollUp2, carriage, carriage, row15, row15, "ab", "cd", carriage, carriage, "ef"} {
			write(pair, "")
		}
		same(t, got, "84000 cc-1: ab") // then letter by letter, which waits
		at += slowest
		d.Write(&ingest.Sample{Track: 5, PTS: at, DTS: at, Data: []byte{0, 0, 1, 1}})
		same(t, got, "96000 cc-1: abcd\nef")

		write("", "\x01\x03ab\x8f\x99") // the name of a programme, in the service data of the second field
		write("", "\x15\x20\x15\x40ok\x15\x2f")
		same(t, got, "132000 cc-3: ", "132000 cc-3: ok")
		write("\x1c\x29\x1c\x60en", "") // the second channel of the first field, painted on
		same(t, got, "135000 cc-2: ", "135000 cc-2: en")
	}
}

// TestLine21InOrderOfShowing: pictures are decoded out of turn, captions are not.
func TestLine21InOrderOfShowing(t *testing.T) {
	d, got := heard(&ingest.Program{Tracks: []ingest.Track{{ID: 0, Codec: ingest.H264}}})
	for i, w := range []struct {
		shown int64
		text  string
	}{{1, "\x94\x29\x94\xe0"}, {4, "ok"}, {2, "Al"}, {3, "l "}, {7, ""}, {5, ""}, {6, ""}} {
		d.Write(&ingest.Sample{DTS: int64(i) * 36000, PTS: w.shown * 36000, Data: pictured(ingest.H264, captionstest.CCData(w.text, ""))})
	}
	same(t, got, "36000 cc-1: ", "72000 cc-1: Al", "108000 cc-1: All", "144000 cc-1: All ok")
}

// TestLine21LikeFFmpeg puts captions into pictures of a real encoder and compares with what ffmpeg reads there.
func TestLine21LikeFFmpeg(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("TAILCAST_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("ffmpeg is not installed")
	}
	ffmpeg := func(args ...string) []byte {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...).Output()
		if err != nil {
			t.Fatalf("ffmpeg %v: %v", args, err)
		}
		return out
	}
	k := &kept{}
	scanner := ts.NewScanner(ts.Config{Sink: k})
	_, _ = scanner.Write(ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "50", "-f", "mpegts", "-"))
	scanner.Flush()
	script := []string{popOn, popOn, erase, erase, row14, row14, "Tw", "o ", "li", "ne", "s,", row15, row15, "a ", note, note, "and ", "E\x80", eAcute, eAcute, show, show}
	script = append(append(script, make([]string, 20)...), popOn, popOn, erase, erase, row15, row15, "Ne", "xt", show, show)
	script = append(append(script, make([]string, 10)...), clear, clear)
	shownAt := map[int64]int{} // the place of each picture in the order of showing
	for _, s := range k.samples {
		for _, other := range k.samples {
			if other.PTS < s.PTS {
				shownAt[s.PTS]++
			}
		}
	}
	var stream bytes.Buffer
	mux := ts.NewMuxer(&stream)
	_ = mux.SetProgram(k.program)
	d, got := heard(k.program)
	for _, s := range k.samples {
		text := "\x80\x80"
		if i := shownAt[s.PTS]; i < len(script) && script[i] != "" {
			text = script[i]
		}
		s.Data = append(append([]byte{0, 0, 0, 1}, captionstest.SEI(captionstest.CCData(text, ""))...), s.Data...)
		d.Write(&s)
		_ = mux.WriteSample(s)
	}
	file := filepath.Join(t.TempDir(), "in.ts")
	if err := os.WriteFile(file, stream.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := string(ffmpeg("-f", "lavfi", "-i", "movie="+file+"[out0+subcc]", "-map", "s", "-f", "webvtt", "-"))
	theirs = regexp.MustCompile(`<[^>]*>|\\h`).ReplaceAllString(theirs, "")
	texts := regexp.MustCompile(`(?s)--> \S+\n(.*?)\n\n`).FindAllStringSubmatch(theirs+"\n\n", -1)
	var want []string
	for _, m := range texts {
		want = append(want, strings.TrimSpace(m[1]))
	}
	var ours []string
	for _, g := range *got {
		if _, text, _ := strings.Cut(g, ": "); text != "" {
			ours = append(ours, text)
		}
	}
	same(t, &ours, want...)
	if len(want) != 2 {
		t.Errorf("ffmpeg reads %q", theirs)
	}
}

type kept struct {
	program *ingest.Program
	samples []ingest.Sample
}

func (k *kept) SetProgram(p *ingest.Program) { k.program = p }

func (k *kept) WriteSample(s ingest.Sample) {
	s.Data = bytes.Clone(s.Data)
	k.samples = append(k.samples, s)
}

// FuzzDecoder reads anything; nothing panics, text is text, and memory stays.
func FuzzDecoder(f *testing.F) {
	s := &captionstest.Teletext{}
	s.Header(150, 0)
	s.Line(150, 20, "seed")
	s.Triplets(150, 26, [3]int{firstRow + 20, modeRow, 0}, [3]int{3, modeAccent + 2, 'e'}, [3]int{4, modeMore, 0x55})
	s.Triplets(150, 28, [3]int{0, 0x10, 1})
	s.Header(100, 0)
	f.Add(s.Take(), byte(subtitle), int64(0))
	for _, c := range []ingest.Codec{ingest.H264, ingest.MPEG2Video} {
		f.Add(pictured(c, captionstest.CCData(popOn+row14+"HI"+eAcute+show+rollUp2+carriage, "\x15\x20\x15\x40ok")), byte(pictures), int64(9000))
	}
	for _, r := range ingesttest.Clips(f) {
		for _, track := range r.Program(f).Tracks {
			if track.Codec.IsVideo() {
				for _, s := range r.Of(track.ID)[:3] {
					f.Add(s.Data, byte(pictures), s.PTS)
					f.Add(append(s.Data, pictured(track.Codec, captionstest.CCData(show, ""))...), byte(pictures), s.PTS)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, track byte, pts int64) {
		for _, codec := range []ingest.Codec{ingest.H264, ingest.H265, ingest.MPEG2Video} {
			p := program()
			p.Tracks[0].Codec = codec
			p.Tracks[1].Descriptors = append(p.Tracks[1].Descriptors, b[:min(len(b), 64)]...)
			d := NewDecoder(p, func(c Change) {
				if len(c.Text) > 25*40*8 {
					t.Errorf("%d bytes of text", len(c.Text))
				}
			})
			for i := range int64(3) {
				d.Write(&ingest.Sample{Track: track % 4, PTS: pts + i, DTS: pts, Data: b})
			}
			d.Section(pts)
			if len(d.Tracks()) > maxTracks+4 {
				t.Errorf("%d tracks", len(d.Tracks()))
			}
		}
	})
}
