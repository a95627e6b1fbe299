package e2e

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"tailcast/feed"
)

// cut takes half a minute of the programme out of what remains, somewhere: it plays, and is proved where there is nothing but it and the link.
func (h *hour) cut(t *testing.T, dir, link string, logs []keptLog, random *rand.Rand, source map[string]bool) {
	t.Helper()
	length := 30 * time.Second / time.Duration(h.speed)
	from := somewhere(t, logs, length, random)
	to, away := from.Add(length), t.TempDir()
	rendering, evidence := filepath.Join(away, "out.ts"), filepath.Join(away, "out.clip")
	for _, out := range []string{rendering, evidence} {
		tool(t, "export", dir, out, "--link", link, "--from", from.Format(time.RFC3339Nano), "--to", to.Format(time.RFC3339Nano))
	}
	plays(t, rendering, source)
	begin := time.Now()
	v, err := verifyHistory(t, evidence, link)
	if err != nil {
		t.Fatalf("viewer verify of a clip: %v", err)
	}
	info, err := os.Stat(evidence)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a clip of %.1f MB, from %v on, is verified in %v: %d records", float64(info.Size())/1e6, from.Format(time.RFC3339Nano), time.Since(begin).Round(time.Millisecond), v.records)
	for range 10 * h.flips {
		withFlip(t, evidence, random.Int64N(info.Size()), byte(1)<<random.IntN(8), func(what string) {
			if _, err := verifyHistory(t, evidence, link); err == nil {
				t.Errorf("%s: viewer verify does not notice", what)
			}
		})
	}
}

// somewhere returns a time of signing from which on there are payloads for so long, in one log.
func somewhere(t *testing.T, logs []keptLog, length time.Duration, random *rand.Rand) time.Time {
	t.Helper()
	var starts []time.Time
	for _, l := range logs {
		_, files := l.payload(t)
		if l.name == feed.CatalogLog || len(files) == 0 {
			continue
		}
		lowest := slices.Min(slices.Collect(maps.Keys(files)))
		end := time.UnixMicro(l.rows[len(l.rows)-1].Wall)
		for _, r := range l.rows {
			wall := time.UnixMicro(r.Wall)
			if r.Flags&feed.SegmentFirst != 0 && r.Offset >= lowest && wall.Add(length).Before(end) {
				starts = append(starts, wall)
			}
		}
	}
	if len(starts) == 0 {
		t.Fatalf("nowhere is there %v of payload", length)
	}
	return starts[random.IntN(len(starts))].UTC()
}

// plays lets ffprobe say how long a rendering is, and mpv play it, in real time, to the end. mpv may complain of what it complains of in the
// source.
func plays(t *testing.T, file string, source map[string]bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil || seconds < 25 {
		t.Fatalf("the rendering is %q seconds long, want half a minute", out)
	}
	begin := time.Now()
	for complaint := range mpv(t, file) {
		if !source[complaint] {
			t.Errorf("mpv: %s", complaint)
		}
	}
	if took := time.Since(begin).Seconds(); took < seconds*3/4 {
		t.Errorf("mpv played %.0f seconds in %.0f", seconds, took)
	}
}

// complaintsAboutLoop returns what mpv says of the clip, looped as it is aired: the times of a clip may not fit together where it begins again.
func complaintsAboutLoop(t *testing.T) map[string]bool {
	t.Helper()
	looped := filepath.Join(t.TempDir(), "looped.ts")
	ffmpeg(t, "-stream_loop", "1", "-i", clipFile, "-map", "0", "-c", "copy", "-f", "mpegts", looped)
	return mpv(t, "--untimed", "--no-audio", looped)
}

// mpv plays a file to the end and returns its complaints about times, without numbers.
func mpv(t *testing.T, args ...string) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mpv", append([]string{"--no-config", "--vo=null", "--ao=null", "--msg-level=all=warn"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("mpv %q: %v\n%s", args, err, out)
	}
	said := make(map[string]bool)
	for line := range strings.Lines(strings.ToLower(string(out))) {
		if slices.ContainsFunc(complaints, func(c string) bool { return strings.Contains(line, c) }) {
			said[strings.Map(withoutDigits, strings.TrimSpace(line))] = true
		}
	}
	return said
}

func withoutDigits(r rune) rune {
	if unicode.IsDigit(r) {
		return -1
	}
	return r
}

// tool runs a command of viewer that must succeed.
func tool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "viewer"), args...).CombinedOutput(); err != nil {
		t.Fatalf("viewer %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
