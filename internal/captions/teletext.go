package captions

import (
	"math/bits"
	"strings"

	"tailcast/ingest"
)

// In DVB a teletext packet travels in a data unit of 46 bytes; all bits are first to last from the highest (EN 300 472, 4.4):
//
//	id u8 (2: teletext, 3: subtitles) · 44 u8 · field and line u8 · framing code 0xe4 u8 · packet, 42 bytes
//
// and begins with its magazine and number, Hamming 8/4. Packet 0 is the header of a page: it ends the page before, of its magazine or, where
// pages come one by one, of all. Packets 1 to 24 are its lines.
const (
	unitText     = 2
	unitSubtitle = 3
	packetSize   = 42
	unitSize     = 2 + packetSize
	framing      = 0xe4
	lines        = 24
	columns      = 40
)

// patience is how long a page is waited for that no header ends.
const patience = ingest.ClockRate * 2 / 5

// teletext reads one stream of teletext.
type teletext struct {
	say       func(Change)
	wanted    map[uint16]*page // by magazine (0 for 8) and page, as sent
	receiving [8]*page         // of each magazine, if it is a wanted one
	region    [8]int           // of each magazine: which alphabets its pages choose from; -1: not said
}

// A page is a wanted one.
type page struct {
	track  Track
	begun  int64 // PTS of its header
	open   bool  // lines may come
	option byte  // C12 to C14: which alphabet of the region
	region int   // -1: not said
	line   [lines + 1][columns]byte
	accent []accent
}

func newTeletext(say func(Change)) *teletext {
	t := &teletext{say: say, wanted: map[uint16]*page{}}
	t.reset()
	return t
}

func (t *teletext) want(track Track) {
	n := track.Number
	t.wanted[uint16(n/100%8)<<8|uint16(n/10%10)<<4|uint16(n%10)] = &page{track: track, region: -1}
}

func (t *teletext) reset() {
	for m := range t.region {
		t.receiving[m], t.region[m] = nil, -1
	}
	for _, p := range t.wanted {
		*p = page{track: p.track, region: -1}
	}
}

// write reads the payload of a PES packet. What is damaged is passed over.
func (t *teletext) write(data []byte, pts int64) {
	if len(data) == 0 || data[0]&0xf0 != 0x10 {
		return
	}
	for b := data[1:]; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if (b[0] == unitText || b[0] == unitSubtitle) && b[1] == unitSize && b[3] == framing {
			var packet [packetSize]byte
			for i := range packet {
				packet[i] = bits.Reverse8(b[4+i])
			}
			t.packet(packet[:], pts)
		}
	}
}

func (t *teletext) packet(b []byte, pts int64) {
	low, ok1 := nibble(b[0])
	high, ok2 := nibble(b[1])
	if !ok1 || !ok2 {
		return
	}
	magazine, number := low&7, high<<1|low>>3
	p := t.receiving[magazine]
	switch {
	case number == 0:
		t.header(magazine, b[2:], pts)
	case number == 29:
		t.region[magazine] = regionOf(b[2:], t.region[magazine])
	case p == nil:
	case number <= lines:
		copy(p.line[number][:], b[2:])
	case number == 26:
		p.accents(b[2:])
	case number == 28:
		p.region = regionOf(b[2:], p.region)
	}
}

// header reads packet 0: page u8 (units, tens), four nibbles of subcode with C4 to C6 in them, C7 to C10, C11 to C14; all Hamming 8/4.
func (t *teletext) header(magazine byte, b []byte, pts int64) {
	var n [8]byte
	for i := range n {
		var ok bool
		if n[i], ok = nibble(b[i]); !ok {
			return
		}
	}
	erase, serial := n[3]&8 != 0, n[7]&1 != 0
	for m := range t.receiving {
		if serial || m == int(magazine) {
			t.finish(m)
		}
	}
	p := t.wanted[uint16(magazine)<<8|uint16(n[1])<<4|uint16(n[0])]
	if p == nil {
		return
	}
	if erase {
		p.line, p.accent = [lines + 1][columns]byte{}, nil
	}
	p.begun, p.open, p.option, p.region = pts, true, n[7]>>1, t.region[magazine]
	t.receiving[magazine] = p
}

// finish tells what the page says that a magazine was sending.
func (t *teletext) finish(magazine int) {
	if p := t.receiving[magazine]; p != nil && p.open {
		p.open = false
		t.say(Change{p.track, p.begun, p.text()})
	}
	t.receiving[magazine] = nil
}

// overdue tells what a page says that nothing has ended for a while.
func (t *teletext) overdue(now int64) {
	for m, p := range t.receiving {
		if p != nil && p.open && (now-p.begun > patience || p.begun-now > 10*ingest.ClockRate) {
			t.finish(m)
		}
	}
}

// Spacing attributes (EN 300 706, 12.2). What is to be seen of a subtitle is boxed.
const (
	endBox   = 0x0a
	startBox = 0x0b
)

func (p *page) text() string {
	var out []string
	letters := alphabet(p.track.Language, p.region, p.option)
	for row := 1; row <= lines; row++ {
		if s := strings.Join(strings.Fields(p.row(row, letters)), " "); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, "\n")
}

func (p *page) row(row int, letters *[96]rune) string {
	var out strings.Builder
	boxed := false
	for column, b := range p.line[row] {
		c := b & 0x7f
		switch {
		case bits.OnesCount8(b)%2 == 0:
			c = ' ' // parity is odd, or nothing has come
		case c == startBox:
			boxed = true
		case c == endBox:
			boxed = false
		}
		if !boxed {
			continue
		}
		r := ' '
		if c >= 0x20 {
			r = letters[c-0x20]
		}
		out.WriteString(p.accented(row, column, r))
	}
	return out.String()
}
