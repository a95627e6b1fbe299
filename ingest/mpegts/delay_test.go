package mpegts

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/segmenter"
)

// signed is the Sink of what comes out of blocks, and when.
type signed map[int64]time.Time // by PTS

func (s signed) SetProgram(*ingest.Program)  {}
func (s signed) WriteSample(x ingest.Sample) { s[x.PTS] = time.Now() }

// TestDelay: at 4 Mbit/s half of the pictures are in a finished block 25 ms after their last byte came at the latest, 19 of 20 after 60 ms, in virtual
// time; pictures of undeclared length, which a stream without silence does not give away, and 25 a second.
func TestDelay(t *testing.T) {
	for name, stuffing := range map[string]bool{"with silence between": false, "stuffed to a constant rate": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pictures := uneven(t)
				arrived, out := map[int64]time.Time{}, signed{}
				viewer := segmenter.NewAssembler(out)
				cutter := segmenter.New(segmenter.Config{}, func(b segmenter.Block) error { return viewer.Write(b.Payload, b.SegmentFirst) })
				r, w := io.Pipe()
				stop := start(t, &Reader{R: r}, cutter)
				null := append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...)
				for i, p := range pictures {
					_, _ = w.Write(p)
					arrived[int64(i)*3600] = time.Now()
					for range 8 {
						time.Sleep(5 * time.Millisecond)
						if stuffing {
							_, _ = w.Write(null)
						}
					}
				}
				_ = stop()
				var took []time.Duration
				for pts, at := range arrived {
					if end, ok := out[pts]; ok && pts > 50*3600 {
						took = append(took, end.Sub(at))
					}
				}
				slices.Sort(took)
				p50, p95 := took[len(took)/2], took[len(took)*95/100]
				t.Logf("%d pictures: p50 %v, p95 %v", len(took), p50, p95)
				if len(took) < 440 || p50 > 25*time.Millisecond || p95 > 60*time.Millisecond {
					t.Errorf("%d pictures took %v and %v, want 25 ms and 60 ms at most", len(took), p50, p95)
				}
			})
		})
	}
}

// uneven is 20 s of pictures, each in its packets without a declared length.
func uneven(t *testing.T) (pictures [][]byte) {
	parts := synthetic(25, 0)(t)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		size := int(20e3 * (0.4 + 0.95*random.Float64()) * 25 / 29)
		kind := []byte{0x41, 0x9a}
		if i%25 == 0 {
			size, kind = 80e3, []byte{0x65, 0x88}
		}
		parts[i/200].samples[i%200].Data = coded(kind, i, size)
	}
	for _, p := range slices.Concat(multiplexed(t, parts)...) {
		switch b := payloadOf(p); {
		case p[1]&0x40 != 0 && len(b) > 6 && bytes.HasPrefix(b, []byte{0, 0, 1, 0xe0}):
			b[4], b[5] = 0, 0
			pictures = append(pictures, p)
		case len(pictures) == 0:
			pictures = append(pictures, p)
		default:
			pictures[len(pictures)-1] = append(pictures[len(pictures)-1], p...)
		}
	}
	return pictures[len(pictures)-600 : len(pictures)-100] // what came before the first picture is in its packets
}
