package switcher

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// TestSoundStops: an input whose sound stops while its pictures go on is replaced by one that has sound, without a picture missing, and
// taken back when its sound has been there for a while.
func TestSoundStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, spare, slate := &encoder{name: "main"}, &encoder{name: "spare", origin: 7e9}, &encoder{name: "slate"}
		out := &screen{t: t}
		s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}, {Name: "slate", Source: slate, Slate: true}}}, out)
		on := func(what, want string, after time.Duration) {
			t.Helper()
			time.Sleep(after)
			if from, ago := out.now(); from != want || ago > 100*ms {
				t.Fatalf("%s, %v later: %s was seen %v ago, want %s", what, after, from, ago, want)
			}
		}
		on("the start", "main", 10*time.Second)
		main.set(func(e *encoder) { e.deaf = true })
		on("sound stops", "main", quiet-100*ms)
		on("sound has stopped", "spare", 1300*ms) // at a keyframe, of which there is one a second
		if inputs, _ := s.Status(); inputs[0].State != Standby || !slices.Equal(inputs[0].Missing, []string{"sound"}) || inputs[1].Missing != nil {
			t.Errorf("states %+v", inputs)
		}
		on("it stays away", "spare", time.Minute)
		main.set(func(e *encoder) { e.deaf = false })
		on("sound is back", "spare", 4*time.Second)
		on("sound has been back", "main", 2500*ms)
		if _, n := s.Status(); n != 2 {
			t.Errorf("%d switches, want 2", n)
		}
		spare.set(func(e *encoder) { e.deaf = true })
		main.set(func(e *encoder) { e.deaf = true })
		on("the sound of both stops", "main", time.Minute)
		spare.set(func(e *encoder) { e.off = true })
		main.set(func(e *encoder) { e.off = true })
		time.Sleep(10 * time.Second)
		main.set(func(e *encoder) { e.off = false })
		on("pictures alone come back", "main", 5*time.Second)
		stop()
		out.mu.Lock()
		defer out.mu.Unlock()
		for i := range out.shown[:1800] { // up to where both fail
			if gap := out.shown[i+1].at.Sub(out.shown[i].at); gap > 300*ms {
				t.Errorf("no picture for %v", gap)
			}
		}
	})
}

// TestSoundStopsEverywhere: where no other input has what stopped, the one on air stays there, and it is said once what is missing.
func TestSoundStopsEverywhere(t *testing.T) {
	without := func(p *ingest.Program) { p.Tracks = p.Tracks[:1] }
	other := func(p *ingest.Program) { p.Tracks[1].Language = "fra" }
	for name, spare := range map[string]*encoder{
		"no backup": nil, "no sound in the backup": {name: "spare", tracks: without, deaf: true}, "another language": {name: "spare", tracks: other}, "silent too": {name: "spare", deaf: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &bytes.Buffer{}
			main := &encoder{name: "main", tracks: func(p *ingest.Program) { p.Tracks[1].Language = "deu" }}
			cfg := Config{Inputs: []Input{{Name: "main", Source: main}}, Logger: slog.New(slog.NewTextHandler(log, nil))}
			if spare != nil {
				cfg.Inputs = append(cfg.Inputs, Input{Name: "spare", Source: spare})
			}
			out := &screen{t: t}
			s, stop := run(t, cfg, out)
			time.Sleep(10 * time.Second)
			main.set(func(e *encoder) { e.deaf = true })
			time.Sleep(30 * time.Second)
			inputs, n := s.Status()
			if n != 0 || inputs[0].State != OnAir || !slices.Equal(inputs[0].Missing, []string{"sound"}) || inputs[0].Reason != "no more sound, though the rest goes on" {
				t.Errorf("%s: %d switches, %+v", name, n, inputs[0])
			}
			main.set(func(e *encoder) { e.deaf = false })
			time.Sleep(5 * time.Second)
			if inputs, _ := s.Status(); inputs[0].Missing != nil {
				t.Errorf("%s: the sound is back, and said to be missing: %+v", name, inputs[0])
			}
			stop()
			if said, back := strings.Count(log.String(), "a part of the input has stopped"), strings.Count(log.String(), "all parts of the input come again"); said != 1 || back != 1 {
				t.Errorf("%s: said %d times that it stopped and %d times that it is back, want once each:\n%s", name, said, back, log)
			}
		})
	}
}

// TestSoundThatComesAndGoes: of inputs whose sound comes and goes, the programme does not change between them for ever.
func TestSoundThatComesAndGoes(t *testing.T) {
	type turn []string // whose sound comes
	for name, c := range map[string]struct {
		turns []turn
		long  []time.Duration
		most  uint64
	}{
		"one backup, for a second": {[]turn{{"spare"}, {}}, []time.Duration{time.Second, 6 * time.Second}, 1},
		"one backup, for ten":      {[]turn{{"spare"}, {}}, []time.Duration{10 * time.Second, 6 * time.Second}, 1},
		"two backups in turn":      {[]turn{{"spare"}, {"other"}}, []time.Duration{6500 * ms, 6500 * ms}, 20},
		"the primary too":          {[]turn{{"main"}, {"spare"}}, []time.Duration{7 * time.Second, 7 * time.Second}, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			encoders := []*encoder{{name: "main"}, {name: "spare", origin: 7e9}, {name: "other", origin: 3e9}}
			cfg := Config{}
			for _, e := range encoders {
				cfg.Inputs = append(cfg.Inputs, Input{Name: e.name, Source: e})
			}
			s, stop := run(t, cfg, &screen{t: t})
			time.Sleep(10 * time.Second)
			for begin, n := time.Now(), 0; time.Since(begin) < 10*time.Minute; n++ {
				for _, e := range encoders {
					e.set(func(e *encoder) { e.deaf = !slices.Contains(c.turns[n%2], e.name) })
				}
				time.Sleep(c.long[n%2])
			}
			if _, n := s.Status(); n > c.most {
				t.Errorf("%s: %d switches in ten minutes, want %d at most", name, n, c.most)
			} else {
				t.Logf("%s: %d switches", name, n)
			}
			stop()
		})
	}
}

// TestPicturesStopAlone: of a single input, whose sound goes on, it is said that they did.
func TestPicturesStopAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main := &encoder{name: "main"}
		s, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}}}, &screen{t: t})
		defer stop()
		time.Sleep(10 * time.Second)
		main.set(func(e *encoder) { e.mute = true })
		time.Sleep(6 * time.Second)
		if inputs, _ := s.Status(); !slices.Equal(inputs[0].Missing, []string{"pictures"}) {
			t.Errorf("says %+v", inputs[0])
		}
		main.set(func(e *encoder) { e.mute, e.off = false, true })
		time.Sleep(time.Hour)
		main.set(func(e *encoder) { e.off = false })
		time.Sleep(time.Second)
		if inputs, _ := s.Status(); inputs[0].Missing != nil {
			t.Errorf("says %+v", inputs[0])
		}
	})
}

// studio is a lane that samples are given to by hand.
type studio struct {
	*lane
	t *testing.T
}

func newStudio(t *testing.T, tracks ...ingest.Track) *studio {
	l := &lane{wake: func() {}, start: time.Now(), stall: time.Second, running: true}
	for i := range tracks {
		tracks[i].ID, tracks[i].PID = uint8(i), uint16(256+i)
	}
	l.SetProgram(&ingest.Program{Tracks: tracks})
	return &studio{l, t}
}

// play lets each track bring a sample whenever its period is over, for so long; what is at zero brings nothing. Nothing may be missed meanwhile but want.
func (s *studio) play(what string, long time.Duration, want []string, periods ...time.Duration) {
	s.t.Helper()
	for begin := time.Now(); time.Since(begin) < long; time.Sleep(20 * ms) {
		for i, p := range periods {
			if since := time.Since(begin); p > 0 && since%p < 20*ms {
				s.WriteSample(ingest.Sample{Track: uint8(i), Flags: ingest.RandomAccess, DTS: ticks(time.Since(s.start))})
			}
		}
		if got := s.missed(); slices.ContainsFunc(got, func(name string) bool { return !slices.Contains(want, name) }) {
			s.t.Fatalf("%s, after %v: %q are missed, want %q", what, time.Since(begin), got, want)
		}
	}
	if got := s.missed(); !slices.Equal(got, want) {
		s.t.Errorf("%s: %q are missed, want %q", what, got, want)
	}
}

// TestWhatIsNeverMissed: tracks that are sparse or slow by nature, and what is no failure of a track.
func TestWhatIsNeverMissed(t *testing.T) {
	video, sound, text := ingest.Track{Codec: ingest.H264}, ingest.Track{Codec: ingest.Opus}, ingest.Track{Codec: ingest.Data}
	for name, play := range map[string]func(s *studio){
		"subtitles that end": func(s *studio) {
			s.play("all", time.Minute, nil, 40*ms, 20*ms, 40*ms)
			s.play("no text", time.Minute, nil, 40*ms, 20*ms, 0)
			s.play("text alone", time.Minute, nil, 0, 0, 40*ms)
		},
		"a picture a second": func(s *studio) { s.play("all", 2*time.Minute, nil, time.Second, 20*ms) },
		"slides": func(s *studio) {
			s.play("each eight seconds", 2*time.Minute, nil, 8*time.Second, 20*ms)
			s.play("one that takes twice as long", 12*time.Second, nil, 0, 20*ms)
		},
		"sound with pauses that are not sent": func(s *studio) {
			s.play("speech", time.Minute, nil, 40*ms, 20*ms)
			s.play("silence", time.Minute, nil, 40*ms, 400*ms)
			s.play("less", 4*time.Second, nil, 40*ms, 0)
			s.play("speech", time.Minute, nil, 40*ms, 20*ms)
		},
		"sound in large packets": func(s *studio) { s.play("all", time.Minute, nil, 40*ms, 2*time.Second) },
		"sound that never came":  func(s *studio) { s.play("pictures", time.Minute, nil, 40*ms) },
		"sound of a second alone": func(s *studio) {
			s.play("begins", time.Second, nil, 40*ms, 20*ms)
			s.play("pictures", time.Minute, nil, 40*ms)
		},
		"all that stops": func(s *studio) {
			s.play("all", time.Minute, nil, 40*ms, 20*ms)
			time.Sleep(time.Hour)
			s.play("pictures are back first", 3*time.Second, nil, 40*ms)
			s.play("all", time.Minute, nil, 40*ms, 20*ms)
		},
		"sound that the table no longer has": func(s *studio) {
			s.play("all", time.Minute, nil, 40*ms, 20*ms)
			s.SetProgram(&ingest.Program{Tracks: []ingest.Track{s.program.Tracks[0]}})
			s.play("pictures", time.Minute, nil, 40*ms)
		},
		"another run": func(s *studio) {
			s.play("all", time.Minute, nil, 40*ms, 20*ms)
			p := s.program
			s.restart()
			s.SetProgram(p)
			s.play("pictures", time.Minute, nil, 40*ms)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(newStudio(t, video, sound, text)) })
		})
	}
}

// TestWhatIsMissed names what has stopped, with slow tracks beside it and over a new table with the same tracks.
func TestWhatIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, ingest.Track{Codec: ingest.H264}, ingest.Track{Codec: ingest.AAC, Language: "deu"}, ingest.Track{Codec: ingest.AAC})
		s.play("all", time.Minute, nil, 40*ms, 20*ms, 20*ms)
		s.play("one sound stops", 6*time.Second, []string{"sound (deu)"}, 40*ms, 0, 20*ms)
		p := *s.program
		p.Name = "new"
		s.SetProgram(&p)
		s.play("the other too", 10*time.Second, []string{"sound (deu)", "sound 2"}, 40*ms, 0, 0)
		s.play("both are back", time.Second, nil, 40*ms, 20*ms, 20*ms)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, ingest.Track{Codec: ingest.H264}, ingest.Track{Codec: ingest.AAC})
		s.play("slides", time.Minute, nil, 8*time.Second, 20*ms)
		s.play("and the sound stops", 8500*ms, []string{"sound"}, 8*time.Second, 0)
	})
}
