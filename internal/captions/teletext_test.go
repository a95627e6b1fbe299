package captions

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asticode/go-astisub"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// A sender makes teletext as a broadcaster does.
type sender struct{ units [][]byte }

func (s *sender) packet(magazine, number int, rest []byte) {
	b := append([]byte{codewords[magazine&7|number&1<<3], codewords[number>>1]}, rest...)
	for len(b) < packetSize {
		b = append(b, odd(' '))
	}
	unit := []byte{unitSubtitle, unitSize, 0xe7, framing}
	for _, c := range b[:packetSize] {
		unit = append(unit, bits.Reverse8(c))
	}
	s.units = append(s.units, unit)
}

// odd adds the parity bit.
func odd(c byte) byte {
	if bits.OnesCount8(c)%2 == 0 {
		return c | 0x80
	}
	return c
}

// header begins a page; option is C12 to C14.
func (s *sender) header(page int, option byte) {
	digit := func(n int) byte { return codewords[n&15] }
	s.packet(page/100, 0, []byte{digit(page % 10), digit(page / 10 % 10), digit(0), digit(8), digit(0), digit(8), digit(0), digit(int(option<<1 | 1))})
}

// line writes boxed text, seven bits a letter.
func (s *sender) line(page, row int, text string) {
	b := []byte{odd(0x0d), odd(startBox), odd(startBox)}
	for i := range len(text) {
		b = append(b, odd(text[i]))
	}
	s.packet(page/100, row, append(b, odd(endBox), odd(endBox)))
}

// accent makes a packet 26.
func (s *sender) triplets(page, number int, list ...[3]int) {
	b := []byte{codewords[0]}
	for _, t := range list {
		b = append(b, hamming(uint32(t[0]|t[1]<<6|t[2]<<11))...)
	}
	s.packet(page/100, number, b)
}

// hamming encodes Hamming 24/18 by its definition: each parity bit makes its group odd.
func hamming(v uint32) []byte {
	var w uint32
	for i, place := 0, 1; place < 24; place++ {
		if bits.OnesCount32(uint32(place)) > 1 {
			w |= v >> i & 1 << (place - 1)
			i++
		}
	}
	for _, p := range []int{1, 2, 4, 8, 16} {
		ones := 0
		for place := 1; place < 24; place++ {
			if place&p != 0 && w>>(place-1)&1 == 1 {
				ones++
			}
		}
		if ones%2 == 0 {
			w |= 1 << (p - 1)
		}
	}
	if bits.OnesCount32(w)%2 == 0 {
		w |= 1 << 23
	}
	return []byte{byte(w), byte(w >> 8), byte(w >> 16)}
}

// take is the payload of a PES packet with what was written.
func (s *sender) take() []byte {
	out := []byte{0x10}
	for _, u := range s.units {
		out = append(out, u...)
	}
	s.units = nil
	return out
}

const (
	pictures = 0
	subtitle = 3
)

// program has pictures and teletext with a page of subtitles in German, one for the hard of hearing in Polish, and an index page.
func program() *ingest.Program {
	return &ingest.Program{Number: 1, PMTPID: 0x1000, PCRPID: 0x100, Tracks: []ingest.Track{
		{ID: pictures, Codec: ingest.H264, PID: 0x100, StreamType: 0x1b, StreamID: 0xe0},
		{ID: subtitle, Codec: ingest.Data, PID: 0x103, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{
			tagTeletext, 15, 'd', 'e', 'u', 0x08 | 1, 0x00, 'd', 'e', 'u', typeSubtitle<<3 | 1, 0x50, 'p', 'o', 'l', typeImpaired<<3 | 0, 0x88,
		}},
	}}
}

// heard collects changes: "at track: text".
func heard(p *ingest.Program) (*Decoder, *[]string) {
	var out []string
	return NewDecoder(p, func(c Change) { out = append(out, fmt.Sprintf("%d %s: %s", c.At, c.Track.ID(), c.Text)) }), &out
}

func same(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(*got, "\n\t"), strings.Join(want, "\n\t"))
	}
	*got = nil
}

func data(s *sender, at int64) *ingest.Sample {
	return &ingest.Sample{Track: subtitle, PTS: at, DTS: at, Data: s.take()}
}

func TestTeletext(t *testing.T) {
	d, got := heard(program())
	var tracks []string
	for _, track := range d.Tracks() {
		tracks = append(tracks, fmt.Sprintf("%s %s %v", track.ID(), track.Language, track.Impaired))
	}
	same(t, &tracks, "teletext-150-3 deu false", "teletext-888-3 pol true")

	s := &sender{}
	s.header(150, 4)
	s.line(150, 20, "Gr}~e aus K|ln:")
	s.line(150, 22, "[lf Br}cken")
	d.Write(data(s, 1000)) // what is not ended may go on
	same(t, got)
	s.header(100, 4)
	s.line(100, 1, "not ours")
	d.Write(data(s, 4600))
	same(t, got, "1000 teletext-150-3: Grüße aus Köln:\nÄlf Brücken")

	s.header(888, 0)
	s.line(888, 22, "_le [")
	d.Write(data(s, 9000))
	d.Write(&ingest.Sample{Track: pictures, DTS: 9000 + patience, PTS: 9000 + patience})
	same(t, got)
	d.Write(&ingest.Sample{Track: pictures, DTS: 9001 + patience, PTS: 9001 + patience}) // nothing ends the page, and it has been long enough
	same(t, got, "9000 teletext-888-3: óle Ż")

	s.header(150, 4)
	s.header(150, 4)
	d.Write(data(s, 50000))
	same(t, got, "50000 teletext-150-3: ")
	d.Section(60000)
	same(t, got, "60000 teletext-888-3: ")
}

func TestTeletextAlphabets(t *testing.T) {
	d, got := heard(program())
	s := &sender{}
	s.triplets(100, 29, [3]int{}) // text, region 0
	s.header(150, 7)
	s.triplets(150, 28, [3]int{0, 0x10, 1}) // region 3: 0b0011 in bits 11 to 14
	s.line(150, 20, "[[")
	s.header(150, 1) // packet 28 was for one page
	s.line(150, 20, "a e")
	s.triplets(150, 26, [3]int{firstRow + 20, modeRow, 0}, [3]int{3, modeAccent + 2, 'e'}, [3]int{4, modeMore, 0x55})
	s.header(100, 0)
	d.Write(data(s, 0))
	same(t, got, "0 teletext-150-3: ÂÂ", "0 teletext-150-3: e\u0301♪e")
}

// TestTeletextLikeAstisub compares all national alphabets, all letters, with what another reader makes of the same stream.
func TestTeletextLikeAstisub(t *testing.T) {
	for option := range byte(7) {
		p := program()
		d, got := heard(p)
		s := &sender{}
		var stream bytes.Buffer
		mux := ts.NewMuxer(&stream)
		_ = mux.SetProgram(p)
		var letters []byte
		for c := byte(0x21); c < 0x7f; c++ {
			letters = append(letters, c)
		}
		s.header(150, option)
		for i := range 3 {
			s.line(150, 18+i, string(letters[i*len(letters)/3:(i+1)*len(letters)/3]))
		}
		s.header(100, option)
		first := data(s, 90000)
		s.header(150, option)
		s.header(100, option)
		last := data(s, 2*90000)
		for _, sample := range []*ingest.Sample{first, last} {
			d.Write(sample)
			_ = mux.WriteSample(*sample)
		}
		theirs, err := astisub.ReadFromTeletext(bytes.NewReader(stream.Bytes()), astisub.TeletextOptions{Page: 150, PID: 0x103})
		if err != nil || len(theirs.Items) != 1 || theirs.Items[0].EndAt-theirs.Items[0].StartAt != time.Second {
			t.Fatalf("astisub: %v, %v", theirs, err)
		}
		var lines []string
		for _, line := range theirs.Items[0].Lines {
			lines = append(lines, strings.Join(strings.Fields(line.String()), " "))
		}
		same(t, got, "90000 teletext-150-3: "+strings.Join(lines, "\n"), "180000 teletext-150-3: ")
	}
}

func TestHamming(t *testing.T) {
	for n := range byte(16) {
		for bit := -1; bit < 8; bit++ {
			b := codewords[n]
			if bit >= 0 {
				b ^= 1 << bit
			}
			if got, ok := nibble(b); !ok || got != n {
				t.Errorf("%#x with bit %d wrong: got %d, %v", n, bit, got, ok)
			}
		}
		if _, ok := nibble(codewords[n] ^ 3); ok {
			t.Errorf("%#x with two bits wrong is taken", n)
		}
	}
	for _, v := range []uint32{0, 1, 0x3ffff, 0x2a5a5, 0x15a5a} {
		for bit := -1; bit < 24; bit++ {
			b := hamming(v)
			if bit >= 0 {
				b[bit/8] ^= 1 << (bit % 8)
			}
			if got, ok := triplet(b); !ok || got != v {
				t.Errorf("%#x with bit %d wrong: got %#x, %v", v, bit, got, ok)
			}
		}
		b := hamming(v)
		b[0] ^= 9
		if _, ok := triplet(b); ok {
			t.Errorf("%#x with two bits wrong is taken", v)
		}
	}
}
