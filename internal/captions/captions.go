// Package captions reads what the subtitles of a program say: teletext pages (ETSI EN 300 706, in DVB by EN 300 472), and the line-21 captions
// of North America that travel inside pictures (CTA-608, in cc_data of ATSC A/53). It makes text of them and nothing else: no colours, no
// places on the screen. DVB subtitles (EN 300 743) are pictures; they are listed and never become text.
//
// CTA-608 itself is read by go-608. Teletext is read here: go-astisub, which reads it too, takes whole files, and damaged bytes end it with a
// panic; it is the oracle of the tests.
package captions

import (
	"fmt"
	"slices"

	"tailcast/ingest"
)

// Kind is how captions travel.
type Kind string

// The kinds there are. Bitmap tracks have no text.
const (
	Teletext Kind = "teletext"
	Line21   Kind = "cc"
	Bitmap   Kind = "bitmap"
)

// A Track is one set of captions of a program.
type Track struct {
	Kind     Kind
	Language string // ISO 639-2, "" if unknown
	Impaired bool   // for the hard of hearing
	Number   int    // the teletext page (100 to 899), the channel (1 to 4), or which of the bitmap ones it is
	stream   uint8  // ingest.Track.ID; of line 21 that of the pictures
}

// ID names the track within its program: "teletext-888-2", "cc-1". It stays the same while the program's table does.
func (t Track) ID() string {
	if t.Kind == Line21 {
		return fmt.Sprintf("%s-%d", t.Kind, t.Number)
	}
	return fmt.Sprintf("%s-%d-%d", t.Kind, t.Number, t.stream)
}

// Tags of descriptors (ETSI EN 300 468, 6.1; ATSC A/65, 6.9).
const (
	tagVBITeletext = 0x46
	tagTeletext    = 0x56
	tagSubtitling  = 0x59
	tagCaptions    = 0x86
)

// Types of a teletext page that are subtitles (EN 300 468, table 100), and of a bitmap that is for the hard of hearing (table 26).
const (
	typeSubtitle = 0x02
	typeImpaired = 0x05
	bitmapFirst  = 0x20
)

// maxTracks bounds what is made of one table; whoever sends more means harm.
const maxTracks = 32

// announced are the tracks that the descriptors of a program name.
func announced(p *ingest.Program) (out []Track) {
	for i := range p.Tracks {
		t := &p.Tracks[i]
		eachDescriptor(t.Descriptors, func(tag byte, b []byte) {
			switch {
			case t.Codec == ingest.Data && (tag == tagTeletext || tag == tagVBITeletext):
				out = append(out, pages(t.ID, b)...)
			case t.Codec == ingest.Data && tag == tagSubtitling:
				for n := 1; len(b) >= 8; n, b = n+1, b[8:] {
					out = append(out, Track{Bitmap, language(b), b[3] >= bitmapFirst, n, t.ID})
				}
			case t.Codec.IsVideo() && tag == tagCaptions:
				out = append(out, Track{Kind: Line21, Number: 1, stream: t.ID})
			}
		})
	}
	return out[:min(len(out), maxTracks)]
}

// pages reads a teletext descriptor: language, type and magazine, page in two decimal digits, five bytes each.
func pages(stream uint8, b []byte) (out []Track) {
	for ; len(b) >= 5; b = b[5:] {
		kind, magazine := b[3]>>3, int(b[3]&7)
		if magazine == 0 {
			magazine = 8
		}
		if kind == typeSubtitle || kind == typeImpaired {
			out = append(out, Track{Teletext, language(b), kind == typeImpaired, 100*magazine + 10*int(b[4]>>4) + int(b[4]&15), stream})
		}
	}
	return out
}

func eachDescriptor(b []byte, each func(tag byte, data []byte)) {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		n := 2 + int(b[1])
		each(b[0], b[2:n])
		b = b[n:]
	}
}

// language is three letters, or nothing.
func language(b []byte) string {
	for _, c := range b[:3] {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return ""
		}
	}
	return string([]byte{b[0] | 0x20, b[1] | 0x20, b[2] | 0x20})
}

// A Change says what a track shows from a time on.
type Change struct {
	Track Track
	At    int64  // 90 kHz, as the samples
	Text  string // lines; "" for nothing
}

// A Decoder reads the captions of one program out of its samples, in their order. It is for one goroutine.
type Decoder struct {
	changed func(Change)
	shown   []shown // of each track, in the order of Tracks
	text    map[uint8]*teletext
	cc      *line21
	picture int // the stream of the pictures, -1 if there is none that may have captions
	codec   ingest.Codec
}

// shown is what one track shows.
type shown struct {
	track Track
	text  string
	at    int64
	draft *Change // typed letter by letter, and not told yet
}

// NewDecoder makes a Decoder that tells each change, and of line 21 each channel that is there, though it says nothing yet.
func NewDecoder(p *ingest.Program, changed func(Change)) *Decoder {
	d := &Decoder{changed: changed, text: map[uint8]*teletext{}, picture: -1}
	for _, t := range announced(p) {
		d.shown = append(d.shown, shown{track: t})
		if t.Kind != Teletext {
			continue
		}
		if d.text[t.stream] == nil {
			d.text[t.stream] = newTeletext(d.say)
		}
		d.text[t.stream].want(t)
	}
	for i := range p.Tracks {
		if t := &p.Tracks[i]; d.picture < 0 && carries(t.Codec) {
			d.picture, d.codec = int(t.ID), t.Codec
			d.cc = newLine21(t.ID, d.say)
		}
	}
	return d
}

// Tracks are those that are known; of line 21 the channels that have been seen so far.
func (d *Decoder) Tracks() (out []Track) {
	for i := range d.shown {
		out = append(out, d.shown[i].track)
	}
	return out
}

// Shown calls each for what is shown now, where that is anything.
func (d *Decoder) Shown(each func(Change)) {
	for i := range d.shown {
		if s := &d.shown[i]; s.text != "" {
			each(Change{s.track, s.at, s.text})
		}
	}
}

// Write reads one sample.
func (d *Decoder) Write(s *ingest.Sample) {
	if t := d.text[s.Track]; t != nil {
		t.write(s.Data, s.PTS)
	}
	if int(s.Track) == d.picture && d.cc != nil {
		d.cc.write(d.codec, s)
	}
	for _, t := range d.text {
		t.overdue(s.DTS)
	}
	for i := range d.shown {
		if c := d.shown[i].draft; c != nil && s.DTS-d.shown[i].at > slowest {
			d.tell(&d.shown[i], *c)
		}
	}
}

// Section begins a new time: what waits is forgotten, and nothing is shown.
func (d *Decoder) Section(at int64) {
	for _, t := range d.text {
		t.reset()
	}
	if d.cc != nil {
		d.cc.reset()
	}
	for i := range d.shown {
		d.shown[i].draft = nil
		d.tell(&d.shown[i], Change{d.shown[i].track, at, ""})
	}
}

// slowest is how often a line that is typed letter by letter is told anew.
const slowest = ingest.ClockRate / 3

// say takes in what a track shows.
func (d *Decoder) say(c Change) {
	i := slices.IndexFunc(d.shown, func(s shown) bool { return s.track.ID() == c.Track.ID() })
	if i < 0 {
		if len(d.shown) >= maxTracks {
			return
		}
		i = len(d.shown)
		d.shown = append(d.shown, shown{track: c.Track, at: c.At - slowest - 1})
		if c.Text == "" {
			d.changed(c) // so that people know that there is something to turn on
		}
	}
	s := &d.shown[i]
	if len(c.Text) > len(s.text) && c.Text[:len(s.text)] == s.text && s.text != "" && c.At-s.at <= slowest {
		s.draft = &c
		return
	}
	d.tell(s, c)
}

func (d *Decoder) tell(s *shown, c Change) {
	s.draft = nil
	if c.Text == s.text {
		return
	}
	s.text, s.at = c.Text, c.At
	d.changed(c)
}
