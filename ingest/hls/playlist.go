package hls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
)

// list is a media playlist.
type list struct {
	target   time.Duration
	part     time.Duration // target of parts; 0 if there are none
	blocks   bool          // reloads can wait for news
	holdBack time.Duration // how far from the end to begin with parts; 0 if it is not said
	start    *time.Duration
	first    int // number of the first segment
	segments []segment
	ended    bool
}

// segment is one of them. The last may be open: parts are there, the whole is not.
type segment struct {
	number        int
	open          bool
	media         resource
	duration      time.Duration
	discontinuity int // how many came before, since the stream began
	gap           bool
	date          time.Time // of its beginning; zero if unknown
	dated         bool      // by a tag of its own
	key           *key
	init          *initSection
	parts         []part
}

type part struct {
	media       resource
	duration    time.Duration
	independent bool
	gap         bool
}

// key is an EXT-X-KEY of AES-128.
type key struct {
	uri string
	iv  []byte // nil: the number of the segment
}

// initSection is an EXT-X-MAP.
type initSection struct {
	media resource
	key   *key
}

const (
	maxLines    = 200_000
	unknownPart = "tailcast:open" // URI of the segment that parse makes of what is not finished
)

var errMaster = errors.New("this is a master playlist, and a media playlist was expected")

// isMaster tells a master playlist from a media playlist.
func isMaster(text []byte) bool { return bytes.Contains(text, []byte("#EXT-X-STREAM-INF:")) }

// parse reads a media playlist that came from base.
//
// gohlslib understands the lines. It forgets which segments an EXT-X-MAP is for, and what stands before a segment that has parts only: so the maps are
// counted here and read one by one, and a last segment is added, of which that becomes the parts.
func parse(text []byte, base *url.URL) (*list, error) {
	if !bytes.HasPrefix(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("#EXTM3U")) {
		return nil, fmt.Errorf("this is no playlist of HLS: it begins with %.20q", text)
	}
	if isMaster(text) {
		return nil, errMaster
	}
	clean, inits, err := prepare(text)
	if err != nil {
		return nil, err
	}
	var m playlist.Media
	if err := m.Unmarshal(clean); err != nil {
		return nil, fmt.Errorf("couldn't understand the playlist: %w", err)
	}
	if m.Skip != nil {
		return nil, errors.New("the playlist leaves out segments, which was not asked for")
	}
	return convert(&m, inits, base)
}

// header is what a media playlist has at least.
const header = "#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-TARGETDURATION:1\n"

// prepare leaves out lines that gohlslib stumbles over and nobody here reads, and says which lines belong to the init section of each segment.
func prepare(text []byte) (clean []byte, inits []string, err error) {
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	if len(lines) > maxLines {
		return nil, nil, fmt.Errorf("the playlist has more than %d lines", maxLines)
	}
	var out strings.Builder
	var keyLine, init string
	for _, line := range lines {
		line = strings.TrimRight(line, "\r \t")
		tag, rest, _ := strings.Cut(line, ":")
		switch tag {
		case "#EXT-X-DEFINE":
			return nil, nil, refusal{errors.New("the playlist uses variables (EXT-X-DEFINE), which are not understood")}
		case "#EXT-X-PRELOAD-HINT", "#EXT-X-RENDITION-REPORT", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-BITRATE", "#EXT-X-ALLOW-CACHE":
			continue
		case "#EXT-X-KEY":
			keyLine = line + "\n"
		case "#EXT-X-MAP":
			init = keyLine + line
			continue
		case "#EXTINF":
			line = "#EXTINF:" + positive(rest)
		}
		if line != "" && line[0] != '#' {
			inits = append(inits, init)
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	out.WriteString("#EXTINF:1,\n" + unknownPart + "\n")
	return []byte(out.String()), append(inits, init), nil
}

// positive is a duration and a title; packagers write 0 for a segment that is shorter than they can say.
func positive(rest string) string {
	number, title, _ := strings.Cut(rest, ",")
	if d, err := strconv.ParseFloat(number, 64); err == nil && (d <= 0 || d > 86400 || math.IsNaN(d)) {
		number = "0.001"
	}
	return number + "," + title
}

// converter keeps what one segment hands on to the next.
type converter struct {
	base  *url.URL
	inits map[string]*initSection
	ends  map[string]int64 // of the last range of a URI
}

func convert(m *playlist.Media, inits []string, base *url.URL) (*list, error) {
	l := &list{target: time.Duration(m.TargetDuration) * time.Second, first: m.MediaSequence, ended: m.Endlist}
	if m.Start != nil {
		l.start = &m.Start.TimeOffset
	}
	if s := m.ServerControl; s != nil {
		l.blocks = s.CanBlockReload
		if s.PartHoldBack != nil {
			l.holdBack = *s.PartHoldBack
		}
	}
	if m.PartInf != nil {
		l.part = m.PartInf.PartTarget
	}
	c := converter{base: base, inits: make(map[string]*initSection), ends: make(map[string]int64)}
	discontinuity := 0
	if m.DiscontinuitySequence != nil {
		discontinuity = *m.DiscontinuitySequence
	}
	for i, s := range m.Segments {
		if s.Discontinuity {
			discontinuity++
		}
		x := segment{number: l.first + i, duration: s.Duration, discontinuity: discontinuity, gap: s.Gap}
		if err := c.segment(&x, s, inits[i]); err != nil {
			return nil, err
		}
		if i > 0 && s.DateTime == nil && !l.segments[i-1].date.IsZero() {
			x.date = l.segments[i-1].date.Add(l.segments[i-1].duration)
		}
		l.segments = append(l.segments, x)
	}
	if last := len(l.segments) - 1; len(l.segments[last].parts) == 0 {
		l.segments = l.segments[:last]
	}
	return l, nil
}

// segment fills x from what gohlslib says.
func (c *converter) segment(x *segment, s *playlist.MediaSegment, init string) (err error) {
	if s.DateTime != nil {
		x.date, x.dated = *s.DateTime, true
	}
	if x.key, err = c.key(s.Key); err != nil {
		return err
	}
	if x.init, err = c.init(init); err != nil {
		return err
	}
	for _, p := range s.Parts {
		media, err := c.resource(p.URI, p.ByteRangeLength, p.ByteRangeStart)
		if err != nil {
			return err
		}
		x.parts = append(x.parts, part{media, p.Duration, p.Independent, p.Gap})
	}
	if x.open = s.URI == unknownPart; x.open {
		x.duration = 0
		for _, p := range x.parts {
			x.duration += p.duration
		}
		return nil
	}
	x.media, err = c.resource(s.URI, s.ByteRangeLength, s.ByteRangeStart)
	return err
}

// resource resolves a URI and a range. A range without a beginning follows the one before of the same URI (RFC 8216, 4.3.2.2).
func (c *converter) resource(uri string, length, start *uint64) (r resource, err error) {
	u, err := c.base.Parse(uri)
	if err != nil {
		return r, fmt.Errorf("couldn't understand a URI of the playlist: %w", errors.Unwrap(err))
	}
	r.uri = u.String()
	if length == nil {
		return r, nil
	}
	r.from = c.ends[r.uri]
	if start != nil {
		r.from = int64(min(*start, math.MaxInt64/4))
	}
	if *length == 0 || *length > maxSegment {
		return r, fmt.Errorf("the playlist names a range of %d bytes, %d are the most", *length, maxSegment)
	}
	r.length = int64(*length)
	c.ends[r.uri] = r.from + r.length
	return r, nil
}

// key reads an EXT-X-KEY; nil if nothing is encrypted.
func (c *converter) key(k *playlist.MediaKey) (*key, error) {
	switch {
	case k == nil || k.Method == playlist.MediaKeyMethodNone:
		return nil, nil
	case k.Method != playlist.MediaKeyMethodAES128 || k.KeyFormat != "" && k.KeyFormat != "identity":
		return nil, refusal{fmt.Errorf("the stream is encrypted by %s %s, and Tailcast knows AES-128 only: ask for a stream without DRM", k.Method, k.KeyFormat)}
	}
	r, err := c.resource(k.URI, nil, nil)
	if err != nil || k.IV == "" {
		return &key{uri: r.uri}, err
	}
	digits := strings.TrimPrefix(strings.ToLower(k.IV), "0x")
	if len(digits) > 32 {
		return nil, errors.New("the playlist has an IV of more than 16 bytes")
	}
	iv, err := hex.DecodeString(strings.Repeat("0", 32-len(digits)) + digits)
	if err != nil {
		return nil, fmt.Errorf("couldn't understand an IV of the playlist: %w", err)
	}
	return &key{uri: r.uri, iv: iv}, nil
}

// init reads the lines of an init section: an EXT-X-MAP and the EXT-X-KEY that it stands behind, if any.
func (c *converter) init(lines string) (*initSection, error) {
	if x, ok := c.inits[lines]; ok || lines == "" {
		return x, nil
	}
	var m playlist.Media
	if err := m.Unmarshal([]byte(header + lines + "\n#EXTINF:1,\nx\n")); err != nil {
		return nil, fmt.Errorf("couldn't understand EXT-X-MAP: %w", err)
	}
	media, err := c.resource(m.Map.URI, m.Map.ByteRangeLength, m.Map.ByteRangeStart)
	if err != nil {
		return nil, err
	}
	k, err := c.key(m.Segments[0].Key)
	if err != nil {
		return nil, err
	}
	x := &initSection{media: media, key: k}
	c.inits[lines] = x
	return x, nil
}
