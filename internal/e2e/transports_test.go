package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tailcast/internal/command"
)

// packet is an access unit as ffprobe sees it: somebody else's demultiplexer judges ours and our multiplexer.
type packet struct {
	Stream int    `json:"stream_index"`
	PTS    int64  `json:"pts"`
	DTS    int64  `json:"dts"`
	Hash   string `json:"data_hash"`
}

// probe lists the packets of a file, by stream.
func probe(t *testing.T, file string) map[int][]packet {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_packets", "-show_data_hash", "md5",
		"-show_entries", "packet=stream_index,pts,dts,data_hash", "-of", "json", file).Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v", file, err)
	}
	var all struct{ Packets []packet }
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	streams := map[int][]packet{}
	for _, p := range all.Packets {
		streams[p.Stream] = append(streams[p.Stream], p)
	}
	return streams
}

// compare finds got inside sent, as one run that misses at most tail packets of the end, byte-identical and with the same
// distances in time across all streams. It returns how many packets of the first stream the viewer joined late.
func compare(t *testing.T, sent, got map[int][]packet, tail int) {
	t.Helper()
	if len(got) != len(sent) {
		t.Fatalf("got %d streams, want %d", len(got), len(sent))
	}
	shift, known := int64(0), false
	for i := range len(sent) {
		first := index(sent[i], got[i])
		if first < 0 {
			t.Errorf("stream %d: none of the %d packets sent equals the first one received", i, len(sent[i]))
			continue
		}
		if missing := len(sent[i]) - first - len(got[i]); missing > tail || missing < 0 {
			t.Errorf("stream %d: %d of %d packets received from %d on, want all but %d", i, len(got[i]), len(sent[i]), first, tail)
		}
		for k, p := range got[i] {
			if first+k >= len(sent[i]) {
				break
			}
			want := sent[i][first+k]
			if !known {
				shift, known = p.DTS-want.DTS, true
			}
			if p.Hash != want.Hash || p.DTS-want.DTS != shift || p.PTS-want.PTS != shift {
				t.Fatalf("stream %d, packet %d: got %+v, want %+v shifted by %d", i, k, p, want, shift)
			}
		}
	}
}

func index(sent, got []packet) int {
	if len(got) == 0 {
		return -1
	}
	for i, p := range sent {
		if p.Hash == got[0].Hash && (len(got) == 1 || i+1 < len(sent) && sent[i+1].Hash == got[1].Hash) {
			return i
		}
	}
	return -1
}

// TestEveryAccessUnitArrives airs the clip through every way into a streamer, and reads it from a viewer.
func TestEveryAccessUnitArrives(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	beside(t, 4)
	port := freePort(t)
	push := []string{"-re", "-i", clipFile, "-map", "0", "-c", "copy", "-f", "mpegts"}
	for _, way := range []struct {
		name   string
		input  []string
		stdin  bool
		ffmpeg func(*command.Process) []string // nil: the streamer reads by itself
		tail   int                             // packets of the end that the way itself may lose
	}{
		{name: "file", input: []string{clipFile}},
		{name: "stdin", input: []string{"-"}, stdin: true},
		{name: "udp", input: []string{"udp://127.0.0.1:" + port}, tail: 1, ffmpeg: func(*command.Process) []string {
			return append(push, "udp://127.0.0.1:"+port+"?pkt_size=1316")
		}},
		{name: "http", ffmpeg: func(p *command.Process) []string { return append(push, "-method", "PUT", p.HTTP+"/ingest") }},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--data", t.TempDir(), "--rtsp", ""}, way.input...)
			var p *command.Process
			if way.stdin {
				p = startPiped(t, args)
			} else {
				p = start(t, "streamer", nil, args...)
			}
			sent := p.Done() // a streamer that reads by itself ends with its input
			if way.ffmpeg != nil {
				cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-nostdin"}, way.ffmpeg(p)...)...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				pushed := make(chan struct{})
				sent = pushed
				go func() {
					_ = cmd.Wait()
					close(pushed)
				}()
				t.Cleanup(func() { <-pushed })
			}
			v := viewer(t, p.LinkTo())
			until(t, v, "live", live)
			out := filepath.Join(t.TempDir(), "out.ts")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() { // what the viewer has got when the input is over is compared
				<-sent
				until(t, v, "the end", func(s status) bool { return s.State != "live" })
				time.AfterFunc(time.Second, cancel)
			}()
			record(ctx, t, v.HTTP+"/live.ts?join=last", out)
			compare(t, probe(t, clipFile), probe(t, out), way.tail)
			ffmpeg(t, "-i", out, "-f", "null", "-")
		})
	}
}

// startPiped runs a streamer with ffmpeg's output on its standard input.
func startPiped(t *testing.T, args []string) *command.Process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", clipFile, "-map", "0", "-c", "copy", "-f", "mpegts", "-")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	p := start(t, "streamer", read, args...)
	t.Cleanup(func() {
		read.Close()
		_ = cmd.Wait()
	})
	return p
}
