package mpegts

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// TestFFmpegSends: what ffmpeg sends in real time by RTP, and by UDP to a group, is the clip.
func TestFFmpegSends(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	film := write(t, filepath.Join(t.TempDir(), "film.ts"), clip.Bytes())
	lo := loopback(t)
	for _, c := range []struct {
		name, addr string
		to         func(port int) []string
	}{
		{"RTP", "127.0.0.1:0", func(port int) []string {
			return []string{"-f", "rtp_mpegts", fmt.Sprintf("rtp://127.0.0.1:%d?pkt_size=1328", port)}
		}},
		{"UDP to a group", "239.255.77.2:0", func(port int) []string {
			return []string{"-f", "mpegts", fmt.Sprintf("udp://239.255.77.2:%d?pkt_size=1316&localaddr=127.0.0.1", port)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stats := new(ingest.Stats)
			u, err := ListenUDP(UDPConfig{Config: Config{Stats: stats}, Addr: c.addr, Interface: lo.Name, Source: "127.0.0.1"})
			if err != nil {
				t.Skipf("needs multicast on the loopback interface: %v", err)
			}
			s := newSink(0)
			stop := start(t, u, s)
			args := append([]string{"-v", "error", "-nostdin", "-re", "-i", film, "-c", "copy"}, c.to(u.Addr().(*net.UDPAddr).Port)...)
			if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
				t.Fatalf("ffmpeg: %v\n%s", err, out)
			}
			want := want(t).of(pictures)
			want = want[:len(want)-1] // ffmpeg keeps its last packets where they do not fill a datagram
			for deadline := time.Now().Add(10 * time.Second); len(s.of(pictures)) < len(want) && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			canceled(t, stop())
			if n := stats.LostPackets.Load() + stats.SkippedBytes.Load(); n != 0 {
				t.Errorf("got %d losses, want none: %s", n, stats.LastError())
			}
			got := s.of(pictures)
			if len(got) < len(want) {
				t.Fatalf("got %d pictures, want %d", len(got), len(want))
			}
			for i, w := range want {
				if !bytes.Equal(got[i].Data, w.Data) || got[i].DTS-got[0].DTS != w.DTS-want[0].DTS || got[i].PTS-got[0].PTS != w.PTS-want[0].PTS {
					t.Fatalf("picture %d is another, or at another time", i)
				}
			}
		})
	}
}
