package ts

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sdt appends an SDT that names a service.
func (b *build) sdt(number uint16, name string) {
	p := &ingest.Program{Number: number, Name: name}
	b.sections(sdtPID, table(nil, tableSDT, 1, sdtBody(p)))
}

func TestScannerKeepsDescriptors(t *testing.T) {
	// Each of these is changed by at least one library that parses and writes them again.
	for _, d := range []string{
		"0a0864657500656e6703", // ISO 639, two languages
		"6a010f",               // AC-3, reserved bits set
		"7f060681646575aa00",   // DVB extension
		"45070102e6e7040100",   // VBI data
		"280464002abf",         // AVC, reserved bit set
		"5f0400000028",         // private data specifier
		"3000",                 // empty and unknown
	} {
		raw := unhex(t, d)
		var b build
		b.pat(0, 1, 0x100)
		b.pmt(0x100, 1, 0, 0x101, raw, es(typeH264, 0x101, raw...), es(typePrivatePES, 0x102, raw...))
		b.unit(0x101, nil, pes(idVideo, 0, 0, true, idr(10)))
		r, _ := scanAll(b.Bytes())
		p := r.program(t)
		if !bytes.Equal(p.Descriptors, raw) || !bytes.Equal(p.Tracks[0].Descriptors, raw) || !bytes.Equal(p.Tracks[1].Descriptors, raw) {
			t.Errorf("descriptor %s: got %x, %x, %x", d, p.Descriptors, p.Tracks[0].Descriptors, p.Tracks[1].Descriptors)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		streamType  uint8
		descriptors string
		want        ingest.Codec
		language    string
		sections    bool
	}{
		{0x01, "", ingest.MPEG2Video, "", false},
		{0x02, "", ingest.MPEG2Video, "", false},
		{0x03, "0a0464657500", ingest.MPEGAudio, "deu", false},
		{0x04, "", ingest.MPEGAudio, "", false},
		{0x0f, "0a04454e4700", ingest.AAC, "eng", false},
		{0x11, "", ingest.AACLATM, "", false},
		{0x1b, "", ingest.H264, "", false},
		{0x24, "", ingest.H265, "", false},
		{0x81, "", ingest.AC3, "", false},
		{0x87, "", ingest.EAC3, "", false},
		{0x06, "6a0100", ingest.AC3, "", false},
		{0x06, "7a0100", ingest.EAC3, "", false},
		{0x06, "050441432d33", ingest.AC3, "", false},
		{0x06, "050445414333", ingest.EAC3, "", false},
		{0x06, "050448455643", ingest.H265, "", false},
		{0x06, "05044f7075737f028002", ingest.Opus, "", false},
		{0x06, "050441563031", ingest.Data, "", false}, // AV1
		{0x06, "05044b4c5641", ingest.Data, "", false}, // KLV
		{0x06, "560564657509a9", ingest.Data, "deu", false},
		{0x06, "59086672611000010002", ingest.Data, "fra", false},
		{0x86, "", ingest.Data, "", true},
		{0x05, "", ingest.Data, "", true},
		{0x0d, "", ingest.Data, "", true},
		{0x15, "", ingest.Data, "", false},
		{0xea, "", ingest.Data, "", false},
		{0x06, "0a0431323300", ingest.Data, "", false}, // no language has digits
		{0x1b, "050441432d33", ingest.H264, "", false}, // a registration does not overrule a type
	} {
		track := ingest.Track{StreamType: c.streamType, Descriptors: unhex(t, c.descriptors)}
		identify(&track)
		if track.Codec != c.want || track.Language != c.language || track.Sections != c.sections {
			t.Errorf("type %#x with %s: got %s, %q, sections %v, want %s, %q, %v", c.streamType, c.descriptors,
				track.Codec, track.Language, track.Sections, c.want, c.language, c.sections)
		}
	}
}

func TestScannerChoosesProgram(t *testing.T) {
	var b build
	b.sdt(3, "Third")
	b.pat(0, 0, 0x10, 2, 0x120, 3, 0x130)
	b.pmt(0x120, 2, 0, 0x121, nil, es(typeH264, 0x121))
	b.pmt(0x130, 3, 0, 0x131, nil, es(typeH264, 0x131))
	for i := range int64(3) {
		b.unit(0x121, nil, pes(idVideo, i*3600, i*3600, true, idr(10)))
		b.unit(0x131, nil, pes(idVideo, i*3600, i*3600, true, idr(20)))
	}
	b.pat(0, 0, 0x10, 2, 0x120, 3, 0x130) // tables are repeated, as always
	for _, c := range []struct {
		choice  uint16
		service string
		want    uint16
		name    string
	}{{0, "", 2, ""}, {2, "", 2, ""}, {3, "", 3, "Third"}, {0, " third ", 3, "Third"}, {3, "no matter what", 3, "Third"}} {
		r, _ := scan(b.Bytes(), 1316, Config{Program: c.choice, Service: c.service})
		p := r.program(t)
		if p.Number != c.want || p.Name != c.name || len(r.of(0x101+0x10*c.want)) != 3 || len(r.samples) != 3 {
			t.Errorf("choice %d, %q: got program %d %q with %d samples, want %d %q with 3", c.choice, c.service, p.Number, p.Name, len(r.samples), c.want, c.name)
		}
	}
	for _, c := range []struct {
		choice  uint16
		service string
		want    string
	}{
		{9, "", `program 9 is not in this stream; it has 2, 3 ("Third")`},
		{0, "Fourth", `no service of this stream is called "Fourth"; it has 2, 3 ("Third")`},
	} {
		s := NewScanner(Config{Sink: new(recorder), Program: c.choice, Service: c.service})
		s.Write(b.Bytes())
		s.Flush()
		if err := s.Diagnose(); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want a sentence with the programs there are", err)
		}
	}
}

// TestScannerFindsServiceLater: its name comes after the pictures of others did, and its number changes.
func TestScannerFindsServiceLater(t *testing.T) {
	var b build
	tell := func(number uint16) {
		b.pat(0, 2, 0x120, 3, 0x130)
		b.pmt(0x120, 2, 0, 0x121, nil, es(typePrivatePES, 0x121))
		b.pmt(0x130, 3, 0, 0x131, nil, es(typePrivatePES, 0x131))
		b.unit(0x121, nil, pes(idPrivate1, 0, 0, true, []byte("two")))
		b.unit(0x131, nil, pes(idPrivate1, 0, 0, true, []byte("three")))
		b.sdt(number, "Wanted")
	}
	tell(3)
	tell(2)
	tell(2)
	r, _ := scan(b.Bytes(), 1316, Config{Service: "wanted"})
	got := []string{}
	for _, s := range r.samples {
		got = append(got, string(s.Data))
	}
	if want := []string{"three", "two"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestScannerFollowsTables: codec, PIDs and the program itself change in mid-stream; nothing sent before is lost.
func TestScannerFollowsTables(t *testing.T) {
	var b build
	picture := func(pid uint16, at int64) { b.unit(pid, nil, pes(idVideo, at*3600, at*3600, false, idr(300))) }
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101), es(typePrivatePES, 0x110))
	picture(0x101, 0)
	b.unit(0x110, nil, pes(idPrivate1, 0, 0, true, []byte("data")))
	picture(0x101, 1)
	bad := b.Len()
	b.pmt(0x100, 1, 1, 0x101, nil, es(typeH265, 0x101))
	b.Bytes()[bad+20] ^= 1 // the CRC does not fit: ignored
	picture(0x101, 2)
	b.pmt(0x100, 7, 1, 0x101, nil, es(typeH265, 0x101)) // of another program on the same PID: ignored
	picture(0x101, 3)
	b.pmt(0x100, 1, 2, 0x105, nil, es(typeH265, 0x105), es(typePrivatePES, 0x110)) // another codec on another PID
	h265 := []byte{0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x26, 1, 0xaf, 0xaa, 0xaa}
	b.unit(0x105, nil, pes(idVideo, 4*3600, 4*3600, false, h265))
	b.unit(0x110, nil, pes(idPrivate1, 4*3600, 4*3600, true, []byte("more")))
	b.pat(1, 1, 0x200) // the PMT moves
	b.unit(0x105, nil, pes(idVideo, 5*3600, 5*3600, false, h265))
	b.pmt(0x200, 1, 2, 0x105, nil, es(typeH265, 0x105), es(typePrivatePES, 0x110))
	b.unit(0x105, nil, pes(idVideo, 6*3600, 6*3600, false, h265))
	b.pat(2, 4, 0x300) // another program instead
	b.pmt(0x300, 4, 0, 0x101, nil, es(typeH264, 0x101))
	picture(0x101, 7)
	r, stats := scanAll(b.Bytes())

	var codecs []string
	for i, s := range r.samples {
		p := r.programs[r.during[i]]
		j := slices.IndexFunc(p.Tracks, func(t ingest.Track) bool { return t.ID == s.Track })
		codecs = append(codecs, fmt.Sprintf("program %d %s %d", p.Number, p.Tracks[j].Codec, s.DTS/3600))
	}
	want := []string{
		"program 1 h264 0", "program 1 data 0", "program 1 h264 1", "program 1 h264 2", "program 1 h264 3",
		"program 1 data 4", "program 1 h265 4", "program 1 h265 5", "program 1 h265 6", "program 4 h264 7",
	}
	slices.Sort(codecs[:3])
	slices.Sort(want[:3])
	if !slices.Equal(codecs, want) {
		t.Errorf("got %q, want %q", codecs, want)
	}
	if n := stats.DamagedSamples.Load() + stats.LostPackets.Load() + stats.Discontinuities.Load(); n != 0 {
		t.Errorf("got %d samples damaged or out of time, or packets lost", n)
	}
	if id := r.of(0x110)[1].Track; id != r.of(0x110)[0].Track {
		t.Errorf("a track that stays has changed its ID to %d", id)
	}
}

func TestScannerSections(t *testing.T) {
	splice := unhex(t, "fc302500000000000000fff01405000000017feffe2d142b00fe0123d3080001010100007f157a49")
	long := section(0xc0, bytes.Repeat([]byte{0x5a}, 4000))
	private := []byte{0x90, 0x30, 3, 1, 2, 3} // short header, no CRC
	spoilt := bytes.Clone(long)
	spoilt[99]++
	var b build
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101), es(typeSCTE35, 0x102), es(typePrivateSections, 0x103), es(0x99, 0x104))
	for i := range int64(3) {
		b.unit(0x101, nil, pes(idVideo, 90000+i*3600, 90000+i*3600, true, idr(500)))
		b.sections(0x102, splice)
		b.sections(0x103, private, long, splice)
		b.sections(0x104, private) // of a type nobody knows
	}
	b.sections(0x103, spoilt)
	r, _ := scan(b.Bytes(), 1000, Config{})
	var got [3][]string
	for i := range got {
		for _, s := range r.of(0x102 + uint16(i)) {
			got[i] = append(got[i], fmt.Sprintf("%x at %d %b", s.Data, s.DTS, s.Flags))
		}
	}
	var want [3][]string
	for i := range 3 {
		at := 90000 + i*3600
		want[0] = append(want[0], fmt.Sprintf("%x at %d 0", splice, at))
		for _, x := range [][]byte{private, long, splice} {
			want[1] = append(want[1], fmt.Sprintf("%x at %d 0", x, at))
		}
		want[2] = append(want[2], fmt.Sprintf("%x at %d 0", private, at))
	}
	want[1] = append(want[1], fmt.Sprintf("%x at %d %b", spoilt, 97200, ingest.Damaged))
	for i := range got {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("PID %#x: got %d sections, want %d, or they differ", 0x102+i, len(got[i]), len(want[i]))
		}
	}
	if p := r.program(t); !p.Tracks[1].Sections || !p.Tracks[3].Sections || p.Tracks[3].StreamID != 0 {
		t.Errorf("got tracks %+v, want sections in the last three", p.Tracks)
	}
}

func TestScannerSectionLoss(t *testing.T) {
	long := section(0xc0, bytes.Repeat([]byte{0x5a}, 1000))
	var b build
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x101, nil, es(typePrivateSections, 0x103))
	from := b.Len() / 188
	for range 3 {
		b.sections(0x103, long)
	}
	in, _ := without(b.Bytes(), func(i int, _ []byte) bool { return i == from+8 })
	r, stats := scanAll(in)
	if len(r.samples) != 2 || stats.LostPackets.Load() != 1 {
		t.Errorf("got %d sections and %d lost packets, want 2 and 1", len(r.samples), stats.LostPackets.Load())
	}
	if left := stats.Left(); left != (ingest.Left{ingest.Incomplete: 1}) {
		t.Errorf("left out %v, want the incomplete section", left.Map())
	}
	if r, stats := scanAll(b.Bytes()); len(r.samples) != 3 || stats.Left() != (ingest.Left{}) {
		t.Errorf("without loss: %d sections", len(r.samples))
	}
}

// TestStuffingIsNoSection: what is left of a packet behind a section may be a single byte.
func TestStuffingIsNoSection(t *testing.T) {
	for left := range 4 {
		whole := section(0xc0, bytes.Repeat([]byte{0x5a}, 183-left-len(section(0xc0, nil))))
		var b build
		b.pat(0, 1, 0x100)
		b.pmt(0x100, 1, 0, 0x101, nil, es(typePrivateSections, 0x103))
		for range 3 {
			b.sections(0x103, whole)
		}
		r, stats := scanAll(b.Bytes())
		if n := stats.Left(); len(r.samples) != 3 || n != (ingest.Left{}) {
			t.Errorf("%d bytes of stuffing: %d sections, left out %v, want 3 and none", left, len(r.samples), n.Map())
		}
	}
}

func TestScannerDiagnose(t *testing.T) {
	var noPMT, empty, scrambled, silent, fine build
	for _, b := range []*build{&noPMT, &empty, &scrambled, &silent, &fine} {
		b.pat(0, 1, 0x100)
		b.pat(0, 1, 0x100)
		b.pat(0, 1, 0x100)
	}
	for _, b := range []*build{&scrambled, &silent, &fine} {
		b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101))
	}
	scrambled.pmt(0x100, 1, 1, 0x101, []byte{tagCA, 4, 0x09, 0x63, 0xe1, 0x00}, es(typeH264, 0x101))
	scrambled.unit(0x101, nil, pes(idVideo, 0, 0, true, idr(100)))
	scrambled.Bytes()[5*188+3] |= 0x80
	fine.unit(0x101, nil, pes(idVideo, 0, 0, true, idr(100)))
	var nothing build
	nothing.packet(nullPID, false, nil, make([]byte, 184))
	nothing.packet(nullPID, false, nil, make([]byte, 184))
	nothing.packet(nullPID, false, nil, make([]byte, 184))
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"empty", "empty", nil},
		{"not TS", "not MPEG-TS", bytes.Repeat([]byte("hello world "), 1000)},
		{"no PAT", "names no program", nothing.Bytes()},
		{"no PMT", "no PMT on PID 256", noPMT.Bytes()},
		{"scrambled", "program 1 is scrambled by conditional access system 0x0963, and Tailcast does not descramble", scrambled.Bytes()},
		{"silent", "none of them sent anything", silent.Bytes()},
		{"fine", "", fine.Bytes()},
	} {
		s := NewScanner(Config{Sink: new(recorder)})
		s.Write(c.in)
		s.Flush()
		got := ""
		if err := s.Diagnose(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestScannerDespairs: a live input never ends, so who sends it must be told meanwhile what is wrong with it.
func TestScannerDespairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b build
		b.pat(0, 1, 0x100)
		b.pmt(0x100, 1, 0, 0x101, nil, es(typePrivatePES, 0x101))
		stats := new(ingest.Stats)
		s := NewScanner(Config{Sink: new(recorder), Stats: stats, Service: "Sport"})
		for range 5 {
			if got := stats.LastError(); got != "" {
				t.Fatalf("got %q too early", got)
			}
			s.Write(b.Bytes())
			time.Sleep(time.Second)
		}
		s.Write(b.Bytes())
		if got, want := stats.LastError(), `no service of this stream is called "Sport"; it has 1`; got != want {
			t.Errorf("got %q after five seconds, want %q", got, want)
		}
	})
}

func TestServiceNames(t *testing.T) {
	for _, name := range []string{"Das Erste", "Söhne & Töchter", "Первый", strings.Repeat("ö", 150)} {
		var b build
		b.sdt(1, name)
		b.pat(0, 1, 0x100)
		b.pmt(0x100, 1, 0, 0x101, nil, es(typeH264, 0x101))
		b.unit(0x101, nil, pes(idVideo, 0, 0, true, idr(100)))
		r, _ := scanAll(b.Bytes())
		want := name
		if len(name) > 200 {
			want = name[:200]
		}
		if got := r.program(t).Name; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := text([]byte{0x10, 0, 1, 'a', 0xf6}); got != "aö" {
		t.Errorf("got %q, want %q", got, "aö")
	}
}
