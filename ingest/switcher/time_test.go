package switcher

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

// TestDriftIsMeasured: whatever the jitter, the speed of the encoder's clock is known after some minutes, and not claimed before.
func TestDriftIsMeasured(t *testing.T) {
	for _, ppm := range []float64{0, 25, -80, 1000} {
		synctest.Test(t, func(t *testing.T) {
			enc := &encoder{name: "only", ppm: ppm, jitter: 80 * ms}
			s, stop := run(t, Config{Inputs: []Input{{Name: "only", Source: enc}}}, &screen{t: t})
			defer stop()
			time.Sleep(30 * time.Second)
			if inputs, _ := s.Status(); inputs[0].Drifts {
				t.Errorf("after 30 s it says %.1f ppm; nobody can know", inputs[0].Drift)
			}
			for _, c := range []struct {
				after time.Duration
				off   float64
			}{{150 * time.Second, 30}, {10 * time.Minute, 5}} {
				time.Sleep(c.after)
				if inputs, _ := s.Status(); !inputs[0].Drifts || math.Abs(inputs[0].Drift-ppm) > c.off {
					t.Errorf("a clock that is %v ppm fast: measured %.1f after %v", ppm, inputs[0].Drift, c.after)
				}
			}
		})
	}
}

// TestDriftOfTheClockItself: where a source hears the encoder's clock apart from samples, that is what is measured; where it falls silent,
// the samples are again.
func TestDriftOfTheClockItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lane{air: true, wake: func() {}, start: time.Now(), stall: time.Second}
		l.SetProgram((&encoder{name: "x"}).program())
		n := int64(0)
		measured := func(seconds int64, clocked bool) (float64, bool) {
			for range seconds * 25 {
				n++
				late := time.Duration(max(n%50, 50-n%50)) * 2 * ms // 50 to 100 ms
				time.Sleep(time.Until(l.start.Add(time.Duration(n)*40*ms + late)))
				if clocked {
					l.WriteClock(1<<34 + n*3600 + n*3600*30/1e6)
				}
				l.WriteSample(ingest.Sample{DTS: n*3600 + n*3600*200/1e6}) // a multiplexer that stamps by another clock than it sends by
			}
			l.clear()
			return l.drift.ppm()
		}
		if got, ok := measured(300, true); !ok || math.Abs(got-30) > 2 {
			t.Errorf("measured %.1f ppm, %v; want the clock's own 30", got, ok)
		}
		if _, ok := measured(30, false); ok {
			t.Error("claims to know after half a minute of samples alone")
		}
		if got, ok := measured(600, false); !ok || math.Abs(got-200) > 2 {
			t.Errorf("measured %.1f ppm, %v; want the samples' 200", got, ok)
		}
	})
}

// TestDriftDoesNotFollowDelays: a way that becomes longer, bursts and a pause are no drift.
func TestDriftDoesNotFollowDelays(t *testing.T) {
	var d drift
	for i := range int64(600 * 25) { // ten minutes
		dts, at := i*3600, i*3600
		switch {
		case i > 12000:
			at += 9000 // 100 ms longer, from minute eight on
		case i > 3000 && i < 3500:
			at += (3500 - i) * 3600 // held up for 20 s, then all at once
		}
		d.observe(at, dts)
	}
	if got, ok := d.ppm(); !ok || math.Abs(got) > 20 {
		t.Errorf("measured %.1f ppm, want none", got)
	}
}

// TestPictureWall: keyframes carry one steady wall clock although they come irregularly, and it is never later than they came.
func TestPictureWall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{t: t}
		_, stop := run(t, Config{Inputs: []Input{{Name: "only", Source: &encoder{name: "only", jitter: 60 * ms}}}}, out)
		time.Sleep(20 * time.Second)
		stop()
		walls := 0
		var before frame
		for _, f := range out.shown {
			if f.walltime.IsZero() {
				continue
			}
			if walls++; f.walltime.After(f.at) {
				t.Fatalf("captured %v after it came", f.walltime.Sub(f.at))
			}
			if by := f.walltime.Sub(before.walltime) - duration(f.dts-before.dts); walls > 3 && by.Abs() > 20*ms {
				t.Errorf("the wall clock is %v off from one keyframe to the next", by)
			}
			before = f
		}
		if walls != 20 {
			t.Errorf("%d of 500 pictures have a wall clock, want the 20 keyframes", walls)
		}
	})
}

// TestOtherTracks switches to an input with other tracks and back: each time the table is told first, and tracks of the same kind go on.
func TestOtherTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main := &encoder{name: "main"}
		spare := &encoder{name: "spare", lag: 9000, tracks: func(p *ingest.Program) {
			p.Tracks[0].Codec, p.Tracks[1].Codec = ingest.H265, ingest.AC3
			p.Tracks = append(p.Tracks, ingest.Track{ID: 2, Codec: ingest.Data})
		}}
		out := &screen{t: t}
		_, stop := run(t, Config{Inputs: []Input{{Name: "main", Source: main}, {Name: "spare", Source: spare}}}, out)
		time.Sleep(5 * time.Second)
		main.set(func(e *encoder) { e.off = true })
		time.Sleep(5 * time.Second)
		if out.mu.Lock(); len(out.program.Tracks) != 3 || out.program.Tracks[0].Codec != ingest.H265 {
			t.Errorf("the table is %+v", out.program)
		}
		out.mu.Unlock()
		main.set(func(e *encoder) { e.off = false })
		time.Sleep(10 * time.Second)
		stop()
		out.synced(map[string]int64{"spare": 9000})
		breaks := 0
		for _, f := range append(out.shown, out.sounds...) {
			if f.break_ {
				breaks++
			}
		}
		if breaks != 4 {
			t.Errorf("%d discontinuities, want one for each of two tracks at each of two switches", breaks)
		}
	})
}

// TestLeadingPicturesAreLeftOut: what is shown before the keyframe at which an input comes on air needs pictures that are not there.
func TestLeadingPicturesAreLeftOut(t *testing.T) {
	d := &desk{sink: &screen{t: t}}
	d.time.begun, d.time.clock = true, 0
	l := &lane{air: false, wake: func() {}, start: time.Now(), stall: time.Second, running: true, room: make(chan struct{}, 1)}
	p := (&encoder{name: "x"}).program()
	l.SetProgram(p)
	for i, m := range []struct{ dts, pts int64 }{{0, 10800}, {3600, 3600}, {7200, 7200}, {10800, 21600}, {14400, 14400}} {
		s := ingest.Sample{Track: 0, DTS: m.dts, PTS: m.pts, Data: []byte("x picture " + string(rune('0'+i)))}
		if i == 0 {
			s.Flags = ingest.RandomAccess | ingest.Recovery
		}
		l.WriteSample(s)
	}
	begins, ok := d.enter(l, false, true)
	if !ok {
		t.Fatal("nowhere to begin")
	}
	var got notes
	d.sink = &got
	d.deliverAll(begins)
	if l.left != (ingest.Left{ingest.Undecodable: 2}) {
		t.Errorf("left out %v, want two pictures that cannot be decoded", l.left.Map())
	}
	if len(got) != 3 || got[0] != "x picture 0" || got[1] != "x picture 3" || got[2] != "x picture 4" {
		t.Errorf("handed on %q, want pictures 0, 3 and 4", got)
	}
}

// placed is a Sink that notes when each sample is aired.
type placed map[string]int64

func (p placed) SetProgram(*ingest.Program)  {}
func (p placed) WriteSample(s ingest.Sample) { p[string(s.Data)] = s.DTS }

// console is a desk whose input is given by hand: pictures, sound and teletext, each sample when its place on the first clock says.
type console struct {
	desk
	out     placed
	program *ingest.Program
}

func newConsole() *console {
	c := &console{out: placed{}, program: (&encoder{name: "x", tracks: func(p *ingest.Program) {
		p.Tracks = append(p.Tracks, ingest.Track{ID: 2, Codec: ingest.Data})
	}}).program()}
	c.sink, c.lane = c.out, &lane{}
	return c
}

func (c *console) give(name string, track uint8, at, dts int64, fresh bool) {
	c.emit(&item{Sample: ingest.Sample{Track: track, DTS: dts, PTS: dts, Data: []byte(name)}, program: c.program, lead: track == 0, at: at, fresh: fresh})
}

// TestDataComeBeforeTheMediaAtAJump: teletext whose times have jumped while pictures and sound have not shown that yet goes over to the other clock
// with them, and leaves nothing behind that bars what follows.
func TestDataComeBeforeTheMediaAtAJump(t *testing.T) {
	const second = ingest.ClockRate
	for name, jump := range map[string]int64{"ahead": 5 * 3600 * second, "back": -5 * 3600 * second, "back a little": -5 * second} {
		c := newConsole()
		for i := range int64(10) {
			at, dts := i*second/2, 6*3600*second+i*second/2
			if i >= 5 {
				dts += jump
			}
			if i == 5 { // the other way round: the data first
				c.give("text 5", 2, at, dts, false)
			}
			c.give("picture "+string(rune('0'+i)), 0, at, dts, false)
			c.give("sound "+string(rune('0'+i)), 1, at, dts, false)
			if i != 5 {
				c.give("text "+string(rune('0'+i)), 2, at, dts, false)
			}
		}
		for _, n := range []string{"4", "6", "9"} {
			if text, ok := c.out["text "+n]; !ok || text != c.out["picture "+n] {
				t.Errorf("%s: text %s is aired at %d, %v; its picture at %d", name, n, text, ok, c.out["picture "+n])
			}
		}
		if text, picture := c.reached[data].dts, c.reached[picture].dts; text != picture {
			t.Errorf("%s: data have reached %d, pictures %d", name, text, picture)
		}
	}
}

// TestDataAHairBackGoOn: they are aired on the clock that they were on, not before those that were.
func TestDataAHairBackGoOn(t *testing.T) {
	c := newConsole()
	c.give("picture", 0, 0, 90000, false)
	c.give("one", 2, 0, 90000, false)
	c.give("two", 2, 0, 89000, false)
	c.give("three", 2, 0, 89500, false)
	c.give("four", 2, 0, 91000, false)
	for name, want := range map[string]int64{"one": 90000, "two": 90000, "three": 90000, "four": 91000} {
		if got, ok := c.out[name]; !ok || got != want {
			t.Errorf("%s is aired at %d, %v, want %d", name, got, ok, want)
		}
	}
}

// TestDataBeginARun: the times of another run mean nothing until pictures or sound have come.
func TestDataBeginARun(t *testing.T) {
	c := newConsole()
	c.give("picture 0", 0, 0, 1e6, false)
	c.give("text 0", 2, 0, 1e6, false)
	c.give("text 1", 2, 90000, 5e9, true)
	c.give("picture 1", 0, 90000, 5e9, false)
	c.give("text 2", 2, 90000, 5e9+1, false)
	if at, ok := c.out["text 1"]; ok {
		t.Errorf("text is aired at %d, by a clock that is not known", at)
	}
	if got := c.lane.left; got != (ingest.Left{ingest.Untimed: 1}) {
		t.Errorf("left out %v, want one without a known time", got.Map())
	}
	if at := c.out["picture 1"]; c.out["text 2"] != at+1 {
		t.Errorf("text is aired at %d, its picture at %d", c.out["text 2"], at)
	}
}

// TestEntryThatBeginsARun: an input that goes on air with the first picture of its run keeps the line that was made for that.
func TestEntryThatBeginsARun(t *testing.T) {
	out := placed{}
	d := &desk{sink: out}
	d.time.begun = true
	d.reached[picture] = bar{true, 5400, 5400, 3600} // further than real time: what follows has to wait
	l := &lane{wake: func() {}, start: time.Now(), stall: time.Second, running: true, room: make(chan struct{}, 1)}
	l.restart()
	l.SetProgram((&encoder{name: "x"}).program())
	for i, m := range []struct{ dts, pts int64 }{{0, 10800}, {3600, 3600}} { // the second is shown before the first, by others that are missing
		s := ingest.Sample{DTS: 1e6 + m.dts, PTS: 1e6 + m.pts, Data: []byte("picture " + string(rune('0'+i)))}
		if i == 0 {
			s.Flags = ingest.RandomAccess
		}
		l.WriteSample(s)
	}
	begins, ok := d.enter(l, false, true)
	if !ok {
		t.Fatal("nowhere to begin")
	}
	by := d.time.lines[0]
	d.deliverAll(begins)
	if got := d.time.lines[d.time.newest]; got.shift != by.shift || !d.entry.checks {
		t.Errorf("it is aired by a shift of %d, want the %d that was made for it", got.shift, by.shift)
	}
	if _, ok := out["picture 1"]; ok || len(out) != 1 {
		t.Errorf("aired %v, want the first picture alone", out)
	}
}

type notes []string

func (n *notes) SetProgram(*ingest.Program)  {}
func (n *notes) WriteSample(s ingest.Sample) { *n = append(*n, string(s.Data)) }

// TestCuesMoveWithTheProgram: the example of a splice_insert in ANSI/SCTE 35, 14.2, moved by a shift that wraps.
func TestCuesMoveWithTheProgram(t *testing.T) {
	cue, err := hex.DecodeString("fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a0008435545490000013562dba30a")
	if err != nil {
		t.Fatal(err)
	}
	if crc(cue) != 0 {
		t.Fatal("the example's CRC does not hold")
	}
	d := &desk{program: &ingest.Program{Tracks: []ingest.Track{{ID: 3, StreamType: spliceInfo, Sections: true}, {ID: 4, StreamType: 6}}}}
	for _, c := range []struct {
		shift int64
		want  uint64
	}{{90000, 90000}, {-1, 1<<33 - 1}, {1<<33 + 5, 5}} {
		m := ingest.Sample{Track: 3, Data: bytes.Clone(cue)}
		d.splice(&m, c.shift)
		if got := uint64(m.Data[4]&1)<<32 | uint64(m.Data[5])<<24 | uint64(m.Data[6])<<16 | uint64(m.Data[7])<<8 | uint64(m.Data[8]); got != c.want {
			t.Errorf("moved by %d: pts_adjustment %d, want %d", c.shift, got, c.want)
		}
		if crc(m.Data) != 0 {
			t.Errorf("moved by %d: the CRC does not hold", c.shift)
		}
		if !bytes.Equal(m.Data[9:len(m.Data)-4], cue[9:len(cue)-4]) || !bytes.Equal(m.Data[:4], cue[:4]) {
			t.Errorf("moved by %d: other bytes changed", c.shift)
		}
	}
	for _, other := range []ingest.Sample{
		{Track: 4, Data: bytes.Clone(cue)},
		{Track: 3, Data: bytes.Clone(cue[:19])},
		{Track: 3, Flags: ingest.Damaged, Data: bytes.Clone(cue)},
		{Track: 3, Data: append([]byte{0xfc, 0x3f, 0xff}, cue[3:]...)},
		{Track: 3},
	} {
		before := bytes.Clone(other.Data)
		d.splice(&other, 90000)
		if !bytes.Equal(other.Data, before) {
			t.Errorf("touched %x", before)
		}
	}
}
