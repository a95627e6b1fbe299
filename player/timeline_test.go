package player

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tailcast/ingest"
)

// TestTimeline writes samples as "track:dts" with ! for a flagged jump, and "reset" for another epoch or a hole.
// What comes out is "dts", with | before the first of a section and - for a sample that must go. Steps are 100.
func TestTimeline(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"untouched", "0:5000 1:4900 0:5100 1:5000", "5000 4900 5100 5000"},
		{"negative", "0:-300 0:-200 0:-100", "-300 -200 -100"},
		{"epoch", "0:5000 1:5000 0:5100 1:5100 reset 0:100 1:100 0:200 1:200", "5000 5000 5100 5100 |5200 5200 5300 5300"},
		{"epoch, later time", "0:5000 0:5100 reset 0:90000000 0:90000100", "5000 5100 |5200 5300"},
		{"sound behind", "0:5000 1:5000 0:5100 1:5100 reset 0:100 1:-50 1:50 1:150 0:200", "5000 5000 5100 5100 |5200 - 5150 5250 5300"},
		{"reset first", "reset 0:700 0:800", "700 800"},
		{"gap stays", "0:0 0:100 0:200100! 0:200200", "0 100 200100 200200"},
		{"jump back", "0:400000 1:400000 0:400100 1:400100 0:0! 1:400200 1:0! 0:100 1:100", "400000 400000 400100 400100 |400200 400200 - 400300 400300"},
		{"jump ahead", "0:0 1:0 0:100 1:100 0:900000! 1:200 1:900300! 0:900100", "0 0 100 100 |200 200 500 300"},
		{"unflagged fall", "0:400000 0:400100 0:0 0:100", "400000 400100 |400200 400300"},
		{"two jumps", "0:0 0:100 0:900000! 0:900100 0:50! 0:150", "0 100 |200 300 |400 500"},
		{"late track", "0:5000 0:5100 reset 0:100 1:100 0:200", "5000 5100 |5200 5200 5300"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := play(t, c.in); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func play(t *testing.T, in string) string {
	t.Helper()
	var line timeline
	var out []string
	for _, word := range strings.Fields(in) {
		if word == "reset" {
			line.reset()
			continue
		}
		var s ingest.Sample
		if strings.HasSuffix(word, "!") {
			s.Flags = ingest.Discontinuity
		}
		if _, err := fmt.Sscanf(strings.TrimSuffix(word, "!"), "%d:%d", &s.Track, &s.DTS); err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		s.PTS = s.DTS + 7
		section, ok := line.move(&s)
		mark := ""
		if section {
			mark = "|"
		}
		switch {
		case !ok:
			out = append(out, mark+"-")
		case s.PTS != s.DTS+7:
			t.Errorf("PTS of %q moved apart from its DTS", word)
		default:
			out = append(out, fmt.Sprint(mark, s.DTS))
		}
	}
	return strings.Join(out, " ")
}

// TestTimelineProperties: whatever epochs bring, a track never goes back, and within one epoch all differences stay.
func TestTimelineProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var line timeline
		last := map[uint8]int64{}
		for range rapid.IntRange(1, 5).Draw(t, "epochs") {
			line.reset()
			base := rapid.Int64Range(-1<<40, 1<<40).Draw(t, "base")
			offset, known := int64(0), false
			for i := range rapid.IntRange(1, 30).Draw(t, "samples") {
				s := ingest.Sample{Track: rapid.Uint8Range(0, 3).Draw(t, "track"), DTS: base + int64(i)*3000}
				in := s.DTS
				if _, ok := line.move(&s); !ok {
					continue
				}
				if before, used := last[s.Track]; used && s.DTS <= before {
					t.Fatalf("track %d goes from %d to %d", s.Track, before, s.DTS)
				}
				if last[s.Track] = s.DTS; known && s.DTS-in != offset {
					t.Fatalf("moved by %d, before by %d", s.DTS-in, offset)
				}
				offset, known = s.DTS-in, true
			}
		}
	})
}
