package player

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailcast/ingest"
)

// same compares samples, and times by their differences: a scanner that begins in mid-stream may count from elsewhere.
func same(t *testing.T, got, want []ingest.Sample) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d samples, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := got[i], want[i]
		switch {
		case !bytes.Equal(g.Data, w.Data):
			t.Fatalf("sample %d of track %d differs: %d bytes, want %d", i, w.Track, len(g.Data), len(w.Data))
		case g.DTS-got[0].DTS != w.DTS-want[0].DTS || g.PTS-g.DTS != w.PTS-w.DTS:
			t.Fatalf("sample %d of track %d: DTS %d, PTS %d; want %d, %d", i, w.Track, g.DTS-got[0].DTS, g.PTS-g.DTS, w.DTS-want[0].DTS, w.PTS-w.DTS)
		case (g.Flags^w.Flags)&ingest.RandomAccess != 0:
			t.Fatalf("sample %d of track %d: flags %b, want %b", i, w.Track, g.Flags, w.Flags)
		}
	}
}

func TestTSHoldsTheClip(t *testing.T) {
	program, in := clipSamples(t)
	b := newBench()
	b.SetProgram(program)
	b.feed(in)
	_, body := all(t, b.ts)
	out := scan(body)
	for _, tr := range program.Tracks {
		same(t, track(out.samples, tr.ID), track(in, tr.ID))
	}
	if got := out.programs[len(out.programs)-1]; len(got.Tracks) != len(program.Tracks) || got.PMTPID != program.PMTPID || got.PCRPID != program.PCRPID {
		t.Errorf("program %+v, want %+v", got, program)
	}
	continuous(t, body)
	ffmpegLikes(t, "ts", body)
}

func TestMP4HoldsTheClip(t *testing.T) {
	program, in := clipSamples(t)
	b := newBench()
	b.SetProgram(program)
	b.feed(in)
	s, body := all(t, b.mp4)
	p := parse(t, s.header, body)
	checkVideo(t, p, 1, track(in, program.Tracks[0].ID))
	checkAudio(t, p, 2, track(in, program.Tracks[1].ID))
	ffmpegLikes(t, "mp4", body)
}

// TestTSStartsAreStarts: whatever comes before, a client that begins with a start finds tables in it before anything else
// but the clock.
func TestTSStartsAreStarts(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(3, 0))
	s, _ := all(t, b.ts)
	starts := 0
	for i, c := range s.chunks {
		if !c.start {
			continue
		}
		starts++
		var order []uint16
		for p := range slices.Chunk(c.data, packetSize) {
			if pid := uint16(p[1]&0x1f)<<8 | uint16(p[2]); p[3]&0x10 != 0 && !slices.Contains(order, pid) {
				order = append(order, pid)
			}
		}
		if want := []uint16{0, 0x1000, 0x100}; len(order) < 3 || !slices.Equal(order[:3], want) {
			t.Errorf("chunk %d begins with PIDs %x, want %x", i, order, want)
		}
	}
	if starts != 8 {
		t.Errorf("got %d starts, want 8", starts)
	}
}

// continuous checks the continuity counters (ISO/IEC 13818-1, 2.4.3.3), obeying discontinuity_indicator, and counts those.
func continuous(t *testing.T, body []byte) (indicated int) {
	t.Helper()
	last := map[uint16]byte{}
	for p := range slices.Chunk(body, packetSize) {
		pid, counter := uint16(p[1]&0x1f)<<8|uint16(p[2]), p[3]&15
		payload, jump := p[3]&0x10 != 0, p[3]&0x20 != 0 && p[4] > 0 && p[5]&0x80 != 0
		if jump {
			indicated++
		}
		want, seen := last[pid]
		if payload {
			want = (want + 1) & 15
		}
		if seen && !jump && counter != want {
			t.Fatalf("counter of PID %#x is %d, want %d", pid, counter, want)
		}
		last[pid] = counter
	}
	return indicated
}

// ffmpegLikes decodes with ffmpeg and wants no word from it.
func ffmpegLikes(t *testing.T, format string, body []byte) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Log("not checked by ffmpeg, which is not installed")
		return
	}
	name := filepath.Join(t.TempDir(), "out."+format)
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), ffmpeg, "-v", "warning", "-xerror", "-i", name, "-f", "null", "-").CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("ffmpeg says of the %s: %v\n%s", format, err, out)
	}
}

func TestTSNewEpoch(t *testing.T) {
	program, in := clipSamples(t)
	b := newBench()
	b.SetProgram(program)
	b.feed(in)
	b.time.reset()
	b.assembler.Reset()
	b.SetProgram(program)
	b.feed(in) // the same times again
	_, body := all(t, b.ts)
	if n := continuous(t, body); n != 1 {
		t.Errorf("discontinuity indicated %d times, want once", n)
	}
	out := scan(body)
	video := track(out.samples, program.Tracks[0].ID)
	for i := 1; i < len(video); i++ {
		if d := video[i].DTS - video[i-1].DTS; d < 3750 || d > 20000 {
			t.Errorf("picture %d is %d ticks after the one before", i, d)
		}
	}
	if got, want := len(video), 2*len(track(in, program.Tracks[0].ID)); got != want {
		t.Errorf("got %d pictures, want %d", got, want)
	}
	ffmpegLikes(t, "ts", body)
	_, body = all(t, b.mp4)
	ffmpegLikes(t, "mp4", body)
}

// TestTSJump cuts a piece out of the stream, as a client that was too slow gets it.
func TestTSJump(t *testing.T) {
	program, in := clipSamples(t)
	b := newBench()
	b.SetProgram(program)
	b.feed(in)
	s, _ := all(t, b.ts)
	var body []byte
	for _, c := range s.chunks[:len(s.chunks)/3] {
		body = append(body, c.data...)
	}
	rest := s.chunks[2*len(s.chunks)/3:]
	rest = rest[slices.IndexFunc(rest, func(c chunk) bool { return c.start }):]
	body = append(body, rest[0].jump...)
	for _, c := range rest {
		body = append(body, c.data...)
	}
	if n := continuous(t, body); n < 4 {
		t.Errorf("discontinuity indicated %d times, want for tables, picture and sound", n)
	}
	if out := scan(body); slices.ContainsFunc(out.samples, func(s ingest.Sample) bool { return s.Flags&ingest.Damaged != 0 }) {
		t.Error("the scanner takes the jump for damage")
	}
}

func TestTSRefusesACodecInMidStream(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(1, 0))
	s, _ := all(t, b.ts)
	b.SetProgram(&ingest.Program{Number: 1, Tracks: []ingest.Track{{Codec: ingest.AV1}}})
	if _, err := b.ts.wait(t.Context()); err == nil || !strings.Contains(err.Error(), "av1") || !strings.Contains(err.Error(), "/live.mp4") {
		t.Errorf("got %v, want a refusal that names av1 and /live.mp4", err)
	}
	if !s.ended {
		t.Error("the stream goes on")
	}
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(1, 90000))
	if again, _ := all(t, b.ts); again == s {
		t.Error("the ended stream came back")
	}
}
