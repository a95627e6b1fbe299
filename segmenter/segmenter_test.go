package segmenter

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
)

const frame = 3600 // ticks, at 25 pictures a second

// starts are the times and kinds of the segments in blocks.
type start struct {
	dts    int64
	random bool
}

func starts(blocks []Block) (list []start) {
	for _, b := range blocks {
		if b.SegmentFirst {
			list = append(list, start{b.DTS, b.RandomAccess})
		}
	}
	return list
}

// pictures are count video samples of size bytes from DTS 0 with a random access point at each of points.
func pictures(count, size int, points ...int) []event {
	events := []event{{Program: television()}}
	for i := range count {
		var flags ingest.Flags
		if slices.Contains(points, i) {
			flags = ingest.RandomAccess
		}
		events = append(events, sample(0, flags, int64(i)*frame, size))
	}
	return events
}

func frames(count int) []event {
	events := []event{{Program: radio()}}
	for i := range count {
		events = append(events, sample(1, ingest.RandomAccess, int64(i)*1920, 250))
	}
	return events
}

func TestSegments(t *testing.T) {
	late := append(pictures(0, 0), sample(1, 0, -100, 10), sample(1, 0, 1820, 10))
	late = append(late, pictures(30, 500, 0, 25)[1:]...)
	changed := append(pictures(10, 500, 0), event{Program: radio()})
	changed = append(changed, sample(1, ingest.RandomAccess, 10*frame, 10))
	repeated := append(pictures(10, 500, 0), event{Program: television()})
	repeated = append(repeated, sample(0, 0, 10*frame, 10))
	jump := pictures(25, 500, 0)
	for i := range 50 {
		jump = append(jump, sample(0, ingest.RandomAccess, -1e9+int64(i)*frame, 500))
	}
	silent := pictures(1, 500, 0)
	for i := range 120 {
		silent = append(silent, sample(1, ingest.RandomAccess, int64(i)*1920, 250))
	}
	tests := []struct {
		name   string
		events []event
		want   []start
	}{
		{"each second", pictures(60, 500, 0, 25, 50), []start{{0, true}, {25 * frame, true}, {50 * frame, true}}},
		{"not before a second", pictures(60, 500, 0, 10, 20, 30, 40, 50, 55), []start{{0, true}, {30 * frame, true}, {55 * frame, true}}},
		{"after ten seconds without", pictures(600, 500, 0, 550), []start{{0, true}, {250 * frame, false}, {500 * frame, false}, {550 * frame, true}}},
		{"none at all", pictures(300, 500), []start{{0, false}, {250 * frame, false}}},
		{"sound before the first picture", late, []start{{-100, false}, {0, true}, {25 * frame, true}}},
		{"begins in the middle", pictures(60, 500, 10, 40), []start{{0, false}, {10 * frame, true}, {40 * frame, true}}},
		{"radio", frames(150), []start{{0, true}, {47 * 1920, true}, {94 * 1920, true}, {141 * 1920, true}}},
		{"program changes", changed, []start{{0, true}, {10 * frame, true}}},
		{"program repeated", repeated, []start{{0, true}}},
		{"times jump", jump, []start{{0, true}, {-1e9 + frame, true}, {-1e9 + 26*frame, true}}},
		{"pictures stop", silent, []start{{0, true}, {47 * 1920, true}, {94 * 1920, true}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			blocks := segment(t, Config{}, test.events)
			if got := starts(blocks); !slices.Equal(got, test.want) {
				t.Errorf("got segments at %v\nwant %v", got, test.want)
			}
			checkEqual(t, assemble(t, blocks), deduped(test.events))
		})
	}
}

// deduped is events without repetitions of the program.
func deduped(events []event) (list []event) {
	var last *ingest.Program
	for _, e := range events {
		if e.Program != nil && last != nil && sameEvent(e, event{Program: last}) {
			continue
		}
		if e.Program != nil {
			last = e.Program
		}
		list = append(list, e)
	}
	return list
}

// Where blocks end. The init takes 100 bytes or so of the first.
func TestBlocksEnd(t *testing.T) {
	tests := []struct {
		name   string
		cfg    Config
		events []event
		want   []int64 // DTS of each block, in frames
	}{
		{"with a picture once it is three eighths full", Config{BlockSize: 4096}, pictures(6, 1400, 0), []int64{0, 2, 4}},
		{"with each picture over that", Config{BlockSize: 4096}, pictures(3, 1600, 0), []int64{0, 1, 2}},
		{"a large picture goes on", Config{BlockSize: 4096}, pictures(2, 10500, 0), []int64{0, 0, 0, 1, 1, 1}},
		{"before a picture that would be too late", Config{BlockSize: 65536}, pictures(7, 100, 0), []int64{0, 3, 6}},
		{"other delay", Config{BlockSize: 65536, MaxDelay: 40 * time.Millisecond}, pictures(3, 100, 0), []int64{0, 1, 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []int64
			for _, b := range segment(t, test.cfg, test.events) {
				got = append(got, b.DTS/frame)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got blocks at frames %v, want %v", got, test.want)
			}
		})
	}
}

// Radio frames of 250 bytes each 21 ms: 9 fill 2400 bytes.
func TestRadioIsNotTorn(t *testing.T) {
	blocks := segment(t, Config{}, frames(400))
	for i, b := range blocks {
		if b.Payload[0] != 0 {
			t.Errorf("block %d goes on with %d bytes of a frame", i, b.Payload[0])
		}
		if b.Duration > 19200 {
			t.Errorf("block %d lasts %d ms, want <= 213", i, b.Duration/90)
		}
	}
}

func TestBlockFlags(t *testing.T) {
	events := pictures(1, 100, 0)
	wall := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for i, flags := range []ingest.Flags{0, ingest.Damaged, ingest.Discontinuity, ingest.RandomAccess | ingest.Recovery} {
		e := sample(0, flags, int64(i+1)*frame, 5000)
		e.Sample.Wall = wall.Add(time.Duration(i) * time.Second)
		events = append(events, e)
	}
	blocks := segment(t, Config{BlockSize: 8192}, events)
	if len(blocks) != 4 {
		t.Fatalf("got %d blocks, want 4", len(blocks))
	}
	for i, want := range []Block{
		{SegmentFirst: true, RandomAccess: true, DTS: 0, Duration: frame, Wall: wall},
		{Damaged: true, DTS: 2 * frame, Duration: frame, Wall: wall.Add(time.Second)},
		{Discontinuity: true, DTS: 3 * frame, Wall: wall.Add(2 * time.Second)},
		{DTS: 4 * frame, Duration: frame, Wall: wall.Add(3 * time.Second)},
	} {
		got := blocks[i]
		got.Payload = nil
		if got.Wall.Equal(want.Wall) {
			got.Wall = want.Wall
		}
		if got.SegmentFirst != want.SegmentFirst || got.RandomAccess != want.RandomAccess || got.Damaged != want.Damaged ||
			got.Discontinuity != want.Discontinuity || got.DTS != want.DTS || got.Duration != want.Duration || got.Wall != want.Wall {
			t.Errorf("block %d:\n got %+v\nwant %+v", i, got, want)
		}
	}
}

// The durations of a segment's blocks sum up to what the lead lasted, whatever else is in them.
func TestDurations(t *testing.T) {
	var sums []int64
	for _, b := range segment(t, Config{}, interleaved(100)) {
		if b.SegmentFirst {
			sums = append(sums, 0)
		}
		sums[len(sums)-1] += int64(b.Duration)
	}
	// Nothing comes before the first picture.
	if want := []int64{24 * frame, 25 * frame, 25 * frame, 25 * frame}; !slices.Equal(sums, want) {
		t.Errorf("durations sum up to %d, want %d", sums, want)
	}
}

func TestBlockSizeFollowsTheRate(t *testing.T) {
	for _, test := range []struct{ bitrate, want int }{
		{64_000, 2400}, {128_000, 2400}, {500_000, 4096}, {870_000, 6144}, {1_000_000, 6144}, {3_000_000, 6144}, {4_000_000, 8192}, {25_000_000, 8192},
	} {
		var points []int
		for i := range 20 {
			points = append(points, 25*i)
		}
		blocks := segment(t, Config{}, pictures(500, test.bitrate/200, points...))
		most := 0
		for _, b := range blocks[len(blocks)/2:] {
			most = max(most, len(b.Payload))
		}
		if most > test.want || test.bitrate > 4*1e6 && most < test.want {
			t.Errorf("%d bit/s: largest block %d, want %d", test.bitrate, most, test.want)
		}
		s := New(Config{}, func(Block) error { return nil })
		play(s, pictures(500, test.bitrate/200, points...))
		if s.size != test.want {
			t.Errorf("%d bit/s: block size %d, want %d", test.bitrate, s.size, test.want)
		}
		s.Close()
	}
}

// A block does not wait for input that does not come.
func TestTimerEndsBlocks(t *testing.T) {
	for _, test := range []struct {
		name    string
		program *ingest.Program
		want    time.Duration
	}{
		{"television", television(), 100 * time.Millisecond},
		{"radio", radio(), 200 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended []time.Duration
				begin := time.Now()
				s := New(Config{}, func(Block) error {
					ended = append(ended, time.Since(begin))
					return nil
				})
				s.SetProgram(test.program)
				s.WriteSample(*sample(1, 0, 0, 10).Sample)
				time.Sleep(50 * time.Millisecond)
				s.WriteSample(*sample(1, 0, 4500, 10).Sample)
				time.Sleep(350 * time.Millisecond)
				s.WriteSample(*sample(1, 0, 9000, 10).Sample)
				time.Sleep(time.Second)
				s.Close()
				if want := []time.Duration{test.want, 400*time.Millisecond + test.want}; !slices.Equal(ended, want) {
					t.Errorf("blocks ended at %v, want %v", ended, want)
				}
			})
		})
	}
}

// The timer may have been armed for a block that is long gone.
func TestTimerIsForTheBlockBeingFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended []time.Duration
		begin := time.Now()
		s := New(Config{BlockSize: 1000}, func(Block) error {
			ended = append(ended, time.Since(begin))
			return nil
		})
		s.SetProgram(television())
		s.WriteSample(*sample(0, 0, 0, 700).Sample)
		time.Sleep(60 * time.Millisecond)
		s.WriteSample(*sample(0, 0, 5400, 10).Sample)
		time.Sleep(time.Second)
		s.Close()
		if want := []time.Duration{0, 160 * time.Millisecond}; !slices.Equal(ended, want) {
			t.Errorf("blocks ended at %v, want %v", ended, want)
		}
	})
}

// A file read at once is cut as the same programme live.
func TestLiveAndFastInputAreCutAlike(t *testing.T) {
	for _, stream := range []stream{fourMbit, smallVideo, radioStream} {
		t.Run(stream.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := stream.events(20 * time.Second)
				fast := segment(t, Config{}, events)
				var live []Block
				s := New(Config{}, func(b Block) error {
					live = append(live, b)
					return nil
				})
				begin := time.Now()
				for _, e := range events {
					if e.Sample != nil {
						time.Sleep(time.Until(begin.Add(arrival(e.Sample))))
					}
					play(s, []event{e})
				}
				s.Close()
				if !slices.EqualFunc(live, fast, func(a, b Block) bool { return slices.Equal(a.Payload, b.Payload) }) {
					t.Errorf("live: %d blocks, fast: %d, or of other bytes", len(live), len(fast))
				}
			})
		})
	}
}

func TestEmitFails(t *testing.T) {
	errFull := errors.New("no space")
	var kept []Block
	count := 0
	s := New(Config{BlockSize: 4096}, func(b Block) error {
		if count++; count == 6 {
			return errFull
		}
		kept = append(kept, b)
		return nil
	})
	events := pictures(10, 10500, 0)
	play(s, events)
	if err := s.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: got %v, want %v", err, errFull)
	}
	if got, want := starts(kept), []start{{0, true}, {2 * frame, false}}; !slices.Equal(got, want) {
		t.Errorf("got segments at %v, want %v", got, want)
	}
	if got, want := len(assemble(t, kept)), len(events)-1; got != want {
		t.Errorf("got %d events, want %d: all but the picture that was lost", got, want)
	}
}

func TestWhatCannotBeCarried(t *testing.T) {
	p := television()
	p.Name = string(make([]byte, maxField+1))
	p.Tracks = append(p.Tracks, ingest.Track{ID: 0, Codec: ingest.Opus}, ingest.Track{ID: ingest.MaxTracks})
	huge := sample(0, 0, 2*frame, MaxUnit+1)
	got := assemble(t, segment(t, Config{}, []event{
		sample(0, 0, 0, 10), // before the program
		{Program: p}, sample(ingest.MaxTracks, 0, 0, 10), sample(63, 0, 0, 10), sample(0, 0, frame, 10), huge,
	}))
	want := television()
	want.Name = ""
	huge.Sample.Flags, huge.Sample.Data = ingest.Damaged, huge.Sample.Data[:MaxUnit]
	checkEqual(t, got, []event{{Program: want}, sample(0, 0, frame, 10), huge})
}

// Several sources may write at a time; each track stays in order.
func TestConcurrentWriters(t *testing.T) {
	var blocks []Block
	s := New(Config{}, func(b Block) error {
		blocks = append(blocks, b)
		return nil
	})
	s.SetProgram(television())
	var wg sync.WaitGroup
	for track := range uint8(3) {
		wg.Go(func() {
			for i := range 500 {
				s.WriteSample(*sample(track, 0, int64(i)*frame, 1000).Sample)
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := make([]int64, 3)
	for _, e := range assemble(t, blocks)[1:] {
		if e.Sample.DTS != next[e.Sample.Track] {
			t.Fatalf("track %d: got %d, want %d", e.Sample.Track, e.Sample.DTS, next[e.Sample.Track])
		}
		next[e.Sample.Track] += frame
	}
	if want := []int64{500 * frame, 500 * frame, 500 * frame}; !slices.Equal(next, want) {
		t.Errorf("tracks end at %v, want %v", next, want)
	}
}

func TestAfterClose(t *testing.T) {
	s := New(Config{}, func(Block) error {
		t.Error("a block after Close")
		return nil
	})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	play(s, pictures(1, 10000, 0))
}

func TestSegmenterAllocations(t *testing.T) {
	blocks := 0
	s := New(Config{BlockSize: 8192}, func(Block) error {
		blocks++
		return nil
	})
	defer s.Close()
	s.SetProgram(television())
	m := *sample(0, 0, 0, 3000).Sample
	write := func() {
		for range 100 {
			m.DTS += frame
			m.PTS = m.DTS
			s.WriteSample(m)
		}
	}
	write()
	blocks = 0
	allocs := testing.AllocsPerRun(10, write)
	if perBlock := allocs * 11 / float64(blocks); perBlock > 1.01 {
		t.Errorf("got %.2f allocations a block, want 1, its payload", perBlock)
	}
}

// TestSubtitlesDoNotMoveTheClock: what comes more seldom than every second is no reason to take the pictures for silent.
func TestSubtitlesDoNotMoveTheClock(t *testing.T) {
	events := pictures(200, 500, 0)
	for i := 150; i >= 50; i -= 50 { // two seconds apart, between pictures
		events = slices.Insert(events, i+1, sample(2, 0, int64(i)*frame+frame/2, 40))
	}
	total := int64(0)
	for _, b := range segment(t, Config{}, events) {
		total += int64(b.Duration)
	}
	if want := int64(199 * frame); total != want {
		t.Errorf("%d ticks have passed, want %d", total, want)
	}
}
