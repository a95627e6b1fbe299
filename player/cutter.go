package player

import (
	"bytes"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"

	"tailcast/ingest"
)

const (
	// hlsOrigin is the time of the feed that is 0 in HLS: fMP4 knows no negative times, a feed does. It is the same for all segments, so that one
	// made from disk tomorrow has the times it had live.
	hlsOrigin = -10 * ingest.ClockRate
	// farOff is how far sound may be from the pictures: what is from before a jump of the source's clock may be anywhere. still is how long a picture may
	// stand.
	farOff = 10 * ingest.ClockRate
	still  = 60 * ingest.ClockRate
	// maxPart is how many bytes a part has before it ends, whatever it lasts, and sampleCost what is counted for a sample besides its own.
	maxPart    = 4 << 20
	sampleCost = 128
)

func never() time.Time { return time.Time{} }

// A part is a Partial Segment: one movie fragment, about the target long. The parts of a segment, one behind the other, are the segment.
type part struct {
	data        []byte
	ticks       int64 // from its first picture to the one after its last; of sound, what it lasts
	independent bool  // decoding can begin here
}

// A cutter makes the parts of one segment out of its samples, the same ones whenever it is asked. It is the format of a pipeline, for one
// goroutine. A part is complete when the next picture shows how long its last one lasts.
type cutter struct {
	mold  *mold
	first uint64 // block of the segment: fragments are numbered from it, since their numbers are to rise and segments are cut one by one
	emit  func(part)

	tracks  [ingest.MaxTracks]cutTrack
	begun   bool
	start   int64 // of the segment: DTS of its first sample
	open    bool  // a part is being filled
	from    int64 // where it begins, DTS of what leads
	until   int64 // where it ends so far; of pictures, DTS of the last
	keyed   bool  // it begins with a random access point
	written int   // parts
	size    int   // bytes in the part being filled
	late    bool  // a track has come that the mold has left out
}

// A cutTrack is one track of the part being filled.
type cutTrack struct {
	samples  []*fmp4.Sample
	base     int64 // time of the first, in ticks of the track's clock since hlsOrigin
	next     int64 // sound: time of the next frame by counting
	counting bool
}

func (c *cutter) writeSample(s *ingest.Sample) {
	t := c.mold.tracks[s.Track%ingest.MaxTracks]
	if t == nil {
		c.unknown(s)
		return
	}
	if s.DTS < hlsOrigin || c.begun && c.isFar(t, s.DTS) {
		return
	}
	if !c.begun && c.leads(t) {
		c.begun, c.start, c.until = true, s.DTS, s.DTS
	}
	frames, err := t.frames(s.Data)
	switch video := t.track.Codec.IsVideo(); {
	case len(frames) == 0 || video && err != nil || !video && s.Flags&ingest.Damaged != 0:
	case video:
		c.picture(t, s, frames[0].data)
	default:
		c.sound(t, s, frames)
	}
}

// isFar tells whether a sample cannot be of this segment.
func (c *cutter) isFar(t *moldTrack, dts int64) bool {
	if c.leads(t) {
		return dts-c.until > still || dts-c.start > maxSegment || c.start-dts > farOff
	}
	return dts-c.until > farOff || min(c.start, c.until)-dts > farOff
}

// unknown looks whether a track that the mold had to leave out has come to be known.
func (c *cutter) unknown(s *ingest.Sample) {
	if t := c.mold.waiting[s.Track%ingest.MaxTracks]; t != nil && !c.late && s.Flags&ingest.Damaged == 0 {
		other := newCarrier(t)
		other.learn(s.Data)
		c.late = other.entry() != nil
	}
}

func (c *cutter) leads(t *moldTrack) bool { return c.mold.order[c.mold.lead()] == t }

func (c *cutter) picture(t *moldTrack, s *ingest.Sample, data []byte) {
	ct := &c.tracks[s.Track%ingest.MaxTracks]
	if c.open && s.DTS <= c.until {
		return
	}
	if c.open {
		ct.samples[len(ct.samples)-1].Duration = uint32(s.DTS - c.until)
		if c.size >= maxPart || full(s.DTS-c.from, s.DTS+max(c.mold.slow(), s.DTS-c.until)-c.from, c.mold.part) {
			c.cut(s.DTS)
		}
	}
	random := s.Flags&ingest.RandomAccess != 0
	if !c.open {
		c.open, c.from, c.keyed = true, s.DTS, random
		ct.base = s.DTS - hlsOrigin
	}
	c.until = s.DTS
	c.size += len(data) + sampleCost
	ct.samples = append(ct.samples, &fmp4.Sample{
		Duration: uint32(t.step), PTSOffset: int32(s.PTS - s.DTS), IsNonSyncSample: !random, Payload: bytes.Clone(data),
	})
}

// full tells whether a part is to end that is as long as ticks, since it would be too long with the next picture. One that would be too short to be
// listed (segment.even) waits for that: it may come sooner than most.
func full(ticks, next, target int64) bool { return next > target && long(ticks, target) }

// long tells whether a part is long enough to be listed: 85 % of the part target (RFC 8216bis, 4.4.3.7), which is written in whole milliseconds.
func long(ticks, target int64) bool { return ticks*100 >= 85*(target+ingest.ClockRate/1000) }

// sound counts frames from the first one on, as long as the times that the source gives agree to a frame: they are rounded, some to 1 ms.
func (c *cutter) sound(t *moldTrack, s *ingest.Sample, frames []frame) {
	ct := &c.tracks[s.Track%ingest.MaxTracks]
	at, one := rescale(s.DTS-hlsOrigin, int64(t.clock())), int64(frames[0].duration)
	missing := ct.counting && at > ct.next+one
	if missing && len(ct.samples) > 0 { // what was there lasts longer
		ct.samples[len(ct.samples)-1].Duration += uint32(at - ct.next)
	}
	if missing || !ct.counting {
		ct.next, ct.counting = at, true
	}
	if at < ct.next-2*one-int64(t.clock())/20 {
		return // a frame that was there already
	}
	if !c.leads(t) && c.size >= 2*maxPart {
		return // no picture comes with which a part could end
	}
	for _, f := range frames {
		c.frame(t, ct, f)
	}
}

func (c *cutter) frame(t *moldTrack, ct *cutTrack, f frame) {
	if c.leads(t) {
		begin, end := ticksOf(ct.next, t), ticksOf(ct.next+int64(f.duration), t)
		if c.open && (c.size >= maxPart || full(begin-c.from, end-c.from, c.mold.part)) {
			c.cut(begin)
		}
		if !c.open {
			c.open, c.from, c.keyed = true, begin, true
		}
		c.until = end
	}
	if len(ct.samples) == 0 {
		ct.base = ct.next
	}
	c.size += len(f.data) + sampleCost
	ct.samples = append(ct.samples, &fmp4.Sample{Duration: uint32(f.duration), Payload: bytes.Clone(f.data)})
	ct.next += int64(f.duration)
}

// ticksOf is a time of a track's clock in 90 kHz.
func ticksOf(at int64, t *moldTrack) int64 {
	return at*ingest.ClockRate/int64(t.clock()) + hlsOrigin
}

// cut ends the part being filled, where what leads goes on.
func (c *cutter) cut(end int64) {
	if !c.open {
		return
	}
	file := fmp4.Part{SequenceNumber: uint32(c.first) + uint32(c.written)}
	for _, t := range c.mold.order {
		ct := &c.tracks[t.track.ID%ingest.MaxTracks]
		if len(ct.samples) > 0 {
			file.Tracks = append(file.Tracks, &fmp4.PartTrack{ID: t.id, BaseTime: uint64(ct.base), Samples: ct.samples})
			ct.samples = nil
		}
	}
	c.open, c.size = false, 0
	var out seekablebuffer.Buffer
	if len(file.Tracks) == 0 || file.Marshal(&out) != nil {
		return
	}
	c.written++
	c.emit(part{data: out.Bytes(), ticks: end - c.from, independent: c.keyed})
}

// finish ends the segment. next is the DTS at which it ends, as far as the records tell.
func (c *cutter) finish(next int64) {
	lead := c.mold.order[c.mold.lead()]
	if !lead.track.Codec.IsVideo() {
		c.cut(c.until)
		return
	}
	end := c.until + c.mold.step()
	if ct := &c.tracks[lead.track.ID%ingest.MaxTracks]; next > c.until && len(ct.samples) > 0 {
		end = next
		ct.samples[len(ct.samples)-1].Duration = uint32(next - c.until)
	}
	c.cut(end)
}

func (c *cutter) setProgram(*ingest.Program) {}
func (c *cutter) segmentFirst()              {}
func (c *cutter) section()                   {}
func (c *cutter) endOfBlock()                {}
func (c *cutter) close()                     {}
