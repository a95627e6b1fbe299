package ts

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// mux writes samples of one program.
func mux(t testing.TB, p *ingest.Program, samples []ingest.Sample) []byte {
	t.Helper()
	var out bytes.Buffer
	m := NewMuxer(&out)
	if err := m.SetProgram(p); err != nil {
		t.Fatalf("couldn't set the program: %v", err)
	}
	for i, s := range samples {
		if err := m.WriteSample(s); err != nil {
			t.Fatalf("couldn't write sample %d: %v", i, err)
		}
	}
	return out.Bytes()
}

// survey measures a stream without any code of the Muxer or Scanner. Distances in time are of the PCR.
type survey struct {
	packets, faults int // faults of continuity
	pcrGap          int64
	tableGap        int64
	late            int64 // how far a DTS was before the PCR, at most
	signalled       int   // discontinuities of the clock
	sdt             int
}

func surveyOf(t testing.TB, b []byte, pmtPID int) (v survey) {
	t.Helper()
	counters := map[int]int{}
	const none = -1 << 62
	pcr, pat, pmt := int64(none), int64(none), int64(none)
	for i := 0; i+188 <= len(b); i += 188 {
		p := b[i : i+188]
		if p[0] != 0x47 {
			t.Fatalf("packet %d begins with %#x", i/188, p[0])
		}
		v.packets++
		pid, start, payload := int(p[1]&31)<<8+int(p[2]), p[1]>>6&1 == 1, p[4:]
		if p[3]&0x20 != 0 {
			if n := int(p[4]); n >= 7 && p[5]&0x10 != 0 {
				now := (int64(p[6])<<25 + int64(p[7])<<17 + int64(p[8])<<9 + int64(p[9])<<1 + int64(p[10])>>7)
				if pcr != none {
					now = pcr + (now-pcr)<<31>>31 // 33 bits, unwrapped
				}
				switch {
				case p[5]&0x80 != 0:
					v.signalled++
				case pcr != none:
					v.pcrGap = max(v.pcrGap, now-pcr)
					if now <= pcr {
						t.Fatalf("packet %d: PCR %d after %d", i/188, now, pcr)
					}
				}
				if p[5]&0x80 != 0 {
					pat, pmt = none, none
				}
				pcr = now
			}
			payload = p[5+int(p[4]):]
		}
		if p[3]&0x10 == 0 {
			continue
		}
		if last, ok := counters[pid]; ok && int(p[3]&15) != (last+1)%16 {
			v.faults++
		}
		counters[pid] = int(p[3] & 15)
		if pid == 0x11 {
			v.sdt++
		}
		for _, x := range []struct {
			pid int
			at  *int64
		}{{0, &pat}, {pmtPID, &pmt}} {
			if pid == x.pid && start {
				if *x.at != none {
					v.tableGap = max(v.tableGap, pcr-*x.at)
				}
				*x.at = pcr
			}
		}
		if start && len(payload) > 19 && payload[0] == 0 && payload[1] == 0 && payload[2] == 1 && payload[7]&0x80 != 0 {
			at := payload[9:]
			if payload[7]&0x40 != 0 {
				at = payload[14:]
			}
			dts := int64(at[0]>>1&7)<<30 | int64(at[1])<<22 | int64(at[2]>>1)<<15 | int64(at[3])<<7 | int64(at[4])>>1
			v.late = max(v.late, (pcr-dts)<<31>>31)
		}
	}
	if len(b)%188 != 0 {
		t.Fatalf("got %d bytes, not a multiple of 188", len(b))
	}
	return v
}

// sound makes a program of one AAC track, or of more tracks, and helpers below their samples.
func program(tracks ...ingest.Track) *ingest.Program {
	p := &ingest.Program{Number: 7, PMTPID: 0x30, PCRPID: 0x100, Name: "Söhne & Töchter", Descriptors: []byte{0x05, 4, 'C', 'U', 'E', 'I'}}
	for i, t := range tracks {
		t.ID, t.PID = uint8(i), 0x100+uint16(i)
		p.Tracks = append(p.Tracks, t)
	}
	return p
}

// regular makes n samples of a track, step ticks apart.
func regular(track uint8, n int, start, step int64, flags ingest.Flags, size int) (out []ingest.Sample) {
	for i := range n {
		t := start + int64(i)*step
		out = append(out, ingest.Sample{Track: track, Flags: flags, PTS: t, DTS: t, Data: bytes.Repeat([]byte{byte(i)}, size)})
	}
	return out
}

func byDTS(samples ...[]ingest.Sample) []ingest.Sample {
	all := slices.Concat(samples...)
	slices.SortStableFunc(all, func(a, b ingest.Sample) int { return int(a.DTS - b.DTS) })
	return all
}

func TestMuxerClockAndTables(t *testing.T) {
	r, _ := scanAll(clip.Bytes())
	video := ingest.Track{Codec: ingest.H264}
	audio := ingest.Track{Codec: ingest.AAC}
	for _, c := range []struct {
		name    string
		program *ingest.Program
		samples []ingest.Sample
	}{
		{"the clip", r.programs[0], r.samples},
		{"sound only", program(audio), regular(0, 500, 1000, 1920, ingest.RandomAccess, 260)},
		{"long frames of sound", program(audio), regular(0, 100, 1000, 9600, ingest.RandomAccess, 960)},
		{"two pictures a second", program(video), regular(0, 20, 0, 45000, 0, 3000)},
		{"50 pictures a second", program(video), regular(0, 200, 0, 1800, 0, 30000)},
		{"a picture in nine seconds", program(video, audio), byDTS(regular(0, 3, 0, 810000, ingest.RandomAccess, 9000), regular(1, 900, 0, 1920, 0, 200))},
		{"times below zero", program(audio), regular(0, 200, -90000, 1920, ingest.RandomAccess, 260)},
		{"times over 2^33", program(video, audio), byDTS(regular(0, 90, 1<<33-90000, 3600, 0, 5000), regular(1, 180, 1<<33-90000, 1920, 0, 260))},
		{"a clock on its own PID", func() *ingest.Program { p := program(video); p.PCRPID = 0x500; return p }(), regular(0, 50, 0, 3600, 0, 3000)},
		{"no clock", func() *ingest.Program { p := program(video); p.PCRPID = 0x1fff; return p }(), regular(0, 50, 0, 3600, 0, 3000)},
		{"data only", program(ingest.Track{Codec: ingest.Data, StreamType: 6}), regular(0, 50, 0, 45000, 0, 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := surveyOf(t, mux(t, c.program, c.samples), int(c.program.PMTPID))
			if v.pcrGap > 3600 || v.tableGap > 9000 || v.faults > 0 || v.signalled > 0 {
				t.Errorf("got PCR every %d ticks, tables every %d, %d faults, %d discontinuities; want 3600, 9000, 0, 0", v.pcrGap, v.tableGap, v.faults, v.signalled)
			}
			if v.late > 0 {
				t.Errorf("a sample comes %d ticks after its time", v.late)
			}
			if c.program.Name != "" && v.sdt == 0 {
				t.Error("got no SDT")
			}
		})
	}
}

func TestMuxerRoundTrip(t *testing.T) {
	r, _ := scanAll(clip.Bytes())
	got, stats := scanAll(mux(t, r.programs[0], r.samples))
	if len(got.programs) != 1 || fmt.Sprint(got.programs[0]) != fmt.Sprint(r.programs[0]) {
		t.Errorf("got program %+v, want %+v", got.programs, r.programs[0])
	}
	for _, pid := range []uint16{256, 257} {
		compare(t, got.of(pid), r.of(pid))
	}
	if stats.LostPackets.Load()+stats.SkippedBytes.Load()+stats.Discontinuities.Load() != 0 {
		t.Errorf("got lost %d, skipped %d, jumps %d, want none", stats.LostPackets.Load(), stats.SkippedBytes.Load(), stats.Discontinuities.Load())
	}
}

func compare(t testing.TB, got, want []ingest.Sample) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d samples, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if !bytes.Equal(g.Data, w.Data) || g.PTS != w.PTS || g.DTS != w.DTS || g.Flags != w.Flags {
			t.Fatalf("sample %d: got %d bytes, PTS %d, DTS %d, flags %b, want %d, %d, %d, %b", i,
				len(g.Data), g.PTS, g.DTS, g.Flags, len(w.Data), w.PTS, w.DTS, w.Flags)
		}
	}
}

// TestMuxerKeepsServices: descriptors, stream types and PIDs come out as they went in, sections and private data byte by byte.
func TestMuxerKeepsServices(t *testing.T) {
	splice := section(0xfc, bytes.Repeat([]byte{0x5a}, 30))
	long := section(0xc0, bytes.Repeat([]byte{0x5b}, 4000))
	p := program(
		ingest.Track{Codec: ingest.H264, StreamType: 0x1b, StreamID: 0xe3, Descriptors: []byte{0x28, 4, 0x64, 0, 0x2a, 0xbf}},
		ingest.Track{Codec: ingest.Data, StreamType: 0x86, Sections: true, Descriptors: []byte{0x8a, 1, 1}},
		ingest.Track{Codec: ingest.Data, StreamType: 0x06, StreamID: 0xbd, Language: "deu", Descriptors: []byte{0x56, 5, 'd', 'e', 'u', 9, 0}},
		ingest.Track{Codec: ingest.Data, StreamType: 0x05, Sections: true},
		ingest.Track{Codec: ingest.Data, StreamType: 0x15, StreamID: 0xbf},
	)
	teletext := bytes.Repeat([]byte{0x10, 2, 44}, 46)
	samples := []ingest.Sample{
		{Track: 0, Flags: ingest.RandomAccess, PTS: 93600, DTS: 90000, Data: idr(70000)},
		{Track: 1, PTS: 90000, DTS: 90000, Data: splice},
		{Track: 2, PTS: 90000, DTS: 90000, Data: teletext},
		{Track: 3, PTS: 90000, DTS: 90000, Data: long},
		{Track: 3, PTS: 90000, DTS: 90000, Data: splice},
		{Track: 4, PTS: 90000, DTS: 90000, Data: []byte("private, without a time")},
		{Track: 0, PTS: 97200, DTS: 93600, Data: slice(61437)}, // too long to declare
		{Track: 0, PTS: 100800, DTS: 97200, Data: slice(183)},
	}
	out := mux(t, p, samples)
	got, _ := scanAll(out)
	if want := fmt.Sprint(*p); fmt.Sprint(*got.program(t)) != want {
		t.Errorf("got program\n%+v, want\n%s", *got.program(t), want)
	}
	for _, track := range p.Tracks {
		var want []ingest.Sample
		for _, s := range samples {
			if s.Track == track.ID {
				want = append(want, s)
			}
		}
		compare(t, got.of(track.PID), want)
	}
	if i := bytes.Index(out, []byte{0, 0, 1, 0xbd, 0, 39 + byte(len(teletext)), 0x84, 0x80, 0x24}); i < 0 {
		t.Error("teletext has no PES header of 45 bytes")
	}
}

func TestMuxerProgramChange(t *testing.T) {
	var out bytes.Buffer
	m := NewMuxer(&out)
	set := func(p *ingest.Program) {
		t.Helper()
		if err := m.SetProgram(p); err != nil {
			t.Fatal(err)
		}
	}
	write := func(samples []ingest.Sample) {
		t.Helper()
		for _, s := range samples {
			if err := m.WriteSample(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	version := func() byte { return m.psi.pmt[5] >> 1 & 31 }
	set(program(ingest.Track{Codec: ingest.H264}))
	write(regular(0, 10, 0, 3600, 0, 1000))
	same := program(ingest.Track{Codec: ingest.H264, Config: []byte{1}, Width: 640})
	set(same)
	if version() != 0 {
		t.Errorf("got version %d after a change of parameters only, want 0", version())
	}
	set(program(ingest.Track{Codec: ingest.H265}, ingest.Track{Codec: ingest.AAC}))
	if version() != 1 {
		t.Errorf("got version %d, want 1", version())
	}
	write(byDTS(regular(0, 10, 36000, 3600, 0, 1000), regular(1, 10, 36000, 1920, 0, 200)))
	v := surveyOf(t, out.Bytes(), 0x30)
	if v.faults > 0 || v.pcrGap > 3600 || v.tableGap > 9000 {
		t.Errorf("got %+v, want no faults", v)
	}
	r, _ := scanAll(out.Bytes())
	if got := r.program(t); len(got.Tracks) != 2 || got.Tracks[0].Codec != ingest.H265 {
		t.Errorf("got %+v, want H.265 and AAC", got)
	}
	if a, b := len(r.of(0x100)), len(r.samples); a != 20 || b < 29 {
		t.Errorf("got %d pictures of %d samples, want 20", a, b)
	}
}

// TestMuxerDiscontinuity: at the border of an epoch the new clock is signalled and the counters go on.
func TestMuxerDiscontinuity(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    int64
		flags ingest.Flags
		call  bool
		want  int
	}{
		{"announced, forward", 40 * 3600, 0, true, 1},
		{"announced, back", -1000000, 0, true, 1},
		{"flagged by the samples, back an hour", -324000000, ingest.Discontinuity, false, 1},
		{"flagged by the samples, forward two seconds", 180000 + 40*3600, ingest.Discontinuity, false, 1},
		{"unflagged, forward an hour", 324000000, 0, false, 1},
		{"unflagged, back an hour", -324000000, 0, false, 1},
		{"none", 40 * 3600, 0, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			m := NewMuxer(&out)
			if err := m.SetProgram(program(ingest.Track{Codec: ingest.H264}, ingest.Track{Codec: ingest.AAC})); err != nil {
				t.Fatal(err)
			}
			const origin = 1 << 32
			before := byDTS(regular(0, 40, origin, 3600, 0, 1000), regular(1, 75, origin, 1920, 0, 200))
			after := byDTS(regular(0, 40, origin+c.at, 3600, 0, 1000), regular(1, 75, origin+c.at, 1920, 0, 200))
			after[0].Flags, after[1].Flags = c.flags, c.flags
			for _, s := range before {
				_ = m.WriteSample(s)
			}
			if c.call {
				m.Discontinuity()
			}
			for _, s := range after {
				_ = m.WriteSample(s)
			}
			v := surveyOf(t, out.Bytes(), 0x30)
			if v.signalled != c.want || v.faults != 0 || v.pcrGap > 3600 || v.tableGap > 9000 || v.late > 0 {
				t.Errorf("got %+v, want %d signalled and nothing else", v, c.want)
			}
		})
	}
}

func TestMuxerRefuses(t *testing.T) {
	with := func(change func(p *ingest.Program)) *ingest.Program {
		p := program(ingest.Track{Codec: ingest.H264}, ingest.Track{Codec: ingest.AAC})
		change(p)
		return p
	}
	for _, c := range []struct {
		name, want string
		p          *ingest.Program
	}{
		{"AV1", "av1", program(ingest.Track{Codec: ingest.AV1})},
		{"VP9", "vp9", program(ingest.Track{Codec: ingest.VP9, StreamType: 6})},
		{"a PID twice", "PID 256", with(func(p *ingest.Program) { p.Tracks[1].PID = 256 })},
		{"the PID of the SDT", "PID 17", with(func(p *ingest.Program) { p.Tracks[1].PID = 17 })},
		{"a PID of 14 bits", "PID 8191", with(func(p *ingest.Program) { p.Tracks[1].PID = 8191 })},
		{"the PMT's PID", "PID 48", with(func(p *ingest.Program) { p.Tracks[1].PID = 48 })},
		{"a PMT on the PAT's PID", "PID 1", with(func(p *ingest.Program) { p.PMTPID = 1 })},
		{"an ID twice", "track 0", with(func(p *ingest.Program) { p.Tracks[1].ID = 0 })},
		{"an ID too large", "track 64", with(func(p *ingest.Program) { p.Tracks[1].ID = 64 })},
		{"too many descriptors", "allowed", with(func(p *ingest.Program) { p.Descriptors = make([]byte, 1100) })},
		{"too many tracks", "65", program(make([]ingest.Track, 65)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMuxer(new(bytes.Buffer))
			err := m.SetProgram(c.p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that names %q", err, c.want)
			}
			if codec := c.name == "AV1" || c.name == "VP9"; errors.Is(err, ErrCodec) != codec {
				t.Errorf("got %v, ErrCodec: %v, want %v", err, !codec, codec)
			}
		})
	}
	m := NewMuxer(new(bytes.Buffer))
	if err := m.WriteSample(ingest.Sample{Track: 3}); err == nil {
		t.Error("a sample without a program was written")
	}
}

func TestMuxerChooses(t *testing.T) {
	p := &ingest.Program{Tracks: []ingest.Track{{ID: 0, Codec: ingest.Opus, Channels: 2}, {ID: 1, Codec: ingest.H264}}}
	opus := append([]byte{0x7f, 0xe0, 3}, 0xfc, 1, 2) // 20 ms
	out := mux(t, p, []ingest.Sample{
		{Track: 1, PTS: 0, DTS: 0, Flags: ingest.RandomAccess, Data: idr(100)},
		{Track: 0, PTS: 0, DTS: 0, Data: opus},
		{Track: 0, PTS: 1800, DTS: 1800, Data: opus},
	})
	r, _ := scanAll(out)
	got := r.program(t)
	if got.Number != 1 || got.PCRPID != 0x101 || len(got.Tracks) != 2 || got.Tracks[0].Codec != ingest.Opus || got.Tracks[0].Channels != 2 {
		t.Errorf("got %+v, want Opus and H.264, the clock with the pictures", got)
	}
	if n := len(r.of(0x100)); n != 2 {
		t.Errorf("got %d frames of sound, want 2", n)
	}
}
