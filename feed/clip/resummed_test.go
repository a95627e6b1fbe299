package clip

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
)

// The checksum is no evidence: whoever changes a clip makes it anew. Then, too, every bit counts: the clip is refused, or what changed
// is a line of a witness, which then is of a witness that nobody knows and proves nothing.
func TestEveryBitBeyondTheChecksum(t *testing.T) {
	for name, step := range map[string]int{"bare": 3, "cosigned": 9, "epochs": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				step = 89
			}
			good := readGolden(t, name)
			o := Options{Root: goldenRoot(t), Witnesses: witnesses(t, newTestWitness("witness"), newTestWitness("other-witness"))}
			want, err := Verify(bytes.NewReader(good), o)
			if err != nil {
				t.Fatal(err)
			}
			lines := 0
			summed := good[:len(good)-len(want.Sum)]
			for i := 0; i < 8*len(summed); i += step {
				b := slices.Clone(summed)
				b[i/8] ^= 1 << (i % 8)
				report, err := Verify(bytes.NewReader(resum(b)), o)
				if errors.Is(err, ErrRefuted) {
					continue
				}
				if err != nil || dated(report) >= dated(want) {
					t.Fatalf("bit %d of byte %d changed: got %v, %v", i%8, i/8, report, err)
				}
				lines++
			}
			// The name of a witness and its key id in base64 are some 30 bytes, and there are two at most.
			if lines > 8*80/step {
				t.Errorf("%d changes were taken for another witness", lines)
			}
			if resummed, err := Verify(bytes.NewReader(resum(summed)), o); err != nil || resummed.Sum != want.Sum {
				t.Errorf("as it was: got %v", err)
			}
		})
	}
}

// dated returns how many witnesses date the clip.
func dated(r *Report) (n int) {
	for _, p := range r.Parts {
		if p.Anchor == nil {
			continue
		}
		for _, c := range p.Anchor.Witnesses {
			if c.Checked {
				n++
			}
		}
	}
	return n
}

// endless never ends.
type endless byte

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

// Wherever a clip goes on as no clip does, without end: it is refused there, with memory for a block and some notes.
func TestVerifyIsBounded(t *testing.T) {
	good := readGolden(t, "cosigned")
	step := 23
	if testing.Short() {
		step = 230
	}
	for n := 0; n < len(good); n += step {
		for _, more := range []endless{0x00, 0x01, 0x02, 0x7f, 0xff} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Verify(io.MultiReader(bytes.NewReader(good[:n]), more), Options{})
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrRefuted) || got > 1<<20 {
				t.Fatalf("%d bytes, then %#02x for ever: got %v, and allocated %d bytes, want at most 1 MiB", n, byte(more), err, got)
			}
		}
	}
}
