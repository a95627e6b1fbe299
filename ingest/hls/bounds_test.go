package hls

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

// box is one of ISO/IEC 14496-12, 4.2.
func box(name string, parts ...[]byte) []byte {
	payload := bytes.Join(parts, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(payload))), name...), payload...)
}

// wide is a box whose size has 64 bits.
func wide(name string, size uint64, parts ...[]byte) []byte {
	b := append([]byte{0, 0, 0, 1}, name...)
	return append(binary.BigEndian.AppendUint64(b, size), bytes.Join(parts, nil)...)
}

func words(all ...uint32) (b []byte) {
	for _, x := range all {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

// run is a trun of n samples that have the size of tfhd, and begin at an offset from moof.
func run(n, offset uint32) []byte { return box("trun", words(1, n, offset)) }

// movie is a fragment of track 1, whose samples have the same size each.
func movie(size uint32, media []byte, runs ...[]byte) []byte {
	head := [][]byte{box("tfhd", words(0x10, 1, size)), box("tfdt", words(1<<24, 0, 0))}
	return append(box("moof", box("mfhd", words(0, 1)), box("traf", append(head, runs...)...)), box("mdat", media)...)
}

// TestFragmentsCostLittle: a small segment cannot make us take much memory, whatever it declares.
func TestFragmentsCostLittle(t *testing.T) {
	init, _ := fragment(t)
	idr := []byte{0, 0, 0, 2, 0x65, 1}
	sps := append(binary.BigEndian.AppendUint32(nil, 100_000), append([]byte{0x67}, make([]byte, 99_999)...)...)
	at := uint32(len(movie(0, nil, run(0, 0))))
	swollen := append(movie(uint32(len(sps)), sps, run(1, at)), movie(6, bytes.Repeat(idr, 2000), run(2000, at))...)
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"samples without bytes":            {movie(0, nil, bytes.Repeat(run(19_000, 8), 200)), "more than"},
		"a run whose size has 64 bits":     {movie(0, nil, wide("trun", 28, words(1, 4_000_000, 8))), "more than"},
		"boxes without end":                {bytes.Repeat(box("free"), 1<<20), "more than"},
		"a box that ends before it begins": {append(box("free"), wide("free", 1<<64-8)...), "is said to have"},
		"samples of the same bytes":        {movie(1000, make([]byte, 1000), bytes.Repeat(run(1, 8), 2000)), "is said to have"},
		"many runs":                        {movie(1000, make([]byte, 1000), bytes.Repeat(run(1, 8), 20_000)), "more than"},
		"large parameter sets":             {swollen, "more than twice"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := fragmentsIn(init, c.in)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			took := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes took %d", len(c.in), took)
			if took > 320<<20 { // in all, and most of it for a moment: the reader takes 2 kB for a box, and 4 under the race detector
				t.Errorf("a segment of %d bytes took %d bytes of memory", len(c.in), took)
			}
		})
	}
}

// TestInitEnds: a box that ends before it begins would be read for ever.
func TestInitEnds(t *testing.T) {
	init, segment := fragment(t)
	if _, err := fragmentsIn(append(init, wide("free", 1<<64-8)...), segment); err == nil || !strings.Contains(err.Error(), "is said to have") {
		t.Errorf("got %v", err)
	}
}

// TestShortDEC3: a dec3 of five bytes, as ffmpeg writes it, gets the sixth that the parser reads, in boxes that are as much longer; thousands of them
// are left as they are.
func TestShortDEC3(t *testing.T) {
	with := func(entry []byte) []byte {
		return box("moov", box("trak", box("mdia", box("minf", box("stbl", box("stsd", words(0, 1), entry))))))
	}
	entry := func(dec3 ...byte) []byte { return box("ec-3", make([]byte, 28), box("dec3", dec3)) }
	if got, want := roomy(with(entry(1, 2, 3, 4, 5))), with(entry(1, 2, 3, 4, 5, 0)); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	many := with(bytes.Repeat(entry(1, 2, 3, 4, 5), 10_000))
	if got := roomy(many); !bytes.Equal(got, many) {
		t.Errorf("%d bytes became %d", len(many), len(got))
	}
}
