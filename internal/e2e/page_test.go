package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/internal/command"
)

// look drives the page of p in a headless Chromium (player/web/test/nodes.mjs). deeds are what it may ask for.
func look(t *testing.T, p *command.Process, what string, deeds map[string]func(string), env ...string) {
	t.Helper()
	folder := os.Getenv("TAILCAST_SCREENSHOTS")
	if folder != "" {
		folder, _ = filepath.Abs(folder)
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("..", "..", "player", "web", "test", "nodes.mjs"), p.HTTP, what, folder)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		if deed, ok := strings.CutPrefix(lines.Text(), "want: "); ok {
			verb, rest, _ := strings.Cut(deed, " ")
			deeds[verb](rest)
			_, _ = io.WriteString(in, "done\n") // if it has ended, Wait says so
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Logf("%s: %v\n%s", what, err, &stderr)
		t.Errorf("failed: %s: %s", what, lastLine(stderr.String())) // the summary of all tests repeats it
	}
}

// lastLine is where nodes.mjs says what failed.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "failed: ")
}

// needPage skips where the page cannot be looked at.
func needPage(t *testing.T, programs ...string) {
	t.Helper()
	need(t, append(programs, "node", "chromium")...)
	if _, err := os.Stat(filepath.Join("..", "..", "player", "web", "test", "node_modules", "playwright-core")); err != nil {
		t.Skip("run `npm ci` in player/web/test first")
	}
}

// made makes a file of moving pictures and sound, with the codecs that args name.
func made(t *testing.T, seconds string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "made.ts")
	in := []string{
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=" + seconds, "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000:duration=" + seconds,
	}
	ffmpeg(t, append(append(in, args...), "-metadata", "service_name=Test pictures", "-f", "mpegts", out)...)
	return out
}

var x264 = []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"}

// TestPagePlaysEveryKind looks at the page of a viewer for each kind of clip that ffmpeg can make and the streamer takes.
func TestPagePlaysEveryKind(t *testing.T) {
	needPage(t, "ffmpeg")
	t.Parallel()
	for _, c := range []struct {
		name, what, seconds string
		args                []string
	}{
		{"h264 aac", "picture h264", "6", append(x264[:6:6], "-tune", "zerolatency", "-g", "25", "-c:a", "aac")},
		{"h264 with b-frames and a long gop, opus", "picture b-frames-opus", "20", append(x264[:6:6], "-bf", "3", "-g", "250", "-c:a", "libopus")},
		{"radio he-aac, with ps", "radio he-aac", "6", []string{"-i", "testdata/he-aac-v2.m4a", "-map", "2:a", "-c:a", "copy"}},
		{"radio opus", "radio opus", "6", []string{"-map", "1:a", "-c:a", "libopus"}},
		{"three sounds", "sounds", "6", append(
			x264[:6:6], "-g", "25", "-map", "0:v", "-map", "1:a", "-map", "1:a", "-map", "1:a", "-c:a", "aac", "-c:a:0", "ac3",
			"-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng", "-metadata:s:a:2", "language=fra",
		)},
	} {
		t.Run(c.name, func(t *testing.T) {
			beside(t, browser)
			s := streamer(t, made(t, c.seconds, c.args...), "--loop")
			look(t, viewer(t, s.LinkTo()), c.what, nil)
		})
	}
}

// TestPagePlaysVP9 comes by RTSP, since MPEG-TS has no VP9.
func TestPagePlaysVP9(t *testing.T) {
	needPage(t, "ffmpeg")
	beside(t, browser)
	s := streamer(t, "--rtsp", "127.0.0.1:0")
	push := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i",
		"sine=frequency=330:sample_rate=48000", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25", "-b:v", "500k", "-c:a", "libopus",
		"-strict", "experimental", "-f", "rtsp", "-rtsp_transport", "tcp", s.RTSP)
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = push.Process.Kill()
		_ = push.Wait()
	})
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	look(t, v, "picture vp9", nil)
}

// TestPageSendsElsewhere: what no browser here decodes ends in a sentence with buttons, and mpv plays it from the same node.
func TestPageSendsElsewhere(t *testing.T) {
	needPage(t, "ffmpeg", "mpv")
	t.Parallel()
	for name, args := range map[string][]string{
		"hevc":  {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25", "-c:a", "aac"},
		"mpeg2": {"-c:v", "mpeg2video", "-g", "25", "-c:a", "mp2"},
		"ac3":   append(x264[:6:6], "-g", "25", "-c:a", "ac3"),
		"mp3":   {"-map", "1:a", "-c:a", "libmp3lame"}, // Chromium knows MP3, but not in MP4 by MediaSource
	} {
		t.Run(name, func(t *testing.T) {
			beside(t, browser)
			s := streamer(t, made(t, "6", args...), "--loop")
			v := viewer(t, s.LinkTo())
			until(t, v, "live", live)
			look(t, v, "refused "+name, map[string]func(string){"play": func(line string) { elsewhere(t, line, name != "mp3") }})
		})
	}
}

// elsewhere runs the command for mpv that a page shows: it must decode sound, and pictures if there are any, and complain about nothing. That it ends well proves neither.
func elsewhere(t *testing.T, line string, pictures bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen, heard := t.TempDir(), filepath.Join(t.TempDir(), "heard.pcm")
	how := " --no-config --frames=40 --msg-level=all=error --vo=image --vo-image-outdir=" + seen + " --ao=pcm --ao-pcm-waveheader=no --audio-format=s16 --ao-pcm-file=" + heard
	out, err := exec.CommandContext(ctx, "sh", "-c", "exec "+line+how).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	if list, err := os.ReadDir(seen); err != nil || pictures != (len(list) >= 30) {
		t.Errorf("%s: %d pictures (%v)", line, len(list), err)
	}
	sound, err := os.ReadFile(heard)
	if loud := audible(sound); err != nil || loud < 24000 { // half a second of one channel
		t.Errorf("%s: %d of %d samples can be heard (%v)", line, loud, len(sound)/2, err)
	}
}

// audible counts samples of 16 bits that are not silence.
func audible(sound []byte) (loud int) {
	for i := 0; i+1 < len(sound); i += 2 {
		if v := int16(binary.NativeEndian.Uint16(sound[i:])); v > 100 || v < -100 {
			loud++
		}
	}
	return loud
}

// TestPageTellsTheTruth compares the numbers of the page with the node's own, among peers. Of one copy the viewers must give each other a part.
func TestPageTellsTheTruth(t *testing.T) {
	needPage(t)
	beside(t, browser)
	s := streamer(t, "demo", "--copies", "1")
	one, two := viewer(t, s.LinkTo()), viewer(t, s.LinkTo())
	until(t, one, "live", live)
	until(t, two, "live", live)
	look(t, two, "truth", nil, "STREAMER="+s.HTTP)
}

// TestPageSurvives lets the streamer be killed and come back, and a peer die that sends stripes, as of one copy it must.
func TestPageSurvives(t *testing.T) {
	needPage(t)
	beside(t, browser)
	dir, listen := t.TempDir(), "127.0.0.1:"+freePort(t)
	run := func() *command.Process {
		return start(t, "streamer", nil, "demo", "--data", dir, "--listen", listen, "--copies", "1")
	}
	s := run()
	other := viewer(t, s.LinkTo())
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	look(t, v, "restart", map[string]func(string){
		"kill":  func(string) { _ = s.Kill() },
		"start": func(string) { s = run() },
		"leave": func(string) { _ = other.Kill() },
	})
}

// TestPageGoesBack in what a viewer keeps in memory, by more than the page has in its buffer; TAILCAST_BACK says by how many seconds.
func TestPageGoesBack(t *testing.T) {
	needPage(t)
	if os.Getenv("TAILCAST_BACK") == "" { // else it measures
		beside(t, browser)
	}
	s := streamer(t, "demo")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	back, again := math.NaN(), math.NaN()
	look(t, v, "past", map[string]func(string){"took": func(line string) { _, _ = fmt.Sscan(line, &back, &again) }}, "BACK="+cmp.Or(os.Getenv("TAILCAST_BACK"), "35"))
	atMost(t, "page, back in what is kept, ms", back, 500)
	atMost(t, "page, back to live, ms", again, 500)
}

// TestPageFallsBack to HLS where fragments cannot be fed to the browser.
func TestPageFallsBack(t *testing.T) {
	needPage(t)
	beside(t, browser)
	s := streamer(t, "demo")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	look(t, v, "fallback", nil)
}

// TestStreamersPage runs each command that the page of a waiting streamer shows. They encode in real time, so that nothing runs beside it.
func TestStreamersPage(t *testing.T) {
	needPage(t, "ffmpeg", "sh")
	dir := t.TempDir()
	ffmpeg(t, append(append([]string{
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=4", "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000:duration=4",
	}, x264...), "-c:a", "aac", filepath.Join(dir, "film.mp4"))...)
	s := streamer(t, "--rtsp", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--srt", "127.0.0.1:0")
	var stop func()
	look(t, s, "encoder", map[string]func(string){
		"run":  func(line string) { stop = pasted(t, dir, line) },
		"stop": func(string) { stop() },
	})
}

// pasted runs a command of the page as it stands, by a shell in a folder, until stop, or the end of the test.
func pasted(t *testing.T, dir, line string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec "+line+" -nostdin -loglevel error")
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", line, &stderr)
		}
	})
	t.Cleanup(stop)
	return stop
}

// TestPageOfSeveralChannels: each has its page in its folder, and each page leads to the others.
func TestPageOfSeveralChannels(t *testing.T) {
	needPage(t, "ffmpeg")
	beside(t, browser)
	one := streamer(t, "demo")
	two := streamer(t, made(t, "6", append(x264[:6:6], "-g", "25", "-c:a", "aac")...), "--loop")
	v := viewer(t, one.LinkTo(), two.LinkTo(), "--follow-all")
	until(t, v, "live", live)
	look(t, v, "channels", nil)
}

// TestPageTellsFaults provokes what can go wrong in real nodes; the page says it within 3 s of when the node knows.
func TestPageTellsFaults(t *testing.T) {
	needPage(t, "ffmpeg", "sh")
	t.Parallel()
	t.Run("nobody answers", func(t *testing.T) {
		beside(t, browser)
		s := streamer(t, "demo")
		link := strings.ReplaceAll(s.LinkTo(), s.Listen[0], "127.0.0.1:"+freePort(t))
		look(t, viewer(t, link, "--no-lan"), "fault", nil, "FAULT=peers")
	})
	t.Run("slow uplink", func(t *testing.T) {
		beside(t, browser)
		s := streamer(t, "demo", "--up", "400k")
		until(t, viewer(t, s.LinkTo()), "an answer", func(s status) bool { return len(s.Peers) > 0 })
		look(t, s, "fault", nil, "FAULT=uplink")
	})
	t.Run("full disk", func(t *testing.T) {
		beside(t, browser)
		s := streamer(t, "demo")
		v := startIn(t, small(t, "viewer", 300), "viewer", s.LinkTo(), "--data", t.TempDir(), "--window", "1h")
		look(t, v, "fault", nil, "FAULT=disk")
		until(t, v, "live all the same", live)
	})
	t.Run("clock wrong", func(t *testing.T) {
		beside(t, browser)
		v := viewer(t, ahead(t, 5*time.Minute), "--no-lan")
		look(t, v, "fault", nil, "FAULT=clock", "SAYS=The clock of this computer is 5 min slow")
	})
	t.Run("long gop", func(t *testing.T) {
		beside(t, browser)
		s := streamer(t, made(t, "20", append(x264[:6:6], "-g", "250", "-c:a", "aac")...), "--loop")
		look(t, s, "fault", nil, "FAULT=input-gop")
	})
}

// small makes a folder with a command whose files cannot grow beyond so many blocks of 512 bytes, as if the disk were full.
func small(t *testing.T, name string, blocks int) (folder string) {
	t.Helper()
	folder = t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nulimit -f %d\nexec %s \"$@\"\n", blocks, filepath.Join(bin, name))
	if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

// startIn starts a command of another folder.
func startIn(t *testing.T, folder, name string, args ...string) *command.Process {
	t.Helper()
	p, err := command.Start(command.Config{Bin: folder, Name: name, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}
