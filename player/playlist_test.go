package player

import (
	"bufio"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
)

// This file is a validator of media playlists, written from RFC 8216 and draft-pantos-hls-rfc8216bis and not from the code that writes them.

// A media is a media playlist taken apart.
type media struct {
	version, target          int
	number, breaks           int
	part, holdBack, partHold float64
	skipUntil                float64
	blocks, independent      bool
	skipped                  int
	segments                 []mediaSegment
	open                     mediaSegment // parts behind the last segment
	hint                     string
	reports                  []mediaReport
}

// A mediaReport is an EXT-X-RENDITION-REPORT (8216bis, 4.4.5.4).
type mediaReport struct {
	uri          string
	number, part int // part: -1 for none
}

type mediaSegment struct {
	uri, mapURI string
	seconds     float64
	broken      bool
	date        time.Time
	parts       []mediaPart
}

type mediaPart struct {
	uri         string
	seconds     float64
	independent bool
}

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^",]*)`)

// attributes reads an attribute list (RFC 8216, 4.2).
func attributes(s string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		out[m[1]] = strings.Trim(m[2], `"`)
	}
	return out
}

func decimal(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("playlist: %q is not a number", s)
	}
	return f
}

// parseMedia takes a playlist apart. Unknown tags fail the test: whoever adds one says here what it must be like.
func parseMedia(t *testing.T, text string) *media {
	t.Helper()
	m, s := &media{}, mediaSegment{}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		tag, rest, _ := strings.Cut(lines.Text(), ":")
		a := attributes(rest)
		switch {
		case n == 0:
			if lines.Text() != "#EXTM3U" {
				t.Fatalf("the first line is %q (RFC 8216, 4.3.1.1)", lines.Text())
			}
		case tag == "#EXT-X-VERSION":
			m.version = int(decimal(t, rest))
		case tag == "#EXT-X-TARGETDURATION":
			m.target = int(decimal(t, rest))
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			m.number = int(decimal(t, rest))
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			m.breaks = int(decimal(t, rest))
		case tag == "#EXT-X-INDEPENDENT-SEGMENTS":
			m.independent = true
		case tag == "#EXT-X-SERVER-CONTROL":
			m.blocks = a["CAN-BLOCK-RELOAD"] == "YES"
			m.holdBack, m.skipUntil = decimal(t, a["HOLD-BACK"]), decimal(t, a["CAN-SKIP-UNTIL"])
			if hold, ok := a["PART-HOLD-BACK"]; ok {
				m.partHold = decimal(t, hold)
			}
		case tag == "#EXT-X-PART-INF":
			m.part = decimal(t, a["PART-TARGET"])
		case tag == "#EXT-X-SKIP":
			m.skipped = int(decimal(t, a["SKIPPED-SEGMENTS"]))
		case tag == "#EXT-X-MAP":
			s.mapURI = a["URI"]
		case tag == "#EXT-X-DISCONTINUITY":
			s.broken = true
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			var err error
			if s.date, err = time.Parse(time.RFC3339Nano, rest); err != nil {
				t.Fatalf("%q: %v", rest, err)
			}
		case tag == "#EXT-X-PART":
			s.parts = append(s.parts, mediaPart{a["URI"], decimal(t, a["DURATION"]), a["INDEPENDENT"] == "YES"})
		case tag == "#EXT-X-PRELOAD-HINT":
			if a["TYPE"] != "PART" || m.hint != "" {
				t.Errorf("hint %q", rest)
			}
			m.hint = a["URI"]
		case tag == "#EXT-X-RENDITION-REPORT":
			r := mediaReport{a["URI"], int(decimal(t, a["LAST-MSN"])), -1}
			if part, ok := a["LAST-PART"]; ok {
				r.part = int(decimal(t, part))
			}
			m.reports = append(m.reports, r)
		case tag == "#EXTINF":
			s.seconds = decimal(t, strings.TrimSuffix(rest, ","))
		case strings.HasPrefix(tag, "#"):
			t.Fatalf("line %d: unknown tag %q", n+1, lines.Text())
		default:
			s.uri = lines.Text()
			m.segments = append(m.segments, s)
			s = mediaSegment{}
		}
	}
	m.open = s
	return m
}

// end is where the playlist ends, as a report of it has to say.
func (m *media) end() (number, part int) {
	if n := len(m.open.parts); n > 0 {
		return m.number + len(m.segments), n - 1
	}
	return m.number + len(m.segments) - 1, len(m.segments[len(m.segments)-1].parts) - 1
}

// valid checks what a playlist must be like by itself.
func (m *media) valid(t *testing.T, text string) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format+"\n%s", append(args, text)...)
	}
	if m.version < 9 || m.target == 0 || m.part == 0 || !m.blocks || !m.independent {
		fail("version %d, target %d, part target %v, blocking %v, independent %v", m.version, m.target, m.part, m.blocks, m.independent)
	}
	if m.holdBack < 3*float64(m.target) || m.partHold < 3*m.part-0.001 || m.skipUntil < 6*float64(m.target) {
		fail("HOLD-BACK %v, PART-HOLD-BACK %v, CAN-SKIP-UNTIL %v (8216bis, 4.4.3.8)", m.holdBack, m.partHold, m.skipUntil)
	}
	uris := map[string]bool{}
	for i, s := range m.segments {
		if math.Round(s.seconds) > float64(m.target) || s.seconds <= 0 {
			fail("segment %d lasts %v, the target duration is %d (8216, 4.3.3.1)", i, s.seconds, m.target)
		}
		if i == 0 && (s.mapURI == "" || s.date.IsZero()) {
			fail("the first segment has no EXT-X-MAP or no date")
		}
		if i > 0 && s.mapURI != "" && !s.broken {
			fail("segment %d has another EXT-X-MAP without a discontinuity (8216, 4.3.2.3)", i)
		}
		if uris[s.uri] || s.uri == "" {
			fail("segment %d: URI %q", i, s.uri)
		}
		uris[s.uri] = true
		m.validParts(fail, s, fmt.Sprint(i), true)
	}
	m.validParts(fail, m.open, "open", false)
	for _, r := range m.reports {
		if u, err := url.Parse(r.uri); err != nil || u.IsAbs() || u.Path == "" || r.number < 0 {
			fail("report %+v", r)
		}
	}
	var foreign playlist.Media
	if err := foreign.Unmarshal([]byte(text)); err != nil || len(foreign.Segments) != len(m.segments) {
		fail("gohlslib reads %d segments of %d: %v", len(foreign.Segments), len(m.segments), err)
	}
}

func (m *media) validParts(fail func(string, ...any), s mediaSegment, name string, complete bool) {
	sum := 0.0
	for i, p := range s.parts {
		sum += p.seconds
		if p.seconds > m.part {
			fail("part %d of segment %s lasts %v, the part target is %v (8216bis, 4.4.3.7)", i, name, p.seconds, m.part)
		}
		if last := complete && i == len(s.parts)-1; !last && p.seconds < 0.85*m.part {
			fail("part %d of segment %s lasts %v, less than 85 %% of %v (8216bis, 4.4.3.7)", i, name, p.seconds, m.part)
		}
		if i == 0 && !p.independent {
			fail("segment %s begins with a part that is not independent", name)
		}
	}
	if complete && len(s.parts) > 0 && math.Abs(sum-s.seconds) > 0.002 {
		fail("the parts of segment %s last %v, it lasts %v", name, sum, s.seconds)
	}
}

// follows checks what may change from one playlist to a later one (RFC 8216, 6.2.1 and 6.2.2).
func (m *media) follows(t *testing.T, before *media) {
	t.Helper()
	if m.target != before.target || m.part != before.part {
		t.Errorf("target durations %d, %v were %d, %v", m.target, m.part, before.target, before.part)
	}
	if m.number < before.number || m.number+len(m.segments) < before.number+len(before.segments) {
		t.Errorf("segments %d to %d after %d to %d", m.number, m.number+len(m.segments), before.number, before.number+len(before.segments))
	}
	was := before.numbered()
	for n, s := range m.numbered() {
		b, ok := was[n]
		if ok && (s.uri != b.uri || s.seconds != b.seconds || s.breaks != b.breaks) {
			t.Errorf("segment %d is %+v, was %+v", n, s, b)
		}
	}
}

type numbered struct {
	uri     string
	seconds float64
	breaks  int // its Discontinuity Sequence Number
}

func (m *media) numbered() map[int]numbered {
	out, breaks := map[int]numbered{}, m.breaks
	for i, s := range m.segments {
		if s.broken {
			breaks++
		}
		out[m.number+m.skipped+i] = numbered{s.uri, s.seconds, breaks}
	}
	return out
}

// multivariant checks a multivariant playlist and returns its variants, by the RFCs and not by what gohlslib, which writes it, takes for right.
func multivariant(t *testing.T, text string) (variants []map[string]string) {
	t.Helper()
	groups, want := map[string]bool{}, map[string]bool{}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] != "#EXTM3U" {
		t.Fatalf("the first line is %q (RFC 8216, 4.3.1.1)", lines[0])
	}
	for i := 1; i < len(lines); i++ {
		tag, rest, _ := strings.Cut(lines[i], ":")
		a := attributes(rest)
		switch tag {
		case "", "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS":
		case "#EXT-X-MEDIA":
			if a["TYPE"] != "SUBTITLES" || a["GROUP-ID"] == "" || a["NAME"] == "" || a["URI"] == "" || a["FORCED"] != "" && a["FORCED"] != "NO" {
				t.Errorf("%s: want TYPE, GROUP-ID, NAME, and of subtitles a URI (4.3.4.1)", lines[i])
			}
			groups[a["GROUP-ID"]] = true
		case "#EXT-X-STREAM-INF":
			if i++; i == len(lines) || strings.HasPrefix(lines[i], "#") || lines[i] == "" {
				t.Fatalf("no URI follows %q (4.3.4.2)", rest)
			}
			validVariant(t, a)
			if g := a["SUBTITLES"]; g != "" {
				want[g] = true
			}
			a["URI"] = lines[i]
			variants = append(variants, a)
		default:
			t.Errorf("unknown tag %q", lines[i])
		}
	}
	if !maps.Equal(groups, want) || len(variants) == 0 {
		t.Errorf("groups %v are there, %v are wanted; %d variants:\n%s", groups, want, len(variants), text)
	}
	return variants
}

var resolution = regexp.MustCompile(`^[1-9]\d*x[1-9]\d*$`)

// validVariant checks the attributes of an EXT-X-STREAM-INF (RFC 8216, 4.3.4.2; codecs as RFC 6381 names them).
func validVariant(t *testing.T, a map[string]string) {
	t.Helper()
	peak, mean := decimal(t, a["BANDWIDTH"]), decimal(t, a["AVERAGE-BANDWIDTH"])
	if peak != math.Trunc(peak) || mean != math.Trunc(mean) || mean <= 0 || peak < mean {
		t.Errorf("variant %v: BANDWIDTH is the peak, AVERAGE-BANDWIDTH the mean, of bits a second", a)
	}
	video := strings.Contains(a["CODECS"], "avc1.") || strings.Contains(a["CODECS"], "hvc1.")
	if a["CODECS"] == "" || video != resolution.MatchString(a["RESOLUTION"]) {
		t.Errorf("variant %v: want CODECS, and of pictures a RESOLUTION", a)
	}
	if rate := a["FRAME-RATE"]; rate != "" && (decimal(t, rate) <= 0 || !video) {
		t.Errorf("variant %v: FRAME-RATE", a)
	}
}
