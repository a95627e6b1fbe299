package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tailcast/internal/command"
)

// fakePlayer writes down how it was called, and is closed, with an exit code, by a word that comes through a FIFO: what opens that to write waits until
// the player runs.
const fakePlayer = `#!/bin/sh
printf '%s\n' "$0" "$@" >"$PLAYED"
read code <"$CLOSES"
exit "$code"
`

// An opened viewer has been told to open a player.
type opened struct {
	*command.Process
	words []string // of the player's command line, without its folder
	fifo  *os.File // to the player
}

// open starts a viewer with --player and returns when the player runs, which is a fake one.
func open(t *testing.T, link, player, program string) opened {
	t.Helper()
	dir := t.TempDir()
	played, closes := filepath.Join(dir, "played"), filepath.Join(dir, "closes")
	if err := errors.Join(syscall.Mkfifo(closes, 0o600), os.WriteFile(filepath.Join(dir, program), []byte(fakePlayer), 0o700)); err != nil {
		t.Fatal(err)
	}
	p, err := command.Start(command.Config{
		Bin: bin, Name: "viewer", Args: []string{link, "--data", t.TempDir(), "--player", player},
		Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "PLAYED=" + played, "CLOSES=" + closes},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	fifo := writing(t, closes, p)
	text, err := os.ReadFile(played)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	words[0] = filepath.Base(words[0])
	return opened{p, words, fifo}
}

// writing opens a FIFO to write as soon as a player reads it. If the viewer ends before, nobody will.
func writing(t *testing.T, name string, p *command.Process) (fifo *os.File) {
	t.Helper()
	opened := make(chan error, 1)
	go func() {
		var err error
		fifo, err = os.OpenFile(name, os.O_WRONLY, 0)
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Fatal(err)
		}
	case <-p.Done():
		if end, err := os.OpenFile(name, os.O_RDWR, 0); err == nil {
			<-opened
			end.Close()
		}
		t.Fatalf("the viewer has ended without a player: %s", p.Stderr())
	}
	t.Cleanup(func() { fifo.Close() })
	return fifo
}

// close closes the player.
func (o opened) close(t *testing.T, code string) {
	t.Helper()
	if _, err := io.WriteString(o.fifo, code+"\n"); err != nil {
		t.Fatal(err)
	}
}

// TestPlayersAreOpened: --player opens it with an address that plays; who closes mpv or VLC ends the viewer, a browser does not.
func TestPlayersAreOpened(t *testing.T) {
	need(t)
	beside(t, 1)
	s := streamer(t, "demo")
	for player, want := range map[string][]string{
		"mpv":     {"mpv", "--profile=low-latency", "/live.ts?join=next"},
		"vlc":     {"vlc", "--network-caching=300", "/live.ts?join=next"},
		"browser": {"xdg-open", ""},
	} {
		v := open(t, s.LinkTo(), player, want[0])
		url := v.HTTP + want[len(want)-1]
		if words := append(want[:len(want)-1:len(want)-1], url); !slices.Equal(v.words, words) {
			t.Errorf("--player %s runs %q, want %q", player, v.words, words)
		}
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("--player %s: %s answers %s", player, url, answer.Status)
		}
		v.close(t, "0")
		if player == "browser" {
			until(t, v.Process, "live without the browser that was closed", live)
			if err := v.Stop(); err != nil {
				t.Error(err)
			}
			continue
		}
		<-v.Done()
		if err := v.Stop(); err != nil {
			t.Errorf("--player %s, closed: %v, want the viewer to end well", player, err)
		}
	}
}

// TestPlayerThatFails ends the viewer, which says where else to watch; a viewer that ends closes its player.
func TestPlayerThatFails(t *testing.T) {
	need(t)
	beside(t, 1)
	s := streamer(t, "demo")
	v := open(t, s.LinkTo(), "mpv", "mpv")
	v.close(t, "3")
	<-v.Done()
	if err := v.Stop(); err == nil || !strings.Contains(err.Error(), "open "+v.HTTP+" yourself") {
		t.Errorf("a player that fails: %v, want where else to watch", err)
	}
	v = open(t, s.LinkTo(), "mpv", "mpv")
	if err := v.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(v.fifo, "0\n"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the player of a viewer that has ended: %v, want it to be gone", err)
	}
}

// piped runs `viewer --stdout` until it has written so much of the stream, and returns that with what stood on standard error.
func piped(t *testing.T, link string, size int) (stream []byte, said string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "viewer"), link, "--stdout", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stream = make([]byte, size)
	_, err = io.ReadFull(out, stream)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("viewer --stdout: %v\n%s", err, &stderr)
	}
	return stream, stderr.String()
}

// TestStandardOutput: with --stdout there is nothing on standard output but the stream, from its first packet on, and facts are on standard error.
func TestStandardOutput(t *testing.T) {
	need(t)
	beside(t, 1)
	s := streamer(t, "demo")
	stream, said := piped(t, s.LinkTo(), 188*4000)
	if !strings.Contains(said, "http://127.0.0.1:") {
		t.Errorf("standard error does not say where the page is:\n%s", said)
	}
	for at := 0; at < len(stream); at += 188 {
		if stream[at] != 0x47 {
			t.Fatalf("byte %d of the stream is %#x, want a packet to begin there (ISO/IEC 13818-1, 2.4.3.2)", at, stream[at])
		}
	}
	file := filepath.Join(t.TempDir(), "out.ts")
	if err := os.WriteFile(file, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := readRecording(t, file); len(r.units) < 50 || !slices.Contains(r.video[:], true) {
		t.Errorf("the stream has %d access units, video %v", len(r.units), r.video)
	}
	t.Run("ffprobe", func(t *testing.T) {
		need(t, "ffprobe")
		got := (&route{mute: true}).described(t, file) // once alone and once in its program
		if slices.Sort(got); !slices.Equal(slices.Compact(got), []string{"aac", "h264"}) {
			t.Errorf("it sees %q, want H.264 and AAC", got)
		}
	})
}
