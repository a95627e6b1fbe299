package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/internal/ts"
	"tailcast/segmenter"
)

// Here recordings are judged by what was signed: every access unit of a recorded TS must be one of the channel, byte for byte, and no more than
// so much of the media between two pictures may be missing. Time is that of the media and of the records; how busy the machine is, and when
// the test looks, makes no difference.

// A picture is an access unit of video, as it was signed.
type picture struct {
	epoch int
	dts   int64
	wall  time.Time // of the record that completes it
	sum   [sha256.Size]byte
}

// aired is all that a channel has signed, over all its epochs.
type aired struct {
	pictures []picture                   // in order
	places   map[[sha256.Size]byte][]int // of pictures; a clip that is looped has the same ones again
	units    map[[sha256.Size]byte]bool  // of all tracks
	lost     int                         // blocks that nobody has
}

// newAired reads the epochs of replicas[0], the streamer's. Of what it had not yet written when it was killed, others tell.
func newAired(t *testing.T, replicas []*feed.Replica) *aired {
	t.Helper()
	a := &aired{places: make(map[[sha256.Size]byte][]int), units: make(map[[sha256.Size]byte]bool)}
	epochs := slices.Clone(replicas[0].Epochs())
	slices.Reverse(epochs) // oldest first
	for n, e := range epochs {
		state, ok := e.State()
		if !ok {
			continue
		}
		var logs []*feed.Log
		for _, r := range replicas {
			if e := r.Epoch(e.ID()); e != nil {
				if l, err := e.Log(state.Renditions[0].Name); err == nil {
					logs = append(logs, l)
				}
			}
		}
		a.read(t, n, logs)
	}
	return a
}

// read takes in one log, of which each of logs is a part.
func (a *aired) read(t *testing.T, epoch int, logs []*feed.Log) {
	t.Helper()
	size := uint64(0)
	for _, l := range logs {
		size = max(size, l.Head().Size)
	}
	to := &gatherer{aired: a, epoch: epoch}
	assembler := segmenter.NewAssembler(to)
	for i := range size {
		b, ok := anyBlock(logs, i)
		if !ok {
			a.lost++
			assembler.Gap()
			continue
		}
		if b.Record.Kind != feed.Media {
			continue
		}
		to.wall = time.UnixMicro(b.Record.Wall)
		if err := assembler.Write(b.Payload, b.Record.Flags&feed.SegmentFirst != 0); err != nil {
			t.Fatalf("block %d of the streamer: %v", i, err)
		}
	}
}

func anyBlock(logs []*feed.Log, i uint64) (feed.Block, bool) {
	for _, l := range logs {
		if b, err := l.Block(i); err == nil {
			return b, true
		}
	}
	return feed.Block{}, false
}

// A gatherer takes down what was signed.
type gatherer struct {
	*aired
	epoch int
	wall  time.Time
	video [ingest.MaxTracks]bool
}

func (g *gatherer) SetProgram(p *ingest.Program) { g.video = pictureTracks(p) }

func (g *gatherer) WriteSample(s ingest.Sample) {
	sum := sha256.Sum256(s.Data)
	g.units[sum] = true
	if g.video[s.Track%ingest.MaxTracks] {
		g.places[sum] = append(g.places[sum], len(g.pictures))
		g.pictures = append(g.pictures, picture{g.epoch, s.DTS, g.wall, sum})
	}
}

func pictureTracks(p *ingest.Program) (video [ingest.MaxTracks]bool) {
	for _, t := range p.Tracks {
		video[t.ID%ingest.MaxTracks] = t.Codec.IsVideo()
	}
	return video
}

// A recording is what a viewer wrote as TS.
type recording struct {
	units  []recorded
	video  [ingest.MaxTracks]bool
	tracks [ingest.MaxTracks]int // of each track the place of its newest unit, plus one
}

// recorded is an access unit of a recording.
type recorded struct {
	track uint8
	dts   int64
	sum   [sha256.Size]byte
}

// readRecording takes a recording apart. The last unit of each track is left out: the viewer ended while it was written.
func readRecording(t *testing.T, file string) *recording {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{}
	scanner := ts.NewScanner(ts.Config{Sink: r})
	_, _ = bytes.NewReader(data).WriteTo(scanner)
	scanner.Flush()
	for i := len(r.units) - 1; i >= 0; i-- {
		if r.tracks[r.units[i].track%ingest.MaxTracks] == i+1 {
			r.units = slices.Delete(r.units, i, i+1)
		}
	}
	return r
}

func (r *recording) SetProgram(p *ingest.Program) { r.video = pictureTracks(p) }

func (r *recording) WriteSample(s ingest.Sample) {
	r.units = append(r.units, recorded{s.Track, s.DTS, sha256.Sum256(s.Data)})
	r.tracks[s.Track%ingest.MaxTracks] = len(r.units)
}

// A verdict is what there is to say of a recording.
type verdict struct {
	pictures int
	missing  int           // pictures between the first and the last that are not there
	gap      time.Duration // the longest within an epoch, of media
	gaps     []hole        // all of them over a second
	border   time.Duration // the longest between the last picture of one epoch and the first of another, by when they were signed
	off      time.Duration // of that, how long the streamer itself was not on air
	last     time.Time     // when the last picture was signed
	wrong    []string      // units that were never signed, or in another order
}

// A hole is media that a recording lacks.
type hole struct {
	from time.Time // when the last picture before it was signed
	long time.Duration
}

func (v *verdict) String() string {
	return fmt.Sprintf("%d pictures, %d missing, gap %v, border %v (off air %v)", v.pictures, v.missing, v.gap, v.border, v.off)
}

// judge finds the place of each picture of a recording in what was aired.
func (a *aired) judge(r *recording) (v verdict) {
	var sums [][sha256.Size]byte
	for n, u := range r.units {
		switch {
		case !a.units[u.sum]:
			v.wrong = append(v.wrong, fmt.Sprintf("unit %d, of track %d at %.3f s, was never signed", n, u.track, float64(u.dts)/ingest.ClockRate))
		case r.video[u.track%ingest.MaxTracks]:
			sums = append(sums, u.sum)
		}
	}
	places := a.align(sums)
	if len(places) < len(sums) {
		v.wrong = append(v.wrong, "the pictures are all signed, but not in this order")
		return v
	}
	for i, at := range places {
		if i > 0 {
			a.step(&v, places[i-1], at)
		}
		v.last = a.pictures[at].wall
	}
	v.pictures = len(places)
	return v
}

// A way leads through what was aired to one place, past so many pictures that were not recorded.
type way struct {
	at, missing int
	before      *way
}

// align finds the place of each picture, in order, so that the fewest are missing between them: the bytes alone do not tell, since a looped clip
// has the same pictures again and again. Of two ways the later one is taken. It returns fewer places if there is none.
func (a *aired) align(sums [][sha256.Size]byte) (places []int) {
	ways := []*way{{at: -1}}
	for n, sum := range sums {
		var next []*way
		for _, at := range a.places[sum] {
			var best *way
			for _, w := range ways {
				if w.at >= at {
					continue
				}
				missing := w.missing + at - w.at - 1
				if n == 0 {
					missing = 0 // it began there
				}
				if best == nil || missing <= best.missing {
					best = &way{at, missing, w}
				}
			}
			if best != nil {
				next = append(next, best)
			}
		}
		ways = next
	}
	if len(ways) == 0 || len(sums) == 0 {
		return nil
	}
	best := ways[0]
	for _, w := range ways {
		if w.missing <= best.missing {
			best = w
		}
	}
	for w := best; w.before != nil; w = w.before {
		places = append(places, w.at)
	}
	slices.Reverse(places)
	return places
}

func (a *aired) step(v *verdict, from, to int) {
	p, q := a.pictures[from], a.pictures[to]
	v.missing += to - from - 1
	if p.epoch == q.epoch {
		long := time.Duration(q.dts-p.dts) * time.Second / ingest.ClockRate
		if v.gap = max(v.gap, long); long > time.Second {
			v.gaps = append(v.gaps, hole{p.wall, long})
		}
		return
	}
	if apart := q.wall.Sub(p.wall); apart > v.border {
		v.border, v.off = apart, 0
		for i := from; i < to; i++ {
			if a.pictures[i].epoch != a.pictures[i+1].epoch {
				v.off += a.pictures[i+1].wall.Sub(a.pictures[i].wall)
			}
		}
	}
}
