package player

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// TestRadio: every frame of sound comes, as it was sent and in order, from where a frame begins.
func TestRadio(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	r := c.watch("/radio.aac")
	if got := r.Header.Get("Content-Type"); got != "audio/aac" || r.Header.Get("icy-name") != "test" || r.Header.Get("icy-metaint") != "" {
		t.Errorf("headers %v", r.Header)
	}
	got := readUntil(t, r.Body, func(b []byte) bool { return len(b) > 4000 })
	var sent []byte
	for _, s := range in {
		if s.Track == program.Tracks[1].ID {
			sent = append(sent, s.Data...)
		}
	}
	at := bytes.Index(sent, got[:200])
	if at < 0 || !bytes.HasPrefix(sent[at:], got[:min(len(got), len(sent)-at)]) {
		t.Error("what came was not sent like that")
	}
	if frames, err := (&aac{}).frames(got[:frameEnd(got)]); err != nil || len(frames) < 5 {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

// frameEnd is where the last whole frame ends.
func frameEnd(b []byte) (end int) {
	for end+adtsHeader <= len(b) {
		n := int(b[end+3]&3)<<11 | int(b[end+4])<<3 | int(b[end+5])>>5
		if end+n > len(b) {
			break
		}
		end += n
	}
	return end
}

// TestICY: between the frames stands the title, at the places that the header names, and without it the stream is the same.
func TestICY(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	for shift := range int64(6) {
		b.write(later(in, shift*clipTicks))
	}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/radio.aac?at=-1h", nil)
	request.Header.Set("Icy-MetaData", "1")
	from, _, _ := c.replica.Kept("main")
	request.URL.RawQuery = "at=" + from.UTC().Format("2006-01-02T15:04:05.999999Z")
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 200 || r.Header.Get("icy-metaint") != "16000" {
		text, _ := io.ReadAll(r.Body)
		t.Fatalf("%s %v %s", r.Status, r.Header, text)
	}
	var sound []byte
	var said []string
	for range 3 {
		piece := make([]byte, 16000+1)
		if _, err := io.ReadFull(r.Body, piece); err != nil {
			t.Fatal(err)
		}
		sound = append(sound, piece[:16000]...)
		meta := make([]byte, 16*int(piece[16000]))
		if _, err := io.ReadFull(r.Body, meta); err != nil {
			t.Fatal(err)
		}
		said = append(said, strings.TrimRight(string(meta), "\x00"))
	}
	if strings.Join(said, "|") != "StreamTitle='test';||" {
		t.Errorf("metadata %q", said)
	}
	if frames, err := (&aac{}).frames(sound[:frameEnd(sound)]); err != nil || len(frames) < 50 {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

func TestRadioRefuses(t *testing.T) {
	p := syntheticProgram()
	p.Tracks = p.Tracks[:1]
	b := newBench()
	b.SetProgram(p)
	web := serve(t, b)
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/radio.aac", nil)
	request.Header.Set("Icy-MetaData", "1")
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusNotAcceptable || !strings.Contains(string(text), "this channel has none (h264)") || r.Header.Get("icy-metaint") != "" {
		t.Errorf("got %s %q", r.Status, text)
	}
}

func TestRadioIsPlayed(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("skipping: ffmpeg is not installed")
	}
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	for shift := range int64(3) {
		b.write(later(in, shift*clipTicks))
	}
	from, _, _ := c.replica.Kept("main")
	url := c.url + "/radio.aac?at=" + from.UTC().Format("2006-01-02T15:04:05.999999Z")
	out, err := exec.CommandContext(t.Context(), ffmpeg, "-v", "info", "-xerror", "-icy", "1", "-t", "5", "-i", url, "-f", "null", "-").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Audio: aac") || !strings.Contains(string(out), "Icy-Name        : test") {
		t.Errorf("%v\n%s", err, out)
	}
}
