package rtp

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tailcast/ingest/rtp/rtptest"
	"tailcast/internal/es"
)

// decode gives the units with these presentation times, in frames of 100 ticks, their decoding times.
func decode(d *decodeClock, frames []int64) (pts, dts []int64, guessed int) {
	for i, f := range frames {
		p, at, g := d.next(nil, f*100, i == 0 && frames[1] > 0, i == 0)
		pts, dts = append(pts, p), append(dts, at)
		if g {
			guessed++
		}
	}
	return pts, dts, guessed
}

func TestDecodingTimes(t *testing.T) {
	for _, c := range []struct {
		name    string
		depth   int
		frames  []int64 // presentation, in decoding order
		want    []int64 // decoding times in ticks
		guessed int
	}{
		{"no reordering", 0, []int64{0, 1, 2, 3}, []int64{0, 100, 200, 300}, 0},
		{"one B picture", 1, []int64{0, 2, 1, 4, 3}, []int64{-100, 0, 100, 200, 300}, 0},
		{"pyramid of three B pictures", 2, []int64{0, 4, 2, 1, 3, 8, 6, 5, 7}, []int64{-200, -100, 0, 100, 200, 300, 400, 500, 600}, 0},
		{"reordering declared and not used", 2, []int64{0, 1, 2, 3}, []int64{-200, -100, 0, 100}, 0},
		{"variable frame rate", 1, []int64{0, 9, 3, 11, 10}, []int64{-100, 0, 300, 900, 1000}, 0},
		{"a picture is lost", 1, []int64{0, 2, 4, 3, 6, 5}, []int64{-100, 0, 200, 300, 400, 500}, 0},
		{"joined within", 2, []int64{0, -2, -3, -1, 4, 2, 1, 3}, []int64{-1800, -1700, -300, -200, -100, 0, 100, 200}, 0},
		{"more reordering than declared", 0, []int64{0, 2, 1, 4, 3, 6, 5}, []int64{0, 200, 201, 202, 300, 400, 500}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d decodeClock
			d.reset(c.depth, 100)
			pts, dts, guessed := decode(&d, c.frames)
			if !slices.Equal(dts, c.want) || guessed != c.guessed {
				t.Errorf("got %v, %d of them guessed, want %v, %d", dts, guessed, c.want, c.guessed)
			}
			for i, f := range c.frames {
				if pts[i] != f*100 && guessed == 0 {
					t.Errorf("PTS of picture %d became %d, want %d", i, pts[i], f*100)
				}
			}
		})
	}
}

// Without a declared depth, and before anything is known, times are guessed; they still rise and stay below presentation.
func TestDecodingTimesWithoutParameterSets(t *testing.T) {
	var d decodeClock
	d.reset(es.DepthUnknown, 0)
	_, dts, guessed := decode(&d, []int64{0, 100, 200})
	if want := []int64{0, defaultFrame, 2 * defaultFrame}; !slices.Equal(dts, want) || guessed != 3 {
		t.Errorf("got %v, %d of them guessed, want %v, all", dts, guessed, want)
	}
}

// Whatever presentation times come: decoding times rise, and none is above its presentation time.
func TestDecodingTimesAlwaysRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d decodeClock
		d.reset(rapid.IntRange(es.DepthUnknown, 20).Draw(t, "depth"), rapid.Int64Range(-1, 1<<40).Draw(t, "frame"))
		last, first := int64(0), true
		for range rapid.IntRange(1, 200).Draw(t, "units") {
			in := rapid.Int64Range(-1e6, 1e6).Draw(t, "pts")
			key := rapid.Bool().Draw(t, "key")
			pts, dts, guessed := d.next([][]byte{rtptest.IDR}, in, key, key)
			if dts > pts || !first && dts <= last {
				t.Fatalf("PTS %d gave %d and %d after %d", in, pts, dts, last)
			}
			if pts != in && !guessed {
				t.Fatalf("PTS %d became %d and nobody says so", in, pts)
			}
			if len(d.waiting) > es.MaxDepth+1 {
				t.Fatalf("%d times wait", len(d.waiting))
			}
			last, first = dts, false
		}
	})
}
