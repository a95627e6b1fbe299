package segmenter

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"tailcast/ingest"
)

// stream is a synthetic programme: pictures of uneven size with a random access point each second, and sound.
type stream struct {
	name    string
	video   int // bits a second; 0 for radio
	fps     int
	audio   int // bits a second
	program func() *ingest.Program
}

var (
	fourMbit    = stream{"4Mbit", 3_870_000, 25, 128_000, television}
	smallVideo  = stream{"0.87Mbit", 770_000, 25, 96_000, television}
	radioStream = stream{"radio96k", 0, 0, 96_000, radio}
)

// events are in the order of their arrival.
func (s stream) events(length time.Duration) []event {
	var list []event
	end := ticks(length)
	if s.video > 0 {
		list = s.pictures(end)
	}
	for at := int64(0); at < end; at += 1920 {
		flags := ingest.Flags(0)
		if s.video == 0 {
			flags = ingest.RandomAccess
		}
		list = append(list, sample(1, flags, at, s.audio*1920/ingest.ClockRate/8))
	}
	slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.Sample.DTS, b.Sample.DTS) })
	return slices.Insert(list, 0, event{Program: s.program()})
}

// pictures are one of 4 shares a second, then of 0.4 to 1.35, as encoders with a small buffer make them.
func (s stream) pictures(end int64) (list []event) {
	random := rand.New(rand.NewPCG(1, 2))
	step := int64(ingest.ClockRate / s.fps)
	share := float64(s.video) / 8 / float64(s.fps)
	for i := int64(0); i*step < end; i++ {
		flags, weight := ingest.Flags(0), 0.4+0.95*random.Float64()
		if i%int64(s.fps) == 0 {
			flags, weight = ingest.RandomAccess, 4
		}
		e := sample(0, flags, i*step, int(share*weight))
		e.Sample.PTS += 2 * step
		list = append(list, e)
	}
	return list
}

// arrival is when m reaches the segmenter, from the beginning.
func arrival(m *ingest.Sample) time.Duration {
	return time.Duration(m.DTS) * time.Second / ingest.ClockRate
}
