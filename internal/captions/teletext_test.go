package captions

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asticode/go-astisub"

	"tailcast/ingest"
	"tailcast/internal/captions/captionstest"
	"tailcast/internal/ts"
)

const (
	pictures = 0
	subtitle = 3
)

// program has pictures and teletext with a page of subtitles in German, one for the hard of hearing in Polish, and an index page.
func program() *ingest.Program {
	return &ingest.Program{Number: 1, PMTPID: 0x1000, PCRPID: 0x100, Tracks: []ingest.Track{
		{ID: pictures, Codec: ingest.H264, PID: 0x100, StreamType: 0x1b, StreamID: 0xe0},
		{ID: subtitle, Codec: ingest.Data, PID: 0x103, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{
			tagTeletext, 15, 'd', 'e', 'u', 0x08 | 1, 0x00, 'd', 'e', 'u', typeSubtitle<<3 | 1, 0x50, 'p', 'o', 'l', typeImpaired << 3, 0x88,
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

func data(s *captionstest.Teletext, at int64) *ingest.Sample {
	return &ingest.Sample{Track: subtitle, PTS: at, DTS: at, Data: s.Take()}
}

func TestTeletext(t *testing.T) {
	d, got := heard(program())
	var tracks []string
	for _, track := range d.Tracks() {
		tracks = append(tracks, fmt.Sprintf("%s %s %v", track.ID(), track.Language, track.Impaired))
	}
	same(t, &tracks, "teletext-150-3 deu false", "teletext-888-3 pol true")

	s := &captionstest.Teletext{}
	s.Header(150, 4)
	s.Line(150, 20, "Gr}~e aus K|ln:")
	s.Line(150, 22, "[lf Br}cken")
	d.Write(data(s, 1000)) // what is not ended may go on
	same(t, got)
	s.Header(100, 4)
	s.Line(100, 1, "not ours")
	d.Write(data(s, 4600))
	same(t, got, "1000 teletext-150-3: Grüße aus Köln:\nÄlf Brücken")

	s.Header(888, 0)
	s.Line(888, 22, "_le [")
	d.Write(data(s, 9000))
	d.Write(&ingest.Sample{Track: pictures, DTS: 9000 + patience, PTS: 9000 + patience})
	same(t, got)
	d.Write(&ingest.Sample{Track: pictures, DTS: 9001 + patience, PTS: 9001 + patience}) // nothing ends the page, and it has been long enough
	same(t, got, "9000 teletext-888-3: óle Ż")

	s.Header(150, 4)
	s.Header(150, 4)
	d.Write(data(s, 50000))
	same(t, got, "50000 teletext-150-3: ")
	d.Section(60000)
	same(t, got, "60000 teletext-888-3: ")
}

func TestTeletextAlphabets(t *testing.T) {
	d, got := heard(program())
	s := &captionstest.Teletext{}
	s.Triplets(100, 29, [3]int{}) // text, region 0
	s.Header(150, 7)
	s.Triplets(150, 28, [3]int{0, 0x10, 1}) // region 3: 0b0011 in bits 11 to 14
	s.Line(150, 20, "[[")
	s.Header(150, 1) // packet 28 was for one page
	s.Line(150, 20, "a e")
	s.Triplets(150, 26, [3]int{firstRow + 20, modeRow, 0}, [3]int{3, modeAccent + 2, 'e'}, [3]int{4, modeMore, 0x55})
	s.Header(100, 0)
	d.Write(data(s, 0))
	same(t, got, "0 teletext-150-3: ÂÂ", "0 teletext-150-3: e\u0301♪e")
}

// TestTeletextBeyondLatin types words as senders of these languages do: first nothing but the language says which letters they are, then packet 28.
func TestTeletextBeyondLatin(t *testing.T) {
	for _, c := range []struct {
		language       string
		region         int
		option         byte
		typed, becomes string
	}{
		{"mkd", 4, 0, "Xubazni `a}avog lica _", "Љубазни чађавог лица Џ"},
		{"bul", 4, 1, "Sye{x |tih bulok, w&pej", "Съешь этих булок, выпей"},
		{"ukr", 4, 5, "]astq j krasa: &vak, |not", "Щастя й краса: їжак, єнот"},
		{"ell", 6, 7, "Nesjep\\fy tgm <xuwovh|qa>", "Ξεσκεπάζω την «ψυχοφθόρα»"},
	} {
		p := program()
		d, got := heard(p)
		s := &captionstest.Teletext{}
		s.Header(150, c.option)
		s.Triplets(150, 28, [3]int{0, c.region & 1 << 4, c.region >> 1})
		s.Line(150, 20, c.typed)
		s.Header(100, 0)
		d.Write(data(s, 0))
		same(t, got, "0 teletext-150-3: "+c.becomes)

		copy(p.Tracks[1].Descriptors[7:], c.language)
		d, got = heard(p)
		s.Header(150, c.option)
		s.Line(150, 20, c.typed)
		s.Header(100, 0)
		d.Write(data(s, 0))
		same(t, got, "0 teletext-150-3: "+c.becomes)
	}
}

// TestTeletextLikeAstisub compares all national alphabets, all letters, with what another reader makes of the same stream.
func TestTeletextLikeAstisub(t *testing.T) {
	for option := range byte(7) {
		p := program()
		d, got := heard(p)
		s := &captionstest.Teletext{}
		var stream bytes.Buffer
		mux := ts.NewMuxer(&stream)
		_ = mux.SetProgram(p)
		var letters []byte
		for c := byte(0x21); c < 0x7f; c++ {
			letters = append(letters, c)
		}
		s.Header(150, option)
		for i := range 3 {
			s.Line(150, 18+i, string(letters[i*len(letters)/3:(i+1)*len(letters)/3]))
		}
		s.Header(100, option)
		first := data(s, 90000)
		s.Header(150, option)
		s.Header(100, option)
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
			b := captionstest.Hamming(v)
			if bit >= 0 {
				b[bit/8] ^= 1 << (bit % 8)
			}
			if got, ok := triplet(b); !ok || got != v {
				t.Errorf("%#x with bit %d wrong: got %#x, %v", v, bit, got, ok)
			}
		}
		b := captionstest.Hamming(v)
		b[0] ^= 9
		if _, ok := triplet(b); ok {
			t.Errorf("%#x with two bits wrong is taken", v)
		}
	}
}
