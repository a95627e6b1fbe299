package captions

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/Eyevinn/go-608/cta608"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"tailcast/ingest"
)

// carries tells whether pictures of a codec may have captions in them that are read here.
func carries(c ingest.Codec) bool {
	return c == ingest.H264 || c == ingest.H265 || c == ingest.MPEG2Video
}

// A pair is two bytes of line 21, of the first field or the second.
type pair struct {
	second bool
	a, b   byte
}

// line21 reads captions out of pictures. They come in the order of decoding and count in the order of showing.
type line21 struct {
	say     func(Change)
	stream  uint8
	waiting []captioned // by PTS
	field   [2]field
}

// captioned are the pairs of one picture.
type captioned struct {
	pts   int64
	pairs []pair
}

// A field carries two channels; a control code says which one is meant from there on.
type field struct {
	channel [2]*cta608.Decoder // nil: nothing has come for it
	current int
	last    pair // the control code before: each is sent twice
	other   bool // what comes is no caption but service data (XDS)
}

func newLine21(stream uint8, say func(Change)) *line21 { return &line21{say: say, stream: stream} }

func (l *line21) reset() { *l = line21{say: l.say, stream: l.stream} }

// maxWaiting is how many pictures may wait to be shown: twice what codecs allow.
const maxWaiting = 32

func (l *line21) write(c ingest.Codec, s *ingest.Sample) {
	var pairs []pair
	eachCaptionData(c, s.Data, func(data []byte) { pairs = append(pairs, pairsOf(data)...) })
	if len(pairs) > 0 {
		l.announce(s.PTS)
		at, _ := slices.BinarySearchFunc(l.waiting, s.PTS, func(c captioned, pts int64) int { return cmp.Compare(c.pts, pts) })
		l.waiting = slices.Insert(l.waiting, at, captioned{s.PTS, pairs})
	}
	for len(l.waiting) > 0 && (l.waiting[0].pts <= s.DTS || len(l.waiting) > maxWaiting) { // none that is shown before will be decoded
		due := l.waiting[0]
		l.waiting = l.waiting[1:]
		for _, p := range due.pairs {
			l.pair(p, due.pts)
		}
	}
}

// announce tells that there are captions, or will be: of the first channel, which is there wherever there is any.
func (l *line21) announce(at int64) {
	if l.field[0].channel[0] == nil {
		l.field[0].channel[0] = &cta608.Decoder{}
		l.say(Change{Track{Kind: Line21, Number: 1, stream: l.stream}, at, ""})
	}
}

// pair takes two bytes of a field. Bit 7 is parity, which went through a digital channel.
func (l *line21) pair(p pair, at int64) {
	p.a, p.b = p.a&0x7f, p.b&0x7f
	f, n := &l.field[0], 1
	if p.second {
		f, n = &l.field[1], 3
	}
	if !f.takes(p) || f.channel[f.current] == nil {
		return
	}
	d := f.channel[f.current]
	if extended(p) { // it stands in the place of the character before, which simpler receivers show
		d.Push([]cta608.Token{cta608.Command{Op: cta608.BS}})
	}
	if d.Feed([]byte{p.a, p.b}) == nil {
		l.say(Change{Track{Kind: Line21, Number: n + f.current, stream: l.stream}, at, screenText(d.Screen())})
	}
}

// takes tells whether a pair says something to a channel, and sets which.
func (f *field) takes(p pair) bool {
	control := p.a >= 0x10 && p.a < 0x20
	again := control && p == f.last
	f.last = pair{}
	switch {
	case p.a == 0 && p.b == 0 || again:
		return false
	case p.a > 0 && p.a < 0x10:
		f.other = p.second
		return false
	case control:
		f.last, f.other, f.current = p, false, int(p.a>>3&1)
		if f.channel[f.current] == nil {
			f.channel[f.current] = &cta608.Decoder{}
		}
	}
	return !f.other
}

func extended(p pair) bool {
	return (p.a&^8 == 0x12 || p.a&^8 == 0x13) && p.b >= 0x20 && p.b < 0x40
}

func screenText(s cta608.Screen) string {
	var out []string
	for _, row := range s.Rows {
		var line strings.Builder
		end := 0
		for _, run := range row.Runs {
			if run.Column > end {
				line.WriteByte(' ')
			}
			line.WriteString(run.Text)
			end = run.Column + len([]rune(run.Text))
		}
		if text := strings.Join(strings.Fields(line.String()), " "); text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// a53 is what cc_data in user data begins with (ATSC A/53 part 4, 6.2.3): "GA94", and the type of what follows.
var a53 = []byte{'G', 'A', '9', '4', 3}

// eachCaptionData finds cc_data in an access unit: in SEI messages before the first slice, or in MPEG-2's user data.
func eachCaptionData(c ingest.Codec, b []byte, each func([]byte)) {
	for b = afterStart(b); len(b) > 0 && !isSlice(c, b[0]); b = afterStart(b) {
		unit := b
		if i := bytes.Index(b, []byte{0, 0, 1}); i >= 0 {
			unit = b[:i]
		}
		switch {
		case c == ingest.H264 && b[0]&0x1f == 6:
			eachUserData(h264.EmulationPreventionRemove(unit[1:]), each)
		case c == ingest.H265 && b[0]>>1&0x3f == 39 && len(unit) > 2:
			eachUserData(h264.EmulationPreventionRemove(unit[2:]), each)
		case c == ingest.MPEG2Video && b[0] == 0xb2:
			if data, ok := bytes.CutPrefix(unit[1:], a53); ok {
				each(data)
			}
		}
	}
}

// isSlice tells by its first byte whether a unit is a slice of a picture.
func isSlice(c ingest.Codec, first byte) bool {
	switch c {
	case ingest.H264:
		return first&0x1f >= 1 && first&0x1f <= 5
	case ingest.H265:
		return first>>1&0x3f < 32
	}
	return first >= 1 && first <= 0xaf
}

// afterStart is what follows the next start code.
func afterStart(b []byte) []byte {
	i := bytes.Index(b, []byte{0, 0, 1})
	if i < 0 {
		return nil
	}
	return b[i+3:]
}

// eachUserData walks through SEI messages (ITU-T H.264, 7.3.2.3) for registered user data (type 4) of ATSC: country 0xb5, provider 0x0031.
func eachUserData(b []byte, each func([]byte)) {
	for len(b) >= 2 {
		var kind, size int
		kind, b = sum(b)
		size, b = sum(b)
		if size > len(b) {
			return
		}
		if data, ok := bytes.CutPrefix(b[:size], []byte{0xb5, 0x00, 0x31}); ok && kind == 4 {
			if data, ok = bytes.CutPrefix(data, a53); ok {
				each(data)
			}
		}
		b = b[size:]
	}
}

// sum reads a number written as bytes of 255 and a last one.
func sum(b []byte) (n int, rest []byte) {
	for len(b) > 0 && b[0] == 0xff {
		n, b = n+255, b[1:]
	}
	if len(b) == 0 {
		return n, nil
	}
	return n + int(b[0]), b[1:]
}

// pairsOf reads cc_data: flags and count, a byte of nothing, then three bytes each; valid is bit 2, and types 0 and 1 are the fields of line 21.
// Types 2 and 3 are CTA-708, which says the same in another form wherever it is used.
func pairsOf(b []byte) (out []pair) {
	if len(b) < 2 || b[0]&0x40 == 0 {
		return nil
	}
	n := int(b[0] & 0x1f)
	for b = b[2:]; n > 0 && len(b) >= 3; n, b = n-1, b[3:] {
		if b[0]&4 != 0 && b[0]&3 < 2 {
			out = append(out, pair{b[0]&3 == 1, b[1], b[2]})
		}
	}
	return out
}
