package ts

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/asticode/go-astits"

	"tailcast/ingest"
)

// eit appends what an EIT says of one event of a service; of none, if event is nil. Index 0 is what is on, 1 what follows.
func (b *build) eit(service uint16, index byte, event []byte) {
	body := []byte{byte(service >> 8), byte(service), 0xc1, index, 1, 0, 1, 0, 2, 1, tableEIT}
	b.sections(eitPID, section(tableEIT, append(body, event...)))
}

// broadcast is an event with its descriptors. Times are five and three bytes in hexadecimal: days, then decimal digits.
func broadcast(t testing.TB, start, duration string, descriptors ...[]byte) []byte {
	d := bytes.Join(descriptors, nil)
	x := append(append([]byte{0x12, 0x34}, unhex(t, start)...), unhex(t, duration)...)
	return append(append(x, 0x80|byte(len(d)>>8), byte(len(d))), d...)
}

func descriptor(tag byte, fields ...string) []byte {
	d := []byte{tag, 0}
	for _, f := range fields {
		d = append(d, f...)
	}
	d[1] = byte(len(d) - 2)
	return d
}

// count puts the length in front.
func count(s string) string { return string(byte(len(s))) + s }

func brief(language, title, about string) []byte {
	return descriptor(tagShortEvent, language, count(title), count(about))
}

func lengthy(number byte, language, part string) []byte {
	return descriptor(tagLongEvent, string(number), language, count("\x04cast\x03Eve"), count(part))
}

// The thirteenth of October 1993, 12:45:00 is the example of EN 300 468, 5.2.4.
const (
	october   = "c079124500"
	forty5    = "004500"
	following = "c079133000"
)

var october1993 = time.Date(1993, 10, 13, 12, 45, 0, 0, time.UTC)

// guided is a stream whose guide is told before each of three samples.
func guided(t testing.TB, tell func(b *build, i int)) *recorder {
	t.Helper()
	var b build
	b.pat(0, 7, 0x100)
	b.pmt(0x100, 7, 0, 0x101, nil, es(typePrivatePES, 0x101))
	for i := range 3 {
		tell(&b, i)
		b.unit(0x101, nil, pes(idPrivate1, int64(i)*3600, int64(i)*3600, true, make([]byte, 100)))
	}
	r, _ := scanAll(b.Bytes())
	return r
}

func TestGuide(t *testing.T) {
	r := guided(t, func(b *build, i int) {
		b.eit(8, 0, broadcast(t, october, forty5, brief("eng", "Another service", "")))
		b.eit(7, 0, broadcast(t, october, forty5, brief("GER", "Krimi", "Folge 3"), brief("eng", "Crime", ""), lengthy(0x01, "eng", "no"), lengthy(0x01, "ger", "Zwei To"), lengthy(0x11, "ger", "te.")))
		b.eit(7, 1, broadcast(t, following, "ffffff", brief("ger", " Nachrichten", "")))
		b.eit(7, 2, broadcast(t, following, forty5, brief("ger", "A schedule has more sections", "")))
	})
	want := []ingest.Event{
		{Start: october1993, Duration: 45 * time.Minute, Title: "Krimi", Text: "Folge 3\nZwei Tote.", Language: "ger"},
		{Start: october1993.Add(45 * time.Minute), Title: "Nachrichten", Language: "ger"},
	}
	if got := r.program(t).Events; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(r.programs) != 1 {
		t.Errorf("got %d programs, want one: what is said again is nothing new", len(r.programs))
	}
}

func TestGuideChanges(t *testing.T) {
	first := broadcast(t, october, forty5, brief("ger", "One", ""))
	second := broadcast(t, following, forty5, brief("ger", "Two", ""))
	titles := func(p *ingest.Program) (list []string) {
		for _, e := range p.Events {
			list = append(list, e.Title)
		}
		return list
	}
	for _, c := range []struct {
		name string
		tell func(b *build, i int)
		want [][]string
	}{
		{"the next begins, and then there is none", func(b *build, i int) {
			switch i {
			case 0:
				b.eit(7, 0, first)
				b.eit(7, 1, second)
			case 1: // section 1 still says the same
				b.eit(7, 0, second)
			case 2:
				b.eit(7, 1, nil)
				b.eit(7, 0, nil)
			}
		}, [][]string{{"One", "Two"}, {"Two"}, nil}},
		{"nothing is on yet", func(b *build, i int) { b.eit(7, 1, second); b.eit(7, 0, nil) }, [][]string{{"Two"}}},
		{"a time that is not known", func(b *build, i int) { b.eit(7, 0, broadcast(t, "ffffffffff", forty5, brief("ger", "x", ""))) }, [][]string{nil}},
		{"digits that are none", func(b *build, i int) { b.eit(7, 0, broadcast(t, "c0791a4500", forty5, brief("ger", "x", ""))) }, [][]string{nil}},
		{"descriptors that end early", func(b *build, i int) {
			b.eit(7, 0, broadcast(t, october, forty5, []byte{tagShortEvent, 5, 'g', 'e', 'r', 200, 'a'}, []byte{tagLongEvent, 5, 0, 'g', 'e', 'r', 9}))
		}, [][]string{{"a"}}},
		{"another program", func(b *build, i int) {
			b.eit(7, 0, first)
			if i == 1 {
				b.pat(1, 9, 0x100)
				b.pmt(0x100, 9, 0, 0x101, nil, es(typePrivatePES, 0x101))
			}
		}, [][]string{{"One"}, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := guided(t, c.tell)
			var got [][]string
			for _, p := range r.programs {
				got = append(got, titles(p))
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A damaged section says nothing.
func TestGuideDamaged(t *testing.T) {
	for cut := range 40 {
		r := guided(t, func(b *build, i int) {
			x := section(tableEIT, append([]byte{0, 7, 0xc1, 0, 1, 0, 1, 0, 2, 1, tableEIT}, broadcast(t, october, forty5, brief("ger", "Title", "x"))...))
			x[len(x)-1-cut%len(x)] ^= 0x10
			b.sections(eitPID, x)
		})
		if e := r.program(t).Events; e != nil {
			t.Errorf("byte %d from the end wrong: got %+v", cut, e)
		}
	}
}

// go-astits reads the same out of the same bytes.
func TestGuideEqualsAstits(t *testing.T) {
	var b build
	b.pat(0, 7, 0x100)
	b.pmt(0x100, 7, 0, 0x101, nil, es(typeH264, 0x101))
	b.eit(7, 0, broadcast(t, october, "023059", brief("fra", "L'heure", "un texte")))
	b.unit(0x101, nil, pes(idVideo, 0, 0, true, idr(100)))
	r, _ := scanAll(b.Bytes())
	got := r.program(t).Events

	d := astits.NewDemuxer(context.Background(), bytes.NewReader(b.Bytes()))
	for {
		x, err := d.NextData()
		if err != nil {
			t.Fatalf("go-astits finds no EIT: %v", err)
		}
		if x.EIT == nil {
			continue
		}
		e := x.EIT.Events[0]
		s := e.Descriptors[0].ShortEvent
		want := []ingest.Event{{Start: e.StartTime, Duration: e.Duration, Title: string(s.EventName), Text: string(s.Text), Language: string(s.Language)}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, go-astits has %+v", got, want)
		}
		return
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"\xc8Arger \xa4 5, \xc2etat, \xfb\xf9, \xcfs", "Ärger € 5, état, ßø, š"}, // ISO 6937
		{"caf\xc2", "caf"},
		{"Ärger", "Ärger"}, // UTF-8, though it does not say so
		{"\x15Ärger\xff", "Ärger\uFFFD"},
		{"\x01\xbf\xd5\xe0\xd2\xeb\xd9", "Первый"},
		{"\x05S\xf6hne \xfd", "Söhne ı"},
		{"\x07\xa1", "ก"},
		{"\x10\x00\x02\xb3\xf3d\xbc", "łódź"},
		{"\x10\x00\x0c\xb3", "\uFFFD"}, // there is no part 12
		{"\x10\x00", "\x00"[1:]},
		{"\x11\x04\x1f\x04\x35\xe0\x8a\x00a", "Пе\na"},
		{"\x12\xb0\xa1a", "\uFFFDa"}, // Korean: not known
		{"\x1f\x01\x02abc", "abc"},
		{"\x86Big\x87\x8anext\x05", "Big\nnext"},
	} {
		if got := text([]byte(c.in)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for first := range all { // none of them panics
		text(append([]byte{byte(first)}, all...))
		text(append([]byte{0x10, 0, byte(first)}, all...))
		text(all[first:])
	}
}
