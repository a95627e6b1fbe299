package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tailcast/internal/command"
)

// What becomes of a command of docs/ingest.md.
const (
	runs  = "runs"  // and says that it is ready
	airs  = "airs"  // the streamer that runs is live after it
	feeds = "feeds" // runs beside what comes after it
	done  = "done"  // ends, well
)

// outcomes are all commands of those sections of docs/ingest.md that TestDocumentedPush leaves: one that is not here fails the test.
var outcomes = map[string]string{
	"streamer --http 127.0.0.1:8080 --whip 127.0.0.1:8189": runs,
	"./whip.py http://127.0.0.1:8080/whip film.ts":         airs,

	"streamer --rtsp 127.0.0.1:8554": runs,
	"ffmpeg -re -i film.mp4 -c copy -f rtsp -rtsp_transport tcp rtsp://127.0.0.1:8554/live": airs,
	"streamer rtsp://127.0.0.1:8554/stream":                                                 runs,

	"streamer http://127.0.0.1:8000/live/index.m3u8":                                                         runs,
	"streamer 'http://127.0.0.1:8000/live/index.m3u8#variant=720p'":                                          runs,
	"streamer 'http://127.0.0.1:8000/live/index.m3u8#bandwidth=3M'":                                          runs,
	"ffmpeg -re -stream_loop -1 -i film.ts -c copy -f hls -hls_time 1 -hls_flags delete_segments index.m3u8": feeds,
	"python3 -m http.server 8000 --bind 127.0.0.1":                                                           feeds,
	"streamer http://127.0.0.1:8000/index.m3u8":                                                              airs,

	"ffmpeg -re -i film.ts -c copy -f mpegts http://127.0.0.1:8080/ingest": airs,
	"curl -T film.ts http://127.0.0.1:8080/ingest":                         airs,

	"streamer http://user:password@127.0.0.1:9981/stream/channel": runs,

	"streamer udp://127.0.0.1:5000":                                                runs,
	"streamer rtp://127.0.0.1:5000":                                                runs,
	"ffmpeg -re -i film.ts -c copy -f rtp_mpegts rtp://127.0.0.1:5000":             airs,
	"ffmpeg -re -i film.ts -c copy -f mpegts 'udp://127.0.0.1:5000?pkt_size=1316'": airs,
	"streamer 'rtp://239.1.1.1:5000?interface=lo&source=127.0.0.1'":                runs,

	"streamer film.ts film.ts --loop":           airs,
	`printf 'film.ts\nfilm.ts\n' > channel.m3u`: done,
	"streamer channel.m3u --loop":               airs,

	"streamer --rendition 1080p=rtsp://encoder/high --rendition 480p=rtsp://encoder/low --rendition radio=udp://127.0.0.1:5002": runs,
	"streamer --rendition 1080p=push --rendition radio=push":                                                                    runs,

	"streamer rtsp://camera.local/main --backup rtsp://camera.local/spare --backup film.ts --loop --slate built-in":                               airs,
	"ffmpeg -loop 1 -i card.png -f lavfi -i anullsrc=r=48000:cl=stereo -t 1.92 -r 25 -g 24 -bf 0 -c:v libx264 -pix_fmt yuv420p -c:a aac slate.ts": done,
	"streamer udp://127.0.0.1:5000 --slate slate.ts": airs,
}

// A stagehand runs the commands of one section, in a folder with the files that they name.
type stagehand struct {
	t     *testing.T
	dir   string
	ports map[string]string // of the page, and those that are free here
	on    *command.Process  // the streamer that runs
	feed  func()            // ends the newest of what sends to it
}

// The sections of docs/ingest.md with commands, by the test that runs them.
var (
	sourceSections = []string{"WHIP", "RTSP", "HLS", "TS over HTTP, UDP and RTP", "Playout", "Renditions", "Staying on air"}
	pushSections   = []string{"RTMP and RTMPS", "SRT"}
)

// TestEveryCommandIsRun: no section of the page has a command that no test runs, and no block of another kind has one at all.
func TestEveryCommandIsRun(t *testing.T) {
	text, err := os.ReadFile("../../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		name, _, _ := strings.Cut(part, "\n")
		if strings.Contains(part, "```sh\n") && !slices.Contains(sourceSections, name) && !slices.Contains(pushSections, name) {
			t.Errorf("section %q has commands that no test runs", name)
		}
	}
	fence, within := "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		kind, fences := strings.CutPrefix(line, "```")
		switch {
		case fences:
			fence, within = kind, !within
		case within && fence != "sh" && (strings.HasPrefix(line, "streamer ") || strings.HasPrefix(line, "ffmpeg ")):
			t.Errorf("%q is in a block of %q: no test runs it", line, fence)
		}
	}
}

// TestDocumentedSources runs the commands of docs/ingest.md as they stand, but for the ports.
func TestDocumentedSources(t *testing.T) {
	need(t, "ffmpeg", "curl", "python3")
	t.Parallel()
	for _, section := range sourceSections {
		t.Run(section, func(t *testing.T) {
			if section == "WHIP" {
				needGStreamer(t)
			}
			beside(t, 1)
			h := &stagehand{t: t, dir: t.TempDir(), ports: map[string]string{}, feed: func() {}}
			script, err := filepath.Abs(whipScript)
			if err := errors.Join(err, os.Symlink(clipFile, filepath.Join(h.dir, "film.ts")), os.Symlink(script, filepath.Join(h.dir, "whip.py"))); err != nil {
				t.Fatal(err)
			}
			ffmpeg(t, "-i", clipFile, "-c", "copy", filepath.Join(h.dir, "film.mp4"))
			ffmpeg(t, "-i", clipFile, "-frames:v", "1", filepath.Join(h.dir, "card.png"))
			for _, line := range documentedLines(t, section) {
				h.run(line)
			}
		})
	}
}

func (h *stagehand) run(line string) {
	h.t.Helper()
	line, _, _ = strings.Cut(line, "  #")
	line = strings.TrimSpace(line)
	outcome, ok := outcomes[line]
	if !ok {
		h.t.Fatalf("nobody has said what becomes of %q", line)
	}
	here := h.ported(line)
	switch {
	case strings.HasPrefix(here, "streamer "):
		h.stream(strings.Fields(strings.ReplaceAll(here, "'", ""))[1:])
	case outcome == done:
		if out, err := h.shell(here).CombinedOutput(); err != nil {
			h.t.Fatalf("%s: %v\n%s", here, err, out)
		}
	default:
		if h.on == nil && strings.Contains(here, "/ingest") {
			h.stream([]string{"--http", h.ported("127.0.0.1:8080")})
		}
		h.send(here, outcome)
	}
	if outcome == airs {
		until(h.t, h.on, "on air by "+line, live)
	}
}

// stream runs the streamer, instead of the one before.
func (h *stagehand) stream(args []string) {
	if h.on != nil {
		_ = h.on.Stop()
	}
	for i, a := range args {
		if file := filepath.Join(h.dir, a); strings.Contains(a, "film.") || a == "slate.ts" || strings.HasSuffix(a, ".m3u") {
			args[i] = file
		}
	}
	for _, flag := range []string{"--rtsp", "--rtmp", "--srt", "--whip"} { // the usual ports may be another test's
		if !strings.Contains(strings.Join(args, " "), flag+" ") {
			args = append(args, flag, "127.0.0.1:0")
		}
	}
	h.on = streamer(h.t, args...)
}

// send runs what sends to the streamer, instead of what did, unless that feeds it.
func (h *stagehand) send(line, outcome string) {
	h.feed()
	if h.on != nil {
		until(h.t, h.on, "silent", func(s status) bool { return !live(s) })
	}
	cmd := h.shell("exec " + line)
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	end := func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
	h.t.Cleanup(end)
	if h.feed = end; outcome == feeds {
		h.feed = func() {}
	}
}

func (h *stagehand) shell(line string) *exec.Cmd {
	cmd := exec.CommandContext(h.t.Context(), "sh", "-c", line)
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

var portOf = regexp.MustCompile(`(127\.0\.0\.1:|239\.1\.1\.1:|http\.server )([0-9]{4})`)

// ported puts free ports in the place of those of the page, the same each time.
func (h *stagehand) ported(line string) string {
	return portOf.ReplaceAllStringFunc(line, func(found string) string {
		p := portOf.FindStringSubmatch(found)
		if h.ports[p[2]] == "" {
			h.ports[p[2]] = freePort(h.t)
		}
		return p[1] + h.ports[p[2]]
	})
}

// documentedLines are the commands of a section of docs/ingest.md.
func documentedLines(t *testing.T, section string) (list []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("there is no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for _, block := range strings.Split(rest, "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}
