package switcher

import (
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// shiftOf is by how much the newest picture of a name on air was moved.
func (s *screen) shiftOf(t *testing.T, name string, origin int64) int64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.shown) - 1; i >= 0; i-- {
		if f := s.shown[i]; f.from == name {
			return f.dts - origin - int64(f.n)*3600
		}
	}
	t.Fatalf("%s was never shown", name)
	return 0
}

// TestReturnsToWhereItWas: after a failover, however far the backup had to be put behind real time and however its clock drifts, the primary lies where it
// lay, to the tick: its encoder's other renditions have not moved. It goes on where the backup ends, and no picture is missing.
func TestReturnsToWhereItWas(t *testing.T) {
	for _, gop := range []int{12, 25, 50, 100} {
		for phase := range 3 {
			synctest.Test(t, func(t *testing.T) {
				main := &encoder{name: "main", origin: 1e9, gop: gop, jitter: 60 * ms, lag: 900}
				spare := &encoder{name: "spare", origin: -7e7, gop: gop, jitter: 60 * ms, lag: 900, ppm: 1000}
				out := &screen{t: t}
				_, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
				time.Sleep(10*time.Second + time.Duration(phase)*690*ms)
				was, most := out.shiftOf(t, "main", 1e9), time.Duration(0)
				for range 2 {
					main.set(func(e *encoder) { e.off = true })
					time.Sleep(time.Minute)
					main.set(func(e *encoder) { e.off = false })
					out.mu.Lock()
					from := len(out.shown) - 1
					out.mu.Unlock()
					time.Sleep(20 * time.Second)
					if name, _ := out.now(); name != "main" {
						t.Errorf("keyframes each %d: after 20 s %s is on air", gop, name)
					}
					if is := out.shiftOf(t, "main", 1e9); is != was {
						t.Errorf("keyframes each %d, phase %d: it returned %v from where it was", gop, phase, duration(is-was))
					}
					out.mu.Lock()
					for i := from; i < len(out.shown)-1; i++ {
						most = max(most, duration(out.shown[i+1].dts-out.shown[i].dts))
					}
					out.mu.Unlock()
				}
				stop()
				if most > 140*ms {
					t.Errorf("keyframes each %d, phase %d: %v are missing on the program's clock at a return", gop, phase, most)
				}
				out.synced(map[string]int64{"main": 900, "spare": 900})
			})
		}
	}
}

// TestReturnWithoutTheKeyframe: the better input's keyframe does not come when it should. What is on air goes on at one of its own, and the better
// one is taken when it is there.
func TestReturnWithoutTheKeyframe(t *testing.T) {
	h := handover{planned: true, dts: 1000, pts: 1000, end: 5000}
	over := func(at, dts int64, kind kind, entry bool) bool {
		return h.over(&item{at: at, entry: entry}, &ingest.Sample{DTS: dts, PTS: dts}, kind, 5)
	}
	for i, c := range []struct {
		at, dts     int64
		kind        kind
		entry, want bool
	}{
		{900, 900, picture, true, false},
		{900, 900, sound, false, false},
		{1000, 1000, picture, false, true},
		{1001, 990, picture, false, true},
		{1001, 995, sound, false, false},
		{1002, 1002, sound, false, true},
		{5000, 5000, picture, true, true},
		{5001, 5001, picture, false, true},
		{5002, 5002, sound, false, true},
		{5003, 5003, picture, true, false},
		{5004, 5004, sound, false, false},
	} {
		if got := over(c.at, c.dts, c.kind, c.entry); got != c.want {
			t.Errorf("step %d: left out %v, want %v", i, got, c.want)
		}
	}
	if !h.missed || h.waits(&lane{items: []item{{}}, keys: rhythm{n: 3, steps: [2]int64{90000, 90000}}}, 0, line{ahead: ingest.ClockRate}, 0, nil) {
		t.Error("it is waited for another keyframe")
	}
}

// TestAnotherClockReturnsByCapture: an encoder that was started again has another clock. If it says when samples were captured it returns to where it
// was, else to where its arrival puts it.
func TestAnotherClockReturnsByCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lane{wake: func() {}, start: time.Now(), stall: time.Second, running: true, room: make(chan struct{}, 1)}
		// The last that was on air is shown as it is decoded, the keyframe two pictures later: capture is that of what is shown.
		l.settle(&item{Sample: ingest.Sample{DTS: 5000, PTS: 5000, Wall: l.start.Add(time.Second)}, era: 1, dated: true}, 100)
		again := &item{Sample: ingest.Sample{DTS: 777, PTS: 777 + 7200, Wall: l.start.Add(2*time.Second + 80*ms)}, era: 2, dated: true}
		for name, c := range map[string]struct {
			m       *item
			arrived int64
			want    int64
		}{
			"the same clock":              {&item{Sample: ingest.Sample{DTS: 9000}, era: 1}, 130, 100},
			"another, with capture":       {again, 5100 + 90000 - 777 + 30, 5100 + 90000 - 777},
			"another, without":            {&item{Sample: ingest.Sample{DTS: 777}, era: 2}, 4711, 4711},
			"another, capture far off":    {again, 5100 + 3*90000, 5100 + 3*90000},
			"the same, which has drifted": {&item{Sample: ingest.Sample{DTS: 9000}, era: 1}, 100 + 2*90000, 100 + 2*90000},
		} {
			if got := l.place(c.m, c.arrived); got != c.want {
				t.Errorf("%s: moved by %d, want %d", name, got, c.want)
			}
		}
	})
}

// TestBetterInputFailsBeforeItReturns: what is on air goes on at its next keyframe at the latest.
func TestBetterInputFailsBeforeItReturns(t *testing.T) {
	most := time.Duration(0)
	for phase := range 20 {
		synctest.Test(t, func(t *testing.T) {
			main, spare := &encoder{name: "main", gop: 50}, &encoder{name: "spare", gop: 50}
			out := &screen{t: t}
			_, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
			time.Sleep(10500 * ms)
			main.set(func(e *encoder) { e.off = true })
			time.Sleep(8 * time.Second)
			main.set(func(e *encoder) { e.off = false })
			time.Sleep(3*time.Second + time.Duration(phase)*200*ms) // before it would return, at each moment of what leads to that
			main.set(func(e *encoder) { e.off = true })
			out.mu.Lock()
			from := len(out.shown) - 1
			out.mu.Unlock()
			time.Sleep(20 * time.Second)
			stop()
			for i := from; i < len(out.shown)-1; i++ {
				most = max(most, out.shown[i+1].at.Sub(out.shown[i].at))
			}
			if name := out.shown[len(out.shown)-1].from; name != "spare" {
				t.Errorf("phase %d: %s is on air", phase, name)
			}
		})
	}
	t.Logf("without a picture for %v at most", most)
	if most > 3*time.Second { // 1 s to notice, keyframes each 2 s
		t.Errorf("without a picture for %v", most)
	}
}

// TestBetterInputFailsBesideRareKeyframes: what is on air began with the only keyframe it has, so it is not ended for a better input, which may fail.
func TestBetterInputFailsBesideRareKeyframes(t *testing.T) {
	for phase := range 20 {
		synctest.Test(t, func(t *testing.T) {
			main, spare := &encoder{name: "main", gop: 50}, &encoder{name: "spare", gop: 1 << 30, off: true}
			out := &screen{t: t}
			_, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
			time.Sleep(10 * time.Second)
			spare.set(func(e *encoder) { e.off = false })
			time.Sleep(700 * ms)
			main.set(func(e *encoder) { e.off = true })
			time.Sleep(8 * time.Second)
			main.set(func(e *encoder) { e.off = false })
			time.Sleep(3*time.Second + time.Duration(phase)*200*ms) // each moment of what leads to its return
			main.set(func(e *encoder) { e.off = true })
			time.Sleep(20 * time.Second)
			if name, ago := out.now(); name == "spare" && ago > 100*ms { // or main had returned
				t.Errorf("phase %d: nothing was seen for %v", phase, ago)
			}
			stop()
		})
	}
}
