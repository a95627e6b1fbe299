package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/captions/captionstest"
	"tailcast/internal/ts"
)

// captioned makes a file of pictures that say "Line N" by CTA-608, beside teletext that says "Zwölf N" every two seconds.
func captioned(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(made(t, "8", append(x264[:6:6], "-bf", "0", "-g", "25", "-c:a", "aac")...))
	if err != nil {
		t.Fatal(err)
	}
	in := &kept{}
	scanner := ts.NewScanner(ts.Config{Sink: in})
	_, _ = scanner.Write(data)
	scanner.Flush()
	program := *in.program
	text := ingest.Track{ID: 40, Codec: ingest.Data, PID: 0x1f0, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x56, 5, 'd', 'e', 'u', 2<<3 | 1, 0x50}}
	program.Tracks = append(slices.Clone(program.Tracks), text)
	var out bytes.Buffer
	mux := ts.NewMuxer(&out)
	if err := mux.SetProgram(&program); err != nil {
		t.Fatal(err)
	}
	page := &captionstest.Teletext{}
	script := []string{"\x94\x20", "\x94\xae", "\x94\xe0", "Li", "ne", " 7", "\x94\x2f"}
	pictures := 0
	for _, s := range in.samples {
		if s.Track == program.Tracks[0].ID {
			pair := "\x80\x80"
			if n := pictures % 50; n < len(script) {
				pair = script[n]
			}
			if pictures%50 == 0 {
				page.Header(150, 4)
				page.Line(150, 20, fmt.Sprintf("Zw|lf %d", pictures/50))
				page.Header(100, 4)
				_ = mux.WriteSample(ingest.Sample{Track: text.ID, PTS: s.DTS, DTS: s.DTS, Data: page.Take()})
			}
			pictures++
			const delimiter = 6 // start code and all: what comes before it would be of the picture before
			s.Data = slices.Concat(s.Data[:delimiter], []byte{0, 0, 0, 1}, captionstest.SEI(captionstest.CCData(pair, "")), s.Data[delimiter:])
		}
		_ = mux.WriteSample(s)
	}
	file := filepath.Join(t.TempDir(), "captioned.ts")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
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

// TestCaptionsReachViewers, from the encoder's transport stream to WebVTT at a viewer.
func TestCaptionsReachViewers(t *testing.T) {
	need(t, "ffmpeg")
	beside(t, 1)
	s := streamer(t, captioned(t), "--loop")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	r, err := http.Get(v.HTTP + "/live.mp4?join=last")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if got := r.Header.Get("X-Tailcast-Captions"); !strings.Contains(got, "teletext-150-") || !strings.Contains(got, ";deu;") || !strings.Contains(got, "cc-1;;") {
		t.Errorf("X-Tailcast-Captions: %q", got)
	}
	index := page(t, v.HTTP+"/hls/index.m3u8")
	lists := regexp.MustCompile(`TYPE=SUBTITLES.*URI="([^"]+)"`).FindAllStringSubmatch(index, -1)
	if len(lists) != 2 {
		t.Fatalf("index:\n%s", index)
	}
	for i, want := range []*regexp.Regexp{regexp.MustCompile(`\nZwölf \d\n`), regexp.MustCompile(`\nLine 7\n`)} {
		for end := time.Now().Add(patience); ; {
			list := page(t, v.HTTP+"/hls/"+lists[i][1])
			segments := regexp.MustCompile(`(?m)^t/.*\.vtt$`).FindAllString(list, -1)
			if len(segments) > 0 && want.MatchString(page(t, v.HTTP+"/hls/"+segments[len(segments)-1])) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%v is not said:\n%s", want, list)
			}
			page(t, v.HTTP+"/hls/main.m3u8?_HLS_msn="+next(t, list, len(segments))) // until there is another segment
		}
	}
}

// next is the number of the segment after a list of so many.
func next(t *testing.T, list string, segments int) string {
	t.Helper()
	var first int
	if _, err := fmt.Sscanf(list[strings.Index(list, "#EXT-X-MEDIA-SEQUENCE:"):], "#EXT-X-MEDIA-SEQUENCE:%d", &first); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(first + segments)
}
