package switcher

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

const ms = time.Millisecond

// TestKilledTenTimes kills the primary ten times and brings it back, at whatever moment of its and the backup's groups of pictures. Each time the
// backup is seen within two seconds, the primary returns once it has been well, no time goes back, and sound stays with its picture.
func TestKilledTenTimes(t *testing.T) {
	for _, gop := range []int{12, 25, 50} {
		synctest.Test(t, func(t *testing.T) {
			main := &encoder{name: "main", origin: 1 << 33, gop: gop, jitter: 30 * ms, lag: 900}
			spare := &encoder{name: "spare", origin: -5000, gop: gop, jitter: 60 * ms, lag: 2700}
			out := &screen{t: t}
			s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
			want := []string{"main"}
			for i := range 10 {
				time.Sleep(12*time.Second + time.Duration(i)*137*ms)
				main.set(func(e *encoder) { e.off = true })
				time.Sleep(2 * time.Second)
				if from, ago := out.now(); from != "spare" || ago > 500*ms {
					t.Fatalf("kill %d, two seconds later: %s was seen %v ago", i, from, ago)
				}
				time.Sleep(time.Duration(i) * 211 * ms)
				main.set(func(e *encoder) { e.off = false; e.origin += int64(i-5) * 1e8 })
				time.Sleep(4 * time.Second)
				if from, _ := out.now(); from != "spare" {
					t.Fatalf("kill %d: the primary is on air though it has been well for 4 s only", i)
				}
				time.Sleep(4 * time.Second)
				if from, _ := out.now(); from != "main" {
					t.Fatalf("kill %d: the primary did not return", i)
				}
				want = append(want, "spare", "main")
			}
			if _, n := s.Status(); n != 20 || !slices.Equal(out.programs(), want) {
				t.Errorf("%d switches, programs %v", n, out.programs())
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
			wall, media := out.holes()
			t.Logf("keyframes every %d pictures: at most %v without a picture, at most %v missing on the program's clock", gop, wall, duration(media))
			if wall > 2*time.Second || duration(media) > 2*time.Second {
				t.Errorf("a hole of %v, of %v on the program's clock", wall, duration(media))
			}
			first, last := out.shown[0], out.shown[len(out.shown)-1]
			if off := duration(last.dts-first.dts) - last.at.Sub(first.at); off < -200*ms || off > duration(maxAhead)+500*ms {
				t.Errorf("after twenty switches the program's clock is %v off", off)
			}
			out.synced(map[string]int64{"main": 900, "spare": 2700})
		})
	}
}

// TestEachFailureAtEachMoment lets each input fail in each way at each moment. Whoever is well is on air within two seconds, the
// others do not suffer, and who recovers is taken back.
func TestEachFailureAtEachMoment(t *testing.T) {
	failures := map[string]func(e *encoder, broken bool){
		"falls silent":    func(e *encoder, broken bool) { e.off = broken },
		"pictures stop":   func(e *encoder, broken bool) { e.mute = broken },
		"fails":           func(e *encoder, broken bool) { e.off, e.crash = broken, errCable },
		"panics":          func(e *encoder, broken bool) { e.off, e.panics = broken, true },
		"stands still":    func(e *encoder, broken bool) { e.stands = broken },
		"clock jumps":     func(e *encoder, broken bool) { e.jump = 1 << 31 },
		"clock goes back": func(e *encoder, broken bool) { e.jump = -3 * 90000 },
	}
	moments := []time.Duration{0, 20 * ms, 500 * ms, 2500 * ms, 20 * time.Second}
	if testing.Short() {
		moments = moments[1:2]
	}
	for name, fail := range failures {
		for _, who := range []int{0, 1} {
			for _, moment := range moments {
				synctest.Test(t, func(t *testing.T) {
					enc := []*encoder{{name: "main"}, {name: "spare", origin: 7e9}, {name: "slate", origin: 99}}
					out := &screen{t: t}
					s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: enc[0]}, {Name: "spare", Source: enc[1]}, {Name: "slate", Source: enc[2], Slate: true}}}, out)
					time.Sleep(moment)
					enc[who].set(func(e *encoder) { fail(e, true) })
					time.Sleep(3500 * ms)
					from, ago := out.now()
					want := enc[1-who].name
					if name == "clock jumps" || name == "clock goes back" {
						want = enc[0].name // that is no reason to switch
					}
					if from != want || ago > 100*ms {
						t.Errorf("%s %s at %v: %s was seen %v ago, want %s", enc[who].name, name, moment, from, ago, want)
					}
					enc[who].set(func(e *encoder) { fail(e, false) })
					if time.Sleep(20 * time.Second); name == "stands still" && who == 0 {
						want = "spare" // who stands still inside a library cannot be helped
					} else {
						want = "main"
					}
					if from, ago := out.now(); from != want || ago > 100*ms {
						t.Errorf("%s %s at %v, and recovers: %s was seen %v ago, want %s", enc[who].name, name, moment, from, ago, want)
					}
					if slices.Contains(out.programs(), "slate") {
						t.Errorf("%s %s at %v: the slate was shown though an input was well: %v", enc[who].name, name, moment, out.programs())
					}
					if inputs, _ := s.Status(); enc[2].ran() != 0 || inputs[2].State != Waiting {
						t.Errorf("the slate ran %d times", enc[2].ran())
					}
					stop()
				})
			}
		}
	}
}

// TestSlateWhileThereIsNothing shows the slate when no input delivers, at the start too, and leaves it soon.
func TestSlateWhileThereIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, spare, slate := &encoder{name: "main", off: true}, &encoder{name: "spare", off: true}, &encoder{name: "slate"}
		out := &screen{t: t}
		s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}, {Name: "slate", Source: slate, Slate: true}}}, out)
		defer stop()
		step := func(what string, want string, within time.Duration) {
			t.Helper()
			time.Sleep(within)
			if from, ago := out.now(); from != want || ago > 100*ms {
				t.Fatalf("%s, %v later: %q was seen %v ago, want %q", what, within, from, ago, want)
			}
		}
		step("nothing has ever come", "slate", 2100*ms)
		spare.set(func(e *encoder) { e.off = false })
		step("the backup comes", "spare", 2100*ms)
		if inputs, _ := s.Status(); inputs[0].State != Waiting || inputs[1].State != OnAir || inputs[2].State != Waiting {
			t.Errorf("states %+v", inputs)
		}
		main.set(func(e *encoder) { e.off = false })
		step("the primary comes", "main", 6*time.Second)
		spare.set(func(e *encoder) { e.off = true })
		main.set(func(e *encoder) { e.off = true })
		step("both go", "slate", 2*time.Second)
		if inputs, _ := s.Status(); inputs[0].State != Down || inputs[1].State != Down || inputs[2].State != OnAir {
			t.Errorf("states %+v", inputs)
		}
		time.Sleep(time.Hour)
		main.set(func(e *encoder) { e.off = false })
		step("the primary comes back after an hour", "main", 2200*ms)
		time.Sleep(time.Second)
		if runs := slate.ran(); runs != 2 {
			t.Errorf("the slate was run %d times, want 2: while it was needed", runs)
		}
	})
}

// TestNoFlapping has a primary that fails a second after each return: it has to be well for longer each time.
func TestNoFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, spare := &encoder{name: "main"}, &encoder{name: "spare"}
		out := &screen{t: t}
		s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
		defer stop()
		time.Sleep(3 * time.Second)
		for range 600 { // ten minutes
			main.set(func(e *encoder) { e.off = false })
			if from, _ := out.now(); from == "main" {
				main.set(func(e *encoder) { e.off = true })
				time.Sleep(1500 * ms)
			}
			time.Sleep(time.Second)
		}
		if _, n := s.Status(); n > 20 {
			t.Errorf("%d switches in ten minutes", n)
		}
	})
}

// TestLongGroupsWaitForTheNextKeyframe: with ten seconds between keyframes, what was seen is not shown again.
func TestLongGroupsWaitForTheNextKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, spare := &encoder{name: "main"}, &encoder{name: "spare", gop: 250}
		out := &screen{t: t}
		_, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
		defer stop()
		time.Sleep(15 * time.Second)
		main.set(func(e *encoder) { e.off = true })
		time.Sleep(10 * time.Second)
		if from, _ := out.now(); from != "spare" {
			t.Fatalf("%s is on air", from)
		}
		if wall, media := out.holes(); wall < 4900*ms || wall > 5100*ms || duration(media)-wall > 100*ms {
			t.Errorf("without a picture for %v, %v on the clock; the keyframe came after 5 s", wall, duration(media))
		}
	})
}

// TestOneInputIsHandedOnAsItIs: nothing is waited for, no time is touched, and its end is the end.
func TestOneInputIsHandedOnAsItIs(t *testing.T) {
	for _, c := range []struct {
		name  string
		crash error
	}{{"ends", nil}, {"fails", errCable}} {
		synctest.Test(t, func(t *testing.T) {
			only := &encoder{name: "only", origin: -12345, ends: 100}
			out := &screen{t: t}
			_, stop := run(t, Config{Inputs: []Input{{Name: "only", Source: only}}}, out)
			time.Sleep(2 * time.Second)
			only.set(func(e *encoder) { e.crash = c.crash })
			time.Sleep(3 * time.Second)
			if err := stop(); !errors.Is(err, c.crash) {
				t.Errorf("%s: returned %v", c.name, err)
			}
			n := 100
			if c.crash != nil {
				n = 50
			}
			if len(out.shown) < n-1 || len(out.shown) > n+1 || len(out.sounds) != 2*len(out.shown) {
				t.Errorf("%s: %d pictures and %d sounds, want %d and twice as many", c.name, len(out.shown), len(out.sounds), n)
			}
			for i, f := range out.shown {
				if f.dts != -12345+int64(i)*3600 || f.break_ {
					t.Fatalf("%s: picture %d at %d, discontinuity %v", c.name, i, f.dts, f.break_)
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Inputs: []Input{{Name: "only", Source: &encoder{name: "only", crash: errCable}}}})
		if err := s.Run(t.Context(), &screen{t: t}); !errors.Is(err, errCable) {
			t.Errorf("ended with %v, want what the input said", err)
		}
		s = New(Config{Inputs: []Input{{Name: "a", Source: &encoder{name: "a", ends: 10}}, {Name: "b", Source: &encoder{name: "b", ends: 200}}}})
		out, begin := &screen{t: t}, time.Now()
		if err := s.Run(t.Context(), out); err != nil || time.Since(begin) != 8*time.Second {
			t.Errorf("two that end: %v after %v, want nil after 8 s", err, time.Since(begin))
		}
	})
}

// TestNothingIsLostAtTheEnd: what a source still holds when it is told to end goes on air.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got notes
		_, stop := run(t, Config{Inputs: []Input{{Name: "only", Source: sourceFunc(func(ctx context.Context, sink ingest.Sink) error {
			sink.SetProgram((&encoder{name: "only"}).program())
			<-ctx.Done()
			sink.WriteSample(ingest.Sample{Data: []byte("the last")})
			return ctx.Err()
		})}}}, &got)
		time.Sleep(time.Second)
		if stop(); !slices.Equal(got, notes{"the last"}) {
			t.Errorf("handed on %q", got)
		}
	})
}

// TestOneInputThatComesBack: its new clock goes on where real time is.
func TestOneInputThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		only := &encoder{name: "only", origin: 1e9, jitter: 20 * ms}
		out := &screen{t: t}
		_, stop := run(t, Config{Inputs: []Input{{Name: "only", Source: only}}}, out)
		for range 5 {
			time.Sleep(5 * time.Second)
			only.set(func(e *encoder) { e.off = true })
			time.Sleep(30 * time.Second)
			only.set(func(e *encoder) { e.off = false; e.jump = -1e8 })
		}
		only.set(func(e *encoder) { e.panics = true })
		time.Sleep(5 * time.Second)
		stop()
		first, last := out.shown[0], out.shown[len(out.shown)-1]
		if d := duration(last.dts-first.dts) - last.at.Sub(first.at); d.Abs() > 100*ms {
			t.Errorf("after %v the program's clock is %v off", last.at.Sub(first.at), d)
		}
		out.synced(map[string]int64{})
	})
}

// TestBusySink holds the sink up while the inputs send ten times as fast as real time: they are not held up for longer than a moment, what is
// kept stays bounded, and when the sink goes on so does the program.
func TestBusySink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast := func(name string, took *time.Duration, sent *int) ingest.Source {
			return sourceFunc(func(ctx context.Context, sink ingest.Sink) error {
				e := &encoder{name: name}
				sink.SetProgram(e.program())
				for n := 0; ctx.Err() == nil; n++ {
					begin := time.Now()
					sink.WriteSample(bigSample(name, n))
					*took = max(*took, time.Since(begin))
					*sent++
					time.Sleep(4 * ms)
				}
				return ctx.Err()
			})
		}
		var took [2]time.Duration // owned by the sources until all wait
		var sent [2]int
		out := &screen{t: t, block: make(chan struct{})}
		s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: fast("main", &took[0], &sent[0])}, {Name: "spare", Source: fast("spare", &took[1], &sent[1])}}}, out)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for i, l := range s.lanes {
			l.mu.Lock()
			if l.size > laneBytes+1<<20 || sent[i] < 4700 || took[i] > patience {
				t.Errorf("%s: %d bytes are kept, %d samples were sent, one took %v", l.name, l.size, sent[i], took[i])
			}
			l.mu.Unlock()
		}
		if inputs, _ := s.Status(); inputs[0].Dropped == 0 {
			t.Error("nothing was dropped: the test is too small")
		}
		close(out.block)
		time.Sleep(10 * time.Second)
		if _, ago := out.now(); ago > 100*ms {
			t.Errorf("the last picture was %v ago", ago)
		}
		stop()
	})
}

// TestMemoryOfWhatStandsByIsBounded has a backup whose keyframes are far apart and large: what cannot be kept is let go, and with
// the next keyframe it stands by again.
func TestMemoryOfWhatStandsByIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lane{wake: func() {}, start: time.Now(), stall: time.Second}
		l.SetProgram((&encoder{name: "x"}).program())
		data := make([]byte, 1<<20)
		most := 0
		send := func(n int, flags ingest.Flags) {
			time.Sleep(40 * ms)
			l.WriteSample(ingest.Sample{DTS: int64(n) * 3600, Flags: flags, Data: data})
			most = max(most, l.size)
		}
		send(0, ingest.RandomAccess)
		for n := 1; n < 1000; n++ {
			send(n, 0)
		}
		if most > laneBytes+2<<20 || len(l.items) != 0 {
			t.Errorf("kept %d bytes at most, and %d samples without a keyframe at the end", most, len(l.items))
		}
		send(1000, ingest.RandomAccess)
		send(1001, 0)
		if len(l.items) != 2 {
			t.Errorf("%d samples are kept after a keyframe, want it and the next", len(l.items))
		}
		data = data[:10]
		for n := 1002; n < 1600; n++ { // 24 s
			send(n, 0)
		}
		if len(l.items) != 0 {
			t.Errorf("%d samples are kept, the oldest %v old", len(l.items), duration(l.items[len(l.items)-1].at-l.items[0].at))
		}
	})
}

type sourceFunc func(ctx context.Context, sink ingest.Sink) error

func (f sourceFunc) Run(ctx context.Context, sink ingest.Sink) error { return f(ctx, sink) }

func bigSample(name string, n int) ingest.Sample {
	data := make([]byte, 20000) // 5 MB/s
	copy(data, name+" picture "+string(rune('0'+n%10))+" ")
	m := ingest.Sample{Track: 0, DTS: int64(n) * 3600, PTS: int64(n) * 3600, Data: data}
	if n%25 == 0 {
		m.Flags = ingest.RandomAccess
	}
	return m
}

// TestEndIsNoFailover: the input on air may end first of all when the switcher is told to.
func TestEndIsNoFailover(t *testing.T) {
	for range 40 {
		synctest.Test(t, func(t *testing.T) {
			cfg := Config{}
			for _, name := range []string{"main", "spare"} {
				cfg.Inputs = append(cfg.Inputs, Input{Name: name, Source: &encoder{name: name}})
			}
			s, stop := run(t, cfg, &screen{t: t})
			time.Sleep(5 * time.Second)
			stop()
			if _, n := s.Status(); n != 0 {
				t.Errorf("%d switches, want none", n)
			}
		})
	}
}
