package player

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"tailcast/feed"
	"tailcast/ingest"
)

// A mold is what all HLS segments of one program have in common: the fMP4 header with its tracks, learnt from a segment or two. It is not
// changed once it is made, so any number of goroutines cut with it at once.
type mold struct {
	header  []byte                          // EXT-X-MAP
	tracks  [ingest.MaxTracks]*moldTrack    // by Sample.Track; nil if left out
	order   []*moldTrack                    // in the order of the header: IDs 1, 2
	video   bool                            // pictures lead; else the first track does
	others  []ingest.Track                  // what is left out
	waiting [ingest.MaxTracks]*ingest.Track // of these, those that it would have if they said what they are
	part    int64                           // ticks that a part lasts at most, if a picture does not last longer
}

// A moldTrack is one track of the header.
type moldTrack struct {
	carrier
	track *ingest.Track
	id    int
	step  int64 // 90 kHz ticks from one picture, or frame of sound, to the next; 0 if not known
	slow  int64 // likewise, of pictures that come late by rounding or by turns; not less than step

	last  int64   // DTS of the last picture seen while learning
	seen  bool    // there was one
	steps []int64 // from one picture to the next, as seen while learning
}

// codecNames are those of the tracks, as RFC 6381 spells them.
func (m *mold) codecNames() (names []string) {
	for _, t := range m.order {
		names = append(names, t.name())
	}
	return names
}

func (m *mold) contentType() string {
	if m.video {
		return "video/mp4"
	}
	return "audio/mp4"
}

// A learner makes a mold of samples: the program's first picture and first sound that fMP4 can carry, since browsers take one of each in a
// buffer. It is a format of a pipeline.
type learner struct {
	mold    mold
	program *ingest.Program
}

func (l *learner) setProgram(p *ingest.Program) {
	if l.program != nil {
		return // another one is another mold
	}
	l.program = p
	sound := false
	for i := range p.Tracks {
		t := &p.Tracks[i]
		c, video := newCarrier(t), t.Codec.IsVideo()
		if c == nil || video && l.mold.video || !video && sound {
			l.mold.others = append(l.mold.others, *t)
			continue
		}
		l.mold.video, sound = l.mold.video || video, sound || !video
		c.learn(t.Config)
		mt := &moldTrack{carrier: c, track: t}
		l.mold.tracks[t.ID%ingest.MaxTracks] = mt
		l.mold.order = append(l.mold.order, mt)
	}
}

func (l *learner) writeSample(s *ingest.Sample) {
	t := l.mold.tracks[s.Track%ingest.MaxTracks]
	if t == nil || s.Flags&ingest.Damaged != 0 {
		return
	}
	if t.entry() == nil {
		t.learn(s.Data)
	}
	if t.track.Codec.IsVideo() {
		t.saw(s.DTS)
	} else if frames, err := t.frames(s.Data); err == nil && len(frames) > 0 && t.entry() != nil {
		t.step = int64(frames[0].duration) * ingest.ClockRate / int64(t.clock())
	}
}

// saw takes note of a picture's time.
func (t *moldTrack) saw(dts int64) {
	if d := dts - t.last; t.seen && 0 < d && d < gap && len(t.steps) < maxSteps {
		t.steps = append(t.steps, d)
		t.step, t.slow = usual(t.steps)
	}
	t.last, t.seen = dts, true
}

// maxSteps is how many steps are remembered: a few seconds' worth.
const maxSteps = 250

// usual is the median of steps, or what is one or two ticks more, since times are rounded; and slow what 95 of 100 of them do not exceed. What is far
// more is a picture left out, and does not count: the first steps of a stream may be odd.
func usual(steps []int64) (step, slow int64) {
	sorted := slices.Sorted(slices.Values(steps))
	median := sorted[len(sorted)/2]
	step = median
	for _, s := range sorted[len(sorted)/2:] {
		if s <= median+2 {
			step = s
		}
	}
	for len(sorted) > 1 && sorted[len(sorted)-1] > median*3/2 {
		sorted = sorted[:len(sorted)-1]
	}
	return step, max(step, sorted[(len(sorted)-1)*95/100])
}

// enough is how many steps tell how long a picture lasts.
const enough = 8

// complete tells whether there is nothing to wait for.
func (l *learner) complete() bool {
	for _, t := range l.mold.order {
		if t.entry() == nil || t.step == 0 || t.track.Codec.IsVideo() && len(t.steps) < enough {
			return false
		}
	}
	return l.program != nil
}

// finish makes the header of what is known; nil if that is nothing.
func (l *learner) finish() *mold {
	m := &mold{video: l.mold.video, others: l.mold.others}
	var file fmp4.Init
	for _, t := range l.mold.order {
		entry := t.entry()
		if entry == nil {
			m.others = append(m.others, *t.track)
			m.waiting[t.track.ID%ingest.MaxTracks] = t.track
			continue
		}
		t.id = len(m.order) + 1
		m.order = append(m.order, t)
		m.tracks[t.track.ID%ingest.MaxTracks] = t
		file.Tracks = append(file.Tracks, &fmp4.InitTrack{ID: t.id, TimeScale: uint32(t.clock()), Codec: entry})
	}
	m.video = m.video && len(m.order) > 0 && m.order[m.lead()].track.Codec.IsVideo()
	if m.header = marshalInit(file); m.header == nil {
		return nil
	}
	m.part = partTarget(m.slow(), m.order[m.lead()].steps)
	return m
}

// lead is the place in order of the track whose times make parts and segments.
func (m *mold) lead() int {
	for i, t := range m.order {
		if t.track.Codec.IsVideo() {
			return i
		}
	}
	return 0
}

// step is how long a picture lasts, or a frame of sound where there are none.
func (m *mold) step() int64 {
	if s := m.order[m.lead()].step; s > 0 {
		return s
	}
	return firstDuration
}

// slow is step of the pictures that come late.
func (m *mold) slow() int64 { return max(m.step(), m.order[m.lead()].slow) }

// partTarget is about partTime: as many of the slow pictures as come nearest, or one or a few more if the pictures seen, which may come by turns as those of
// film do, do not divide evenly enough then.
func partTarget(slow int64, steps []int64) int64 {
	least := max(1, (partTime+slow/2)/slow)
	for n := least; n*slow <= 2*partTime; n++ {
		if target := n*slow + ingest.ClockRate/1000; divides(steps, slow, target) {
			return target
		}
	}
	return least*slow + ingest.ClockRate/1000
}

// divides tells whether pictures with these steps, again and again, make parts that can be listed. Those that are far slower than others do not count.
func divides(steps []int64, slow, target int64) bool {
	ticks := int64(0)
	for range 4 {
		for _, step := range steps {
			if step > slow {
				continue
			}
			if ticks += step; ticks > target {
				return false
			}
			if full(ticks, ticks+slow, target) {
				ticks = 0
			}
		}
	}
	return true
}

func (l *learner) segmentFirst() {}
func (l *learner) section()      {}
func (l *learner) endOfBlock()   {}
func (l *learner) close()        {}

// A blockSource hands out the blocks of one segment in order; reset says that some are missing before the block.
type blockSource func(each func(b *feed.Block, reset bool) error) error

// learnMold makes the mold of segments that have one program: of as many as it takes to know all tracks. It is nil if none is known, and complete
// tells whether all are.
func learnMold(segments ...blockSource) (m *mold, complete bool) {
	l := &learner{}
	p := newPipeline(never)
	p.formats = []format{l}
	for _, segment := range segments {
		_ = segment(p.raw)
		if l.complete() {
			break
		}
	}
	return l.finish(), l.complete()
}
