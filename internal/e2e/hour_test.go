package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/internal/command"
)

// An hour is how much is aired, and how fast. Records carry the time of signing, so the window shrinks with the speed.
type hour struct {
	media  time.Duration
	speed  int           // times as fast as it plays
	window time.Duration // of signing time
	flips  int           // of one bit, for each kind of file
	plays  int           // pieces that are exported and played
}

// TestHour airs a programme from a file, kills the streamer three times and lets the window prune; then the whole history is proved by its records,
// what remains can be cut out, plays and is proved offline, and a single bit flipped anywhere is found.
//
// It airs five minutes of the built-in clip. The whole hour, of a clip of one's own, takes twelve minutes:
//
//	TAILCAST_HOUR=1 TAILCAST_CLIP=bbb-1080p.ts go test ./internal/e2e -run TestHour -v -timeout 30m
func TestHour(t *testing.T) {
	need(t, "ffmpeg", "ffprobe", "mpv")
	h := hour{media: 5 * time.Minute, speed: 30, window: 3 * time.Second, flips: 2, plays: 1}
	if os.Getenv("TAILCAST_HOUR") != "" {
		h = hour{media: time.Hour, speed: 10, window: time.Minute, flips: 4, plays: 3}
	} else {
		beside(t, 2)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	link, lives := h.air(t, dir, random)
	logs := readLogs(t, dir)
	checkAired(t, logs, lives, h)
	checkPruned(t, logs, h.window)

	begin := time.Now()
	v, err := verifyHistory(t, dir, link)
	if err != nil {
		t.Fatalf("viewer verify: %v", err)
	}
	t.Logf("verified in %v: %d records, %.3f GB of payload, peak memory %d MB", time.Since(begin).Round(time.Millisecond), v.records, float64(v.Bytes)/1e9, v.memory>>20)
	rows := 0
	for _, l := range logs {
		rows += len(l.rows)
	}
	if v.records != rows || v.gaps != 0 {
		t.Errorf("viewer verify speaks of %d records and %d gaps, want all %d, and none", v.records, v.gaps, rows)
	}
	flipFolder(t, dir, link, logs, random, h.flips)
	source := complaintsAboutLoop(t)
	for range h.plays {
		h.cut(t, dir, link, logs, random, source)
	}
}

// air airs h.media in four lives, the first three of which end with kill -9. It returns how long each was on air.
func (h *hour) air(t *testing.T, dir string, random *rand.Rand) (link string, lives []time.Duration) {
	t.Helper()
	total := h.media / time.Duration(h.speed)
	var ends []time.Duration
	for third := range time.Duration(3) { // early enough in the first for the window to pass
		ends = append(ends, total*(3*third+1)/10+time.Duration(random.Int64N(int64(total)*2/10)))
	}
	ends = append(ends, total)
	last := time.Duration(0)
	for k, end := range ends {
		p, stop := h.streamer(t, dir)
		link = p.Link
		until(t, p, "on air", func(s status) bool { return len(s.Renditions) > 0 && s.Renditions[0].Head > 0 })
		begin := time.Now()
		after(end - last)
		if k == len(ends)-1 {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		} else if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		lives = append(lives, time.Since(begin))
		last = end
		stop()
		if said := p.Stderr(); strings.Contains(said, "level=ERROR") {
			t.Errorf("the streamer complained:\n%s", said)
		}
	}
	return link, lives
}

// streamer goes live with the clip, looped with a continuous clock, at speed. stop ends what feeds it.
func (h *hour) streamer(t *testing.T, dir string) (p *command.Process, stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-readrate", strconv.Itoa(h.speed), "-stream_loop", "-1",
		"-i", clipFile, "-map", "0", "-c", "copy", "-f", "mpegts", "-")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	p = start(t, "streamer", read, "-", "--data", dir, "--window", h.window.String())
	return p, func() {
		read.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// A keptLog is a log as its rows say.
type keptLog struct {
	dir  string
	name string
	rows []feed.Record
}

// readLogs reads all rows, and trusts them: others verify.
func readLogs(t *testing.T, dir string) (logs []keptLog) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "feed", "epochs", "*", "*", "records"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		bytes, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		l := keptLog{dir: filepath.Dir(file), name: filepath.Base(filepath.Dir(file))}
		for ; len(bytes) >= len(row{}); bytes = bytes[len(row{}):] {
			r, err := feed.ParseRecord(bytes[:feed.RecordSize])
			if err != nil {
				t.Fatalf("%s, row %d: %v", file, len(l.rows), err)
			}
			l.rows = append(l.rows, r)
		}
		logs = append(logs, l)
	}
	return logs
}

// payload returns how much of the payloads of l was signed, and the files that remain: by start, with their sizes.
func (l *keptLog) payload(t *testing.T) (signed uint64, files map[uint64]int64) {
	t.Helper()
	if n := len(l.rows); n > 0 {
		signed = l.rows[n-1].Offset + uint64(l.rows[n-1].Length)
	}
	entries, err := os.ReadDir(filepath.Join(l.dir, "payload"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	files = make(map[uint64]int64)
	for _, e := range entries {
		start, err := strconv.ParseUint(e.Name(), 10, 64)
		info, statErr := e.Info()
		if err != nil || statErr != nil {
			t.Fatal(err, statErr)
		}
		files[start] = info.Size()
	}
	return signed, files
}

// checkAired finds the whole programme in the records, but for what was under way when the streamer was killed.
func checkAired(t *testing.T, logs []keptLog, lives []time.Duration, h hour) {
	t.Helper()
	var aired, want time.Duration
	var bytes, overhead uint64
	for _, l := range logs {
		for _, r := range l.rows {
			if r.Kind == feed.Media {
				aired += time.Duration(r.Duration) * time.Second / 90000
			}
		}
		signed, _ := l.payload(t)
		bytes += signed
		for _, name := range []string{"records", "peaks", "nodes"} {
			if info, err := os.Stat(filepath.Join(l.dir, name)); err == nil {
				overhead += uint64(info.Size())
			}
		}
	}
	for _, life := range lives {
		want += life * time.Duration(h.speed)
	}
	t.Logf("aired %v of media in %d epochs, %.3f GB; rows, peaks and nodes are %.2f %% of it", aired.Round(time.Second), len(lives), float64(bytes)/1e9, 100*float64(overhead)/float64(bytes))
	if len(lives) != 4 || aired < want/2 { // ffmpeg may not reach the speed on a busy machine
		t.Errorf("the records speak of %v of media, want about %v", aired, want)
	}
}

// checkPruned finds all that is in the window, and nothing that is clearly before it: files leave whole, when the last record that begins in them
// was signed longer ago than the window.
func checkPruned(t *testing.T, logs []keptLog, window time.Duration) {
	t.Helper()
	const size = 64 << 20
	newest, gone, kept := int64(0), 0, 0
	for _, l := range logs {
		if n := len(l.rows); n > 0 {
			newest = max(newest, l.rows[n-1].Wall)
		}
	}
	slack := 3 * time.Second // the keeper looks once a second
	for _, l := range logs {
		if l.name == feed.CatalogLog {
			continue
		}
		signed, files := l.payload(t)
		last := make(map[uint64]int64) // wall of the last record that begins in a file
		for _, r := range l.rows {
			if r.Length > 0 {
				last[r.Offset&^(size-1)] = r.Wall
			}
		}
		for start := uint64(0); start < signed; start += size {
			_, there := files[start]
			age := time.Duration(newest-last[start]) * time.Microsecond
			if there && age > window+slack {
				t.Errorf("%s: the file from %d on is there, %v old", l.dir, start, age)
			}
			if !there && age < window {
				t.Errorf("%s: the file from %d on is gone, %v old", l.dir, start, age)
			}
			if there {
				kept++
			} else {
				gone++
			}
		}
	}
	t.Logf("payload files: %d gone, %d kept", gone, kept)
	if gone == 0 || kept == 0 {
		t.Errorf("%d payload files are gone and %d kept, want some of both", gone, kept)
	}
}

// A proof is what `viewer verify --json` says.
type proof struct {
	Result string
	Bytes  uint64
	Logs   []struct {
		Log   string
		First int `json:"first_block"`
		End   int `json:"end_block"`
		Gaps  []struct{}
	}
	records, gaps int
	memory        int64
}

// verifyHistory runs `viewer verify`; an error means that the history is refuted.
func verifyHistory(t *testing.T, subject, link string, flags ...string) (proof, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "viewer"), append([]string{"verify", subject, "--link", link, "--json"}, flags...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var p proof
	if err != nil {
		if strings.Contains(stderr.String(), "panic") || strings.Contains(stderr.String(), "goroutine") {
			t.Errorf("viewer verify panics:\n%s", stderr.String())
		}
		return p, fmt.Errorf("%w: %s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("viewer verify --json: %v\n%s", err, out)
	}
	if p.Result != "proved" {
		t.Fatalf("viewer verify --json ends with 0 and says %q", p.Result)
	}
	for _, l := range p.Logs {
		p.records, p.gaps = p.records+l.End-l.First, p.gaps+len(l.Gaps)
	}
	if usage := peakMemory(cmd); usage > 0 {
		p.memory = usage
	}
	return p, nil
}

// flipFolder flips single bits in files of every kind, and lets viewer verify find each of them.
func flipFolder(t *testing.T, dir, link string, logs []keptLog, random *rand.Rand, each int) {
	t.Helper()
	kinds := make(map[string][]string)
	err := filepath.WalkDir(filepath.Join(dir, "feed"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := d.Name()
		if filepath.Base(filepath.Dir(path)) == "payload" {
			kind = "payload"
		}
		if info, err := d.Info(); err == nil && info.Size() > 0 {
			kinds[kind] = append(kinds[kind], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"records", "payload", "peaks", "nodes", "newest", "channel.note", "epoch.note"} {
		if len(kinds[kind]) == 0 && kind != "peaks" { // a short history has none
			t.Errorf("there is no file of kind %s", kind)
		}
	}
	for kind, files := range kinds {
		var flags []string
		if kind == "records" { // a signature is checked if it is asked for, or the last one
			flags = append(flags, "--every-head")
		}
		for range each {
			file := files[random.IntN(len(files))]
			size := spokenOf(t, file, kind, logs)
			if size == 0 {
				continue
			}
			withFlip(t, file, random.Int64N(size), byte(1)<<random.IntN(8), func(what string) {
				if _, err := verifyHistory(t, dir, link, flags...); err == nil {
					t.Errorf("%s: viewer verify does not notice", what)
				}
			})
		}
	}
}

// spokenOf returns the length of a file as far as rows speak of it: a kill leaves payload behind that no row is about.
func spokenOf(t *testing.T, file, kind string, logs []keptLog) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if kind != "payload" {
		return info.Size()
	}
	i := slices.IndexFunc(logs, func(l keptLog) bool { return l.dir == filepath.Dir(filepath.Dir(file)) })
	signed, _ := logs[i].payload(t)
	start, _ := strconv.ParseUint(filepath.Base(file), 10, 64)
	return min(info.Size(), int64(signed-min(signed, start)))
}

// withFlip flips one bit of a file while f runs.
func withFlip(t *testing.T, file string, at int64, bit byte, f func(what string)) {
	t.Helper()
	h, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var was [1]byte
	if _, err := h.ReadAt(was[:], at); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if _, err := h.WriteAt([]byte{was[0] ^ bit}, at); err != nil {
		t.Fatal(err)
	}
	f(fmt.Sprintf("%s, bit %#02x of byte %d", file, bit, at))
	if _, err := h.WriteAt(was[:], at); err != nil {
		t.Fatal(err)
	}
}

// peakMemory is the largest resident size of a process that has ended, in bytes; 0 if the system does not say.
func peakMemory(cmd *exec.Cmd) int64 {
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10
	}
	return 0
}
