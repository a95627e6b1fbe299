package mpegts

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/ts"
	"tailcast/segmenter"
)

// The soak's programme: five small pictures a second and ten frames of sound in each of its packets, so that 27 hours are not too many bytes.
const (
	soakTime   = 27 * time.Hour
	soakFrame  = ingest.ClockRate / 5
	soakSound  = 1920
	soakFrames = 10                             // in a packet of sound
	soakBegin  = 1<<33 - 15*60*ingest.ClockRate // wraps after a quarter of an hour and after 26 h 45 min
)

// soak checks what viewers of the programme get.
type soak struct {
	t        *testing.T
	pictures int64
	frames   int64
	programs int
}

func (s *soak) SetProgram(*ingest.Program) { s.programs++ }

// WriteSample wants each sample at the very tick, whatever has passed: time neither drifts nor jumps, and sound stays with its picture.
func (s *soak) WriteSample(x ingest.Sample) {
	n, step := &s.pictures, int64(soakFrame)
	if x.Track == 1 {
		n, step = &s.frames, soakSound
	}
	if want := soakBegin + *n*step; x.DTS != want || x.Flags&^ingest.RandomAccess != 0 {
		s.t.Fatalf("sample %d of track %d: DTS %d, flags %b, want DTS %d", *n, x.Track, x.DTS, x.Flags, want)
	}
	*n++
}

// still is a Timer that never fires: 27 hours pass in seconds, so the clock of the wall says nothing.
type still struct{}

func (still) Reset(time.Duration) bool { return true }
func (still) Stop() bool               { return true }

// TestSoak airs 27 hours at once, over two wraps of the 33 bits of MPEG's clock.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("27 hours take some seconds")
	}
	end := &soak{t: t}
	viewer := segmenter.NewAssembler(end)
	var passed int64
	segments := 0
	cutter := segmenter.New(segmenter.Config{
		Now:       func() time.Time { return time.Time{} },
		AfterFunc: func(time.Duration, func()) segmenter.Timer { return still{} },
	}, func(b segmenter.Block) error {
		passed += int64(b.Duration)
		if b.SegmentFirst {
			segments++
		}
		return viewer.Write(b.Payload, b.SegmentFirst)
	})
	stats := &ingest.Stats{}
	scanner := Config{Stats: stats}.scanner(cutter)
	var early uint64
	ticks := int64(soakTime/time.Second) * ingest.ClockRate
	air(t, scanner, ticks, func(at int64) {
		if at == ticks/27 {
			early = heapInUse()
		}
	})
	if late := heapInUse(); late > early+1<<20 {
		t.Errorf("%d bytes are in use at the end, %d were after an hour", late, early)
	}
	scanner.Flush()
	if err := cutter.Close(); err != nil {
		t.Fatal(err)
	}
	if want := ticks / soakFrame; end.pictures != want || end.frames < ticks/soakSound-soakFrames || end.programs != 1 {
		t.Errorf("got %d pictures, %d frames of sound, %d programs, want %d pictures", end.pictures, end.frames, end.programs, want)
	}
	if seconds := int(soakTime / time.Second); segments != seconds || passed != ticks-soakFrame {
		t.Errorf("got %d segments of %d ticks in all, want %d of %d", segments, passed, seconds, ticks-soakFrame)
	}
	if n := stats.Discontinuities.Load() + stats.DamagedSamples.Load() + stats.DTSFallbacks.Load() + stats.LostPackets.Load(); n != 0 {
		t.Errorf("got %d jumps, damages, guesses or losses", n)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// air multiplexes so many ticks of the programme into w; each is told the time before each picture.
func air(t *testing.T, w *ts.Scanner, ticks int64, each func(at int64)) {
	m := ts.NewMuxer(w)
	program := &ingest.Program{Number: 1, PMTPID: 4096, PCRPID: 256, Tracks: []ingest.Track{
		{Codec: ingest.H264, PID: 256, StreamType: 0x1b, StreamID: 0xe0},
		{ID: 1, Codec: ingest.AAC, PID: 257, StreamType: 0x0f, StreamID: 0xc0},
	}}
	if err := m.SetProgram(program); err != nil {
		t.Fatal(err)
	}
	sound := bytes.Repeat([]byte{0xff, 0xf1, 0x4c, 0x80, 0x01, 0xff, 0xfc, 1, 2, 3, 4, 5, 6, 7, 8}, soakFrames)
	key, rest := coded([]byte{0x65, 0x88}, 1, 300), coded([]byte{0x41, 0x9a}, 2, 100)
	write := func(track uint8, at int64, flags ingest.Flags, data []byte) {
		if err := m.WriteSample(ingest.Sample{Track: track, Flags: flags, PTS: soakBegin + at, DTS: soakBegin + at, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	heard := int64(0)
	for at := int64(0); at < ticks; at += soakFrame {
		each(at)
		if at%ingest.ClockRate == 0 {
			write(0, at, ingest.RandomAccess, key)
		} else {
			write(0, at, 0, rest)
		}
		for ; heard <= at; heard += soakFrames * soakSound {
			write(1, heard, 0, sound)
		}
	}
}
