package mpegts

import (
	"fmt"
	"hash/maphash"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// encoded is what an encoder of somebody else makes, in three parts of equal time.
func encoded(t *testing.T, args string) (parts [][][]byte) {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("needs ffmpeg (Debian: apt install ffmpeg)")
	}
	file := filepath.Join(t.TempDir(), "clip.ts")
	all := strings.Fields("-v error -nostdin -threads 1 -f lavfi -i testsrc2=s=320x180:r=25:d=24 -f lavfi -i sine=f=440:r=48000:d=24 -map 0 -map 1 -map 1 " + args + " -f mpegts")
	if out, err := exec.Command(path, append(all, file)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	packets := packetsOf(b)
	n := len(packets)
	return [][][]byte{packets[:n/3], packets[n/3 : 2*n/3], packets[2*n/3:]}
}

// clipsOfOthers are arguments of ffmpeg: codecs, and ways to multiplex.
func clipsOfOthers() []string {
	list := []string{
		"-c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac",
		"-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:bframes=2 -c:a:0 ac3 -c:a:1 eac3",
		"-c:v mpeg2video -g 12 -bf 2 -c:a:0 mp2 -c:a:1 libopus",
		"-c:v libx264 -preset ultrafast -g 25 -c:a aac -mpegts_flags latm+system_b -pes_payload_size 0",
	}
	if testing.Short() {
		return list[:1]
	}
	return list
}

// TestDamageOfOthers is the matrix with what ffmpeg encodes and multiplexes, in other codecs and in its own way.
func TestDamageOfOthers(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, args := range clipsOfOthers() {
		parts := encoded(t, args)
		clean := airPackets(t, seed, copyOf(parts), harm{}, 0, 0)
		for i, h := range but(harms, "unbounded PES") { // as those of ffmpeg are
			t.Run(fmt.Sprintf("%s/%s", args, h.name), func(t *testing.T) {
				got := airPackets(t, seed, copyOf(parts), h, uint64(i), 0)
				if h.known { // of pictures alone: a PES packet of sound is several samples
					checkSpared(t, slices.DeleteFunc(got.wanted, func(w wanted) bool { return w.sample.pid != 0x100 }), got.in)
				}
				h.known = false
				checkDamage(t, clean, got, h)
			})
		}
	}
}

// TestDamageOfOthersKeepsMemoryFlat is the same with what ffmpeg makes.
func TestDamageOfOthersKeepsMemoryFlat(t *testing.T) {
	var list []harmful
	for _, args := range clipsOfOthers() {
		parts := encoded(t, args)
		for _, h := range harms {
			list = append(list, harmful{parts, h})
		}
	}
	checkFlat(t, list)
}

// copyOf is deep: who does harm changes packets where they are.
func copyOf(parts [][][]byte) (out [][][]byte) {
	for _, p := range parts {
		var list [][]byte
		for _, x := range p {
			list = append(list, append([]byte(nil), x...))
		}
		out = append(out, list)
	}
	return out
}
