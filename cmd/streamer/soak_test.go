package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/ingest/switcher"
	"tailcast/internal/ts"
	"tailcast/segmenter"
)

// Every picture of these encoders has one frame of sound, which is that much earlier.
const (
	pictureEvery = ingest.ClockRate
	soundEarlier = 1000
)

// soaking is an encoder that sends a transport stream for days: a picture a second, of the clip, and as many frames of sound. Its
// times are of 33 bits, as MPEG-TS has them.
type soaking struct {
	origin, ppm int64
	off         atomic.Bool
	jump        atomic.Int64 // of its clock, once
	key, pic    ingest.Sample
	sound       ingest.Sample
	program     *ingest.Program
}

// learn takes what to send from the clip.
func (e *soaking) learn(t *testing.T) {
	var got kept
	airClip(t, &got)
	e.program = got.program
	for _, s := range got.samples {
		video := e.program.Tracks[0].ID == s.Track
		switch {
		case video && s.Flags&ingest.RandomAccess != 0 && (e.key.Data == nil || len(s.Data) < len(e.key.Data)):
			e.key = s
		case video && s.Flags&ingest.RandomAccess == 0 && (e.pic.Data == nil || len(s.Data) < len(e.pic.Data)):
			e.pic = s
		case !video:
			e.sound = s
		}
	}
}

// kept is a Sink that keeps copies.
type kept struct {
	program *ingest.Program
	samples []ingest.Sample
}

func (k *kept) SetProgram(p *ingest.Program) { k.program = p }
func (k *kept) WriteSample(s ingest.Sample) {
	s.Data = bytes.Clone(s.Data)
	k.samples = append(k.samples, s)
}

func (e *soaking) Run(ctx context.Context, sink ingest.Sink) error {
	scanner := ts.NewScanner(ts.Config{Sink: sink})
	mux := ts.NewMuxer(scanner)
	if err := mux.SetProgram(e.program); err != nil {
		return err
	}
	clock, begin := e.origin, time.Now()
	for n := int64(0); ; n++ {
		due := time.Duration(n) * time.Microsecond * time.Duration(1_000_000-e.ppm)
		if !ingest.Sleep(ctx, time.Until(begin.Add(due))) {
			return ctx.Err()
		}
		if by := e.jump.Swap(0); by != 0 {
			clock += by
			mux.Discontinuity()
		}
		dts := clock + n*pictureEvery
		if e.off.Load() {
			continue
		}
		v, a := e.pic, e.sound
		if n%4 == 0 {
			v = e.key
		}
		v.DTS, v.PTS, a.DTS, a.PTS = dts, dts, dts-soundEarlier, dts-soundEarlier
		v.Flags &= ingest.RandomAccess
		a.Flags = 0
		if err := errors.Join(mux.WriteSample(a), mux.WriteSample(v)); err != nil {
			return err
		}
		scanner.Idle()
	}
}

// follower reads a log as a viewer does, and wants times that never go back and sound that stays with its picture.
type follower struct {
	t         *testing.T
	log       *feed.Log
	next      uint64
	assembler *segmenter.Assembler

	program     *ingest.Program
	last        [ingest.MaxTracks]int64
	seen        [ingest.MaxTracks]bool
	first       int64 // DTS of a picture
	sound       int64
	pictures    int
	discontinue int
	wall        int64
}

func (f *follower) SetProgram(p *ingest.Program) { f.program = p }

func (f *follower) WriteSample(s ingest.Sample) {
	if f.seen[s.Track] && s.DTS <= f.last[s.Track] {
		f.t.Errorf("time goes back on track %d, from %d to %d", s.Track, f.last[s.Track], s.DTS)
	}
	f.seen[s.Track], f.last[s.Track] = true, s.DTS
	if s.Flags&ingest.Discontinuity != 0 {
		f.discontinue++
	}
	if s.Track != f.program.Tracks[0].ID {
		f.sound = s.DTS
		return
	}
	if f.pictures == 0 {
		f.first = s.DTS
	}
	f.pictures++
	if f.sound != 0 && s.DTS-f.sound != soundEarlier && s.Flags&ingest.Discontinuity == 0 {
		f.t.Errorf("sound is %d ticks before its picture, want %d", s.DTS-f.sound, soundEarlier)
	}
}

// read takes what is new.
func (f *follower) read(log *feed.Log) {
	if f.log != log {
		if f.log != nil {
			f.read(f.log)
		}
		f.log, f.next, f.assembler, f.wall = log, 0, segmenter.NewAssembler(f), 0
	}
	for size := log.Head().Size; f.next < size; f.next++ {
		b, err := log.Block(f.next)
		if err != nil {
			f.t.Errorf("block %d of %d: %v", f.next, size, err)
			continue
		}
		if b.Record.Kind != feed.Media {
			continue
		}
		if b.Record.Wall < f.wall {
			f.t.Errorf("the records' clock goes back")
		}
		f.wall = b.Record.Wall
		if err := f.assembler.Write(b.Payload, b.Record.Flags&feed.SegmentFirst != 0); err != nil {
			f.t.Errorf("block %d: %v", f.next, err)
		}
	}
}

// TestTwentySevenHours airs 27 hours in virtual time: encoder, transport stream, master switch, health, segmenter, signatures. The primary's clock is 40 ppm
// fast, wraps at 2^33, and is set an hour on and two back; the primary is killed and restored now and then; the system's clock is set on and back, for each of which there is
// another epoch. At the end no time has gone back, sound is with its picture to the tick, the program's clock is where the encoders had it, the
// records have the time of day, and nothing has grown.
func TestTwentySevenHours(t *testing.T) {
	hours, most := 27, int64(512<<10)
	if testing.Short() {
		hours, most = 2, 2<<20 // the last epoch still fills its memory
	}
	synctest.Test(t, func(t *testing.T) {
		primary := &soaking{origin: 1<<33 - ingest.ClockRate*3600*int64(hours)/2, ppm: 40}
		backup := &soaking{origin: 123456789}
		primary.learn(t)
		backup.learn(t)
		var step atomic.Int64
		c := newChannel(t, feed.Config{TailBytes: 2 << 20})
		c.config.Now = func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
		writer, err := feed.NewWriter(c.config)
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{writer: writer}
		r := newRendition(input{name: mainRendition}, nil, d, nil, quiet())
		air := r.air
		b := &broadcast{config: c.config, writer: writer, desk: d, log: quiet()}
		master := switcher.New(switcher.Config{Inputs: []switcher.Input{{Name: "primary", Source: primary}, {Name: "backup", Source: backup}}})
		ctx, stop := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		parts.Go(func() { _ = b.write(ctx) })
		parts.Go(func() { _ = master.Run(ctx, r.sink()) })

		viewer := &follower{t: t}
		begin, base, epochs := time.Now(), uint64(0), map[string]bool{}
		for minute := 1; minute <= 60*hours; minute++ {
			time.Sleep(time.Minute)
			synctest.Wait()
			d.mu.Lock()
			log := air.outlet.out.Log()
			d.mu.Unlock()
			epochs[log.Epoch().ID().String()] = true
			viewer.read(log)
			switch part := 60 * hours; minute {
			case part/2 + 15:
				step.Store(-int64(5 * time.Minute))
			case part / 3:
				primary.jump.Store(3600 * ingest.ClockRate)
			case part / 2:
				step.Store(int64(10 * time.Minute)) // somebody sets the system's clock
			case part * 2 / 3:
				primary.jump.Store(-2 * 3600 * ingest.ClockRate)
			case part * 3 / 4: // the epochs have filled their memory
				base = heap()
			}
			if minute%97 == 40 {
				primary.off.Store(true)
			}
			primary.off.CompareAndSwap(minute%97 == 43, false)
		}
		elapsed := time.Since(begin)
		off := time.Duration(viewer.wall-c.config.Now().UnixMicro()) * time.Microsecond
		inputs, switches := master.Status()
		grown := int64(heap()) - int64(base)
		stop()
		parts.Wait()

		length := float64(viewer.last[viewer.program.Tracks[0].ID]-viewer.first) / ingest.ClockRate
		drifted := length - elapsed.Seconds() - elapsed.Seconds()*40e-6
		t.Logf("%v on air: %d pictures, %d switches, %d epochs, %d discontinuities; the clock is %+.3f s from where the primary's is, drift measured %.1f ppm; heap grown by %d KiB",
			elapsed, viewer.pictures, switches, len(epochs), viewer.discontinue, drifted, inputs[0].Drift, grown>>10)
		if math.Abs(drifted) > 2 { // the first picture, and a keyframe's wait where there is no telling better
			t.Errorf("the program's clock has drifted by %.3f s", drifted)
		}
		if !inputs[0].Drifts || math.Abs(inputs[0].Drift-40) > 5 {
			t.Errorf("drift measured as %.1f ppm, want 40", inputs[0].Drift)
		}
		if off.Abs() > 2*time.Second {
			t.Errorf("the records' clock is %v ahead of the system's", off)
		}
		_, fps := r.health.rates()
		if n := len(r.health.keys); n > 16 || math.Abs(fps-1) > .2 || r.health.keyframe() != 4 { // a minute has 15 of them
			t.Errorf("health remembers %d keyframes, %.1f s apart, and %.1f pictures a second, want 15, 4 s apart, and 1", n, r.health.keyframe(), fps)
		}
		if len(epochs) != 3 || viewer.pictures < hours*3500 || grown > most {
			t.Errorf("%d epochs, %d pictures, heap grown by %d bytes", len(epochs), viewer.pictures, grown)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
