package mpegts

import (
	"bytes"
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/clip/cliptest"
	"tailcast/segmenter"
)

// FuzzAir: whatever comes in, viewers get the very samples that the source delivered, in an order that each track can be decoded in, and the counters
// tell what was delivered.
func FuzzAir(f *testing.F) {
	for _, b := range cliptest.TS(f) {
		f.Add(b, uint16(1316))
	}
	f.Add(clip.Bytes()[:188*60], uint16(188))
	seed := maphash.MakeSeed()
	f.Fuzz(func(t *testing.T, in []byte, portion uint16) {
		r := &run{seed: seed, stats: &ingest.Stats{}}
		viewer := segmenter.NewAssembler(&ear{run: r, list: &r.out})
		cutter := segmenter.New(segmenter.Config{
			AfterFunc: func(time.Duration, func()) segmenter.Timer { return still{} },
		}, func(b segmenter.Block) error { return viewer.Write(b.Payload, b.SegmentFirst) })
		scanner := Config{Stats: r.stats}.scanner(&tee{run: r, ear: &ear{run: r, list: &r.in}, cutter: cutter})
		for part := range slices.Chunk(bytes.Clone(in), int(portion)%4000+1) {
			scanner.Write(part)
		}
		scanner.Flush()
		if err := cutter.Close(); err != nil {
			t.Fatalf("a block cannot be read: %v", err)
		}
		if !slices.EqualFunc(r.in, r.out, sameBut) {
			t.Fatalf("%d samples came in, %d went out, or they differ", len(r.in), len(r.out))
		}
		checkOrder(t, r.in)
		if n := r.stats.Samples.Load(); n != uint64(len(r.in)) {
			t.Fatalf("%d samples are counted, %d came", n, len(r.in))
		}
	})
}
