package main

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/switcher"
)

// bench aligns inputs by a clock of its own.
type alignBench struct {
	clock *programClock
	at    time.Time
}

func newAlignBench() *alignBench {
	b := &alignBench{clock: newProgramClock(), at: time.Unix(1_900_000_000, 0)}
	b.clock.now = func() time.Time { return b.at }
	return b
}

// testInput is an encoder: what its clock says now, and how late samples come.
type testInput struct {
	b      *alignBench
	t      *timing
	zero   int64         // its clock at the beginning
	ppm    int64         // how fast it runs besides
	late   time.Duration // of samples on their way
	jitter time.Duration // more of that for every second sample
	n      int
	dated  bool
}

func (b *alignBench) input(zero int64) *testInput {
	i := &testInput{b: b, t: b.clock.timing(), zero: zero}
	i.t.setProgram(&ingest.Program{Tracks: []ingest.Track{{ID: 0, Codec: ingest.H264}, {ID: 1, Codec: ingest.AAC}, {ID: 2, Codec: ingest.Data}}})
	return i
}

// is is what the clock of the input says of a moment.
func (i *testInput) is(moment time.Time) int64 {
	since := ticksOf(moment.Sub(time.Unix(1_900_000_000, 0)))
	return i.zero + since + since*i.ppm/1_000_000
}

// play sends the picture and the sound that come now; it returns how far each is from the channel's clock of another input, in ticks.
func (i *testInput) play() (moved ingest.Sample) {
	late := i.late
	if i.n%2 == 1 {
		late += i.jitter
	}
	captured := i.b.at.Add(-late)
	video := ingest.Sample{Track: 0, DTS: i.is(captured), PTS: i.is(captured)}
	if i.n%25 == 0 {
		video.Flags = ingest.RandomAccess
	}
	sound := ingest.Sample{Track: 1, DTS: video.DTS - 900, PTS: video.DTS - 900}
	if i.dated {
		video.Wall, sound.Wall = captured, captured.Add(-10*time.Millisecond)
	}
	i.n++
	for _, s := range []*ingest.Sample{&video, &sound} {
		i.t.observe(s)
		i.t.shift(s)
	}
	if video.DTS-sound.DTS != 900 {
		panic("sound and picture have come apart")
	}
	return video
}

// apart plays two inputs for so many pictures, 25 a second, and says how far the second is from the first at the end: in time, given what is at one moment.
func (b *alignBench) apart(x, y *testInput, pictures int) time.Duration {
	var a, c ingest.Sample
	for range pictures {
		a, c = x.play(), y.play()
		b.at = b.at.Add(40 * time.Millisecond)
	}
	last := b.at.Add(-40 * time.Millisecond)
	lateOf := func(i *testInput) time.Duration {
		if (i.n-1)%2 == 1 {
			return i.late + i.jitter
		}
		return i.late
	}
	first, second := last.Add(-lateOf(x)), last.Add(-lateOf(y))
	return time.Duration(c.DTS-a.DTS)*time.Second/ingest.ClockRate - second.Sub(first)
}

// TestOneEncodersTimesAreKept: two outputs of one encoder stay as they are to each other, though one comes later and has a wrap behind it.
func TestOneEncodersTimesAreKept(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(5_000_000), b.input(5_000_000)
	y.late, y.jitter = 300*time.Millisecond, 200*time.Millisecond
	if got := b.apart(x, y, 100); got != 0 {
		t.Errorf("they are %v apart, want them as they came", got)
	}
	if got := x.play(); got.DTS != x.is(b.at) {
		t.Errorf("the first input was moved by %d ticks", got.DTS-x.is(b.at))
	}

	b = newAlignBench()
	x, y = b.input(wrap+5_000_000), b.input(5_000_000)
	if got := b.apart(x, y, 100); got != 0 {
		t.Errorf("behind a wrap they are %v apart, want 0", got)
	}
}

// TestIndependentInputsAreAlignedByTheClock: the second is moved to where the first is, as exactly as arrival tells, or capture where both know it.
func TestIndependentInputsAreAlignedByTheClock(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(5_000_000), b.input(-800_000_000)
	y.late, y.jitter = 60*time.Millisecond, 100*time.Millisecond
	if got := b.apart(x, y, 100); got < -100*time.Millisecond || got > 100*time.Millisecond {
		t.Errorf("they are %v apart, want no more than one comes later than the other", got)
	}

	b = newAlignBench()
	x, y = b.input(5_000_000), b.input(-800_000_000)
	x.dated, y.dated, y.late = true, true, 700*time.Millisecond
	if got := b.apart(x, y, 100); got != 0 {
		t.Errorf("though their samples say when they were captured, they are %v apart", got)
	}
}

// TestDriftIsCorrected: an encoder whose clock is 300 ppm fast is never half a second away for long, and moves seldom.
func TestDriftIsCorrected(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(0), b.input(900_000_000)
	y.ppm = 300
	b.apart(x, y, 1)
	for hour := range 3 {
		got := b.apart(x, y, 25*3600)
		if got < -600*time.Millisecond || got > 600*time.Millisecond {
			t.Errorf("after %d hours they are %v apart", hour+1, got)
		}
	}
	if y.t.move < 4 || y.t.move > 9 {
		t.Errorf("moved %d times in 3 hours at 1.08 s an hour, want each half second", y.t.move)
	}
	if x.t.move != 1 {
		t.Errorf("the leader was moved %d times", x.t.move-1)
	}
}

// TestJumpIsFollowed: an encoder that begins again at 0 goes on where it was; and both, if it was one encoder's, agree exactly afterwards.
func TestJumpIsFollowed(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(5_000_000), b.input(5_000_000)
	b.apart(x, y, 100)
	before := x.play()
	b.at = b.at.Add(40 * time.Millisecond)
	x.zero -= 77_000_000
	after := x.play()
	if step := after.DTS - before.DTS; step < 0 || step > ingest.ClockRate {
		t.Errorf("the first goes on %d ticks later, want less than a second", step)
	}
	if got := b.apart(x, y, 50); got.Abs() > 50*time.Millisecond {
		t.Errorf("while only the first has jumped they are %v apart", got)
	}
	y.zero -= 77_000_000
	if got := b.apart(x, y, 100); got != 0 {
		t.Errorf("after both have jumped they are %v apart, want 0", got)
	}
}

// TestPauseIsNoJump: what comes late, but goes on in its own time, is not torn apart.
func TestPauseIsNoJump(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(5_000_000), b.input(900_000_000)
	b.apart(x, y, 300)
	moves := y.t.move
	b.at = b.at.Add(4 * time.Second) // both were away; their clocks went on
	if got := b.apart(x, y, 300); got.Abs() > 50*time.Millisecond || y.t.move != moves {
		t.Errorf("after a pause they are %v apart, moved %d times", got, y.t.move-moves)
	}
}

// TestDataMovesNothing: data that comes before anything else with times of its own, or jumps while all goes on, is moved as the rest is.
func TestDataMovesNothing(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(5_000_000), b.input(900_000_000)
	data := func(i *testInput, dts int64) ingest.Sample {
		s := ingest.Sample{Track: 2, PTS: dts, DTS: dts}
		i.t.observe(&s)
		i.t.shift(&s)
		return s
	}
	b.apart(x, x, 50)
	if got := data(y, 77_000_000); got.DTS != 77_000_000 {
		t.Errorf("data that came first was moved by %d ticks, want 0: nothing is known yet", got.DTS-77_000_000)
	}
	if got := b.apart(x, y, 50); got != 0 {
		t.Errorf("after data that came first they are %v apart, want 0", got)
	}
	offset, moves, section := y.t.offset, y.t.move, y.t.section
	if got := data(y, y.is(b.at)); got.DTS != y.is(b.at)+offset || got.Flags&ingest.Discontinuity == 0 {
		t.Errorf("data was moved by %d ticks with flags %d, want %d and a discontinuity", got.DTS-y.is(b.at), got.Flags, offset)
	}
	for _, dts := range []int64{3, 400_000_000, -20} {
		b.at = b.at.Add(40 * time.Millisecond)
		if got := data(y, dts); got.DTS != dts+offset {
			t.Errorf("data at %d was moved by %d ticks, want %d as the rest is", dts, got.DTS-dts, offset)
		}
	}
	if got := b.apart(x, y, 50); got != 0 || y.t.move != moves || y.t.section != section {
		t.Errorf("after data that jumped they are %v apart, moved %d times", got, y.t.move-moves)
	}
}

// TestFailoverIsNoJump: an input that is silent for as long as the switcher waits, and then catches up with what another has sent since, marked as
// discontinuous, has the same clock as before.
func TestFailoverIsNoJump(t *testing.T) {
	b := newAlignBench()
	x, y := b.input(5_000_000), b.input(900_000_000)
	b.apart(x, y, 100)
	moves, section, offset := y.t.move, y.t.section, y.t.offset
	last := b.at.Add(-40 * time.Millisecond)
	for range 26 { // a second and two pictures without y
		x.play()
		b.at = b.at.Add(40 * time.Millisecond)
	}
	for i := range 26 {
		dts := y.is(last.Add(time.Duration(i+1) * 40 * time.Millisecond))
		for track := range uint8(2) {
			s := ingest.Sample{Track: track, DTS: dts, PTS: dts}
			if i == 0 {
				s.Flags = ingest.RandomAccess | ingest.Discontinuity
			}
			y.t.observe(&s)
			if y.t.shift(&s); s.DTS != dts+offset {
				t.Fatalf("sample %d of track %d was moved by %d ticks, want %d as before", i, track, s.DTS-dts, offset)
			}
		}
	}
	if got := b.apart(x, y, 300); got != 0 || y.t.move != moves || y.t.section != section {
		t.Errorf("after a failover they are %v apart, moved %d times, %d jumps", got, y.t.move-moves, y.t.section-section)
	}
}

// clocked is an input of 25 pictures a second on a clock that is zero at the start and may be fast, which is gone in between.
type clocked struct {
	zero, ppm  int64
	gop, key   int64 // pictures from a keyframe to the next, and which is the first
	gone, back time.Duration
}

func (c clocked) Run(ctx context.Context, sink ingest.Sink) error {
	sink.SetProgram(&ingest.Program{Tracks: []ingest.Track{{ID: 0, Codec: ingest.H264}}})
	begin := time.Now()
	for n := int64(0); ; n++ {
		if !ingest.Sleep(ctx, time.Until(begin.Add(time.Duration(n)*40*time.Millisecond))) {
			return ctx.Err()
		}
		at := time.Duration(n) * 40 * time.Millisecond
		if at >= c.gone && at < c.back {
			continue
		}
		s := ingest.Sample{DTS: c.zero + n*3600 + n*3600*c.ppm/1_000_000}
		if s.PTS = s.DTS; n%c.gop == c.key {
			s.Flags = ingest.RandomAccess
		}
		sink.WriteSample(s)
	}
}

// airing is the end of a rendition: it notes how far the newest sample is from the time of day.
type airing struct {
	t    *timing
	skew atomic.Int64
}

func (a *airing) SetProgram(p *ingest.Program) { a.t.setProgram(p) }
func (a *airing) WriteSample(s ingest.Sample) {
	a.t.observe(&s)
	a.t.shift(&s)
	a.skew.Store(skewOf(s.DTS, time.Now()))
}

// TestRenditionsAgreeAfterAFailover: of two outputs of one encoder, one is lost, replaced by another encoder, and comes back. Then the two are where
// they were to each other.
func TestRenditionsAgreeAfterAFailover(t *testing.T) {
	most := time.Duration(0)
	for _, c := range []struct{ gone, back, gop int64 }{{10_900, 20_000, 50}, {11_300, 15_000, 25}, {10_900, 200_000, 100}} {
		synctest.Test(t, func(t *testing.T) {
			gone, back := time.Duration(c.gone)*time.Millisecond, time.Duration(c.back)*time.Millisecond
			clock := newProgramClock()
			x, y := &airing{t: clock.timing()}, &airing{t: clock.timing()}
			whole := switcher.New(switcher.Config{Inputs: []switcher.Input{{Name: "high", Source: clocked{zero: 5e6, gop: c.gop}}}})
			broken := switcher.New(switcher.Config{Inputs: []switcher.Input{
				{Name: "low", Source: clocked{zero: 5e6, gop: c.gop, gone: gone, back: back}}, {Name: "spare", Source: clocked{zero: -9e8, gop: c.gop, key: 12, ppm: 300}},
			}})
			ctx, stop := context.WithCancel(t.Context())
			var both sync.WaitGroup
			both.Go(func() { _ = whole.Run(ctx, x) })
			both.Go(func() { _ = broken.Run(ctx, y) })
			apart := func(after time.Duration) time.Duration {
				time.Sleep(after)
				synctest.Wait()
				return time.Duration(y.skew.Load()-x.skew.Load()) * time.Second / ingest.ClockRate
			}
			before := apart(9010 * time.Millisecond)
			during := apart(gone + 5*time.Second - 9*time.Second)
			after := apart(back - gone + 15*time.Second)
			if before != 0 || after != 0 {
				t.Errorf("%v: apart by %v before, %v while the backup was on air, %v after; want 0 but in between", c, before, during, after)
			}
			if most = max(most, during); most > time.Second {
				t.Errorf("%v: %v apart while the backup was on air", c, during)
			}
			t.Logf("%v apart while the backup is on air", during)
			if _, n := broken.Status(); n != 2 {
				t.Errorf("%d switches, want 2", n)
			}
			stop()
			both.Wait()
		})
	}
	if most < 100*time.Millisecond {
		t.Errorf("at most %v apart while a backup was on air: the test is too kind", most)
	}
}
