package player

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"

	"tailcast/ingest"
	"tailcast/internal/captions"
)

const (
	// leadIn is where the first picture of a live playing stands: what sounds before it has room, since fMP4 knows no negative times. A file
	// begins at 0, without what sounds before that.
	leadIn = ingest.ClockRate
	// patience is how long the first start waits for tracks whose parameters are not known yet, and holdBytes how much.
	patience  = ingest.ClockRate
	holdBytes = 8 << 20
	// soundGroup is how much sound waits for a picture.
	soundGroup = ingest.ClockRate / 10
	// slack is how far a counted audio time may be from the one the source gives, which is rounded and may be split by rounding.
	slack = 3
	// firstDuration is a video frame's duration while nothing is known: 40 ms.
	firstDuration = ingest.ClockRate / 25
)

// mp4Track is one track of the file.
type mp4Track struct {
	carrier
	track *ingest.Track
	id    int  // in the file; 0 if left out of the current one
	video bool // its samples make the parts

	counting bool           // last (video) or next (audio) is known
	next     int64          // audio: time of the next frame by counting samples, in ticks of the clock
	pending  []*fmp4.Sample // audio: frames that wait for a picture
	base     int64          // audio: time of the first of them
	since    int64          // audio: its DTS

	last     int64 // video: DTS of the newest frame
	duration int64 // video: between the last two
}

// mp4 makes fMP4 of samples: one part a picture, with the sound that is due, so that a browser can show each picture when it
// arrives. It belongs to the pipeline's goroutine.
//
// A change of parameters (another resolution, another codec) shows at a start; the stream then ends and another one begins, on the
// same timeline: what the reader has is whole, and a page that asks again plays on. If nothing changed, a new epoch of the
// channel does not end the stream.
type mp4 struct {
	out    *outlet
	make   func() *stream
	push   func(s *stream, c chunk)
	lead   int64                       // leadIn, or 0 for a file
	tracks [ingest.MaxTracks]*mp4Track // by Sample.Track; nil if the file cannot carry it
	order  []*mp4Track

	program   *ingest.Program
	only      *int // which of the program's sound tracks the file carries, from 0; none if there is no such; nil: all
	video     bool // there is a video track: its random access points are the starts
	stream    *stream
	header    []byte
	origin    int64             // tick that is time 0 of the file
	placed    bool              // origin is known
	held      []ingest.Sample   // from the first start on, while parameters are missing
	heldSize  int               // bytes in them
	buffer    bytes.Buffer      // parts since the last flush
	stamps    stamps            // of those
	start     bool              // the buffer begins with a start
	segment   bool              // the next audio frame of a program without video is a start
	captions  *captions.Decoder // nil before there is a program
	captioned uint32            // messages so far
	cut       bool              // the next sample does not continue what captions said
}

func newMP4Format(out *outlet, open func() *stream, push func(*stream, chunk)) format {
	return &mp4{out: out, make: open, push: push, lead: leadIn}
}

// newMP4Of makes a file with one sound track, or with none: browsers take one at a time.
func newMP4Of(sound int) func(*outlet, func() *stream, func(*stream, chunk)) format {
	return func(out *outlet, open func() *stream, push func(*stream, chunk)) format {
		return &mp4{out: out, make: open, push: push, lead: leadIn, only: &sound}
	}
}

// setProgram keeps what it learnt of tracks that stay the same.
func (m *mp4) setProgram(p *ingest.Program) {
	m.finish()
	before := m.tracks
	m.program, m.tracks, m.order, m.video = p, [ingest.MaxTracks]*mp4Track{}, nil, false
	m.captions = captions.NewDecoder(p, m.caption)
	sounds := 0
	for i := range p.Tracks {
		t := &p.Tracks[i]
		if t.Codec.IsAudio() {
			if sounds++; m.only != nil && *m.only != sounds-1 {
				continue
			}
		}
		m.add(t, before[t.ID%ingest.MaxTracks])
	}
	m.held, m.heldSize = nil, 0
	if len(m.order) == 0 {
		m.refuse()
	}
}

func (m *mp4) add(t *ingest.Track, before *mp4Track) {
	c := newCarrier(t)
	if c == nil || t.Codec.IsVideo() && m.video { // browsers take one video track
		return
	}
	mt := &mp4Track{carrier: c, track: t, video: t.Codec.IsVideo(), duration: firstDuration}
	if before != nil && before.track.Codec == t.Codec {
		*mt = *before
		mt.track = t
	}
	mt.learn(t.Config)
	m.video = m.video || mt.video
	m.tracks[t.ID%ingest.MaxTracks] = mt
	m.order = append(m.order, mt)
}

func (m *mp4) refuse() {
	m.stream, m.header = nil, nil
	m.out.refuse(refusal(fmt.Sprintf("fMP4 cannot carry %s; ask for /live.ts instead", list(m.program.Tracks))))
}

// segmentFirst says that the next sample begins a segment of the feed.
func (m *mp4) segmentFirst() { m.segment = true }

func (m *mp4) writeSample(s *ingest.Sample) {
	m.listen(s)
	t := m.tracks[s.Track%ingest.MaxTracks]
	if t != nil && !m.hold(t, s) {
		m.write(t, s)
	}
}

func (m *mp4) write(t *mp4Track, s *ingest.Sample) {
	if t.video {
		m.writeVideo(t, s)
	} else {
		m.writeAudio(t, s)
	}
}

// hold keeps samples from the first start on until all tracks are known, or it has taken long enough: the header names all
// tracks, and some only say in their samples what they are.
func (m *mp4) hold(t *mp4Track, s *ingest.Sample) bool {
	if m.stream != nil {
		return false
	}
	if t.entry() == nil {
		t.learn(s.Data)
	}
	if len(m.held) == 0 && (!m.incomplete() || !m.starts(t, s)) {
		return false
	}
	kept := *s
	kept.Data = bytes.Clone(s.Data)
	m.held, m.heldSize = append(m.held, kept), m.heldSize+len(s.Data)
	if m.incomplete() && s.DTS-m.held[0].DTS < patience && m.heldSize < holdBytes {
		return true
	}
	held := m.held
	m.held, m.heldSize = nil, 0
	for i := range held {
		m.write(m.tracks[held[i].Track%ingest.MaxTracks], &held[i])
	}
	return true
}

// starts tells whether decoding can begin with the sample: pictures say so themselves, sound can always begin but need not.
func (m *mp4) starts(t *mp4Track, s *ingest.Sample) bool {
	if m.video {
		return t.video && s.Flags&ingest.RandomAccess != 0
	}
	return m.segment
}

func (m *mp4) writeVideo(t *mp4Track, s *ingest.Sample) {
	random := m.starts(t, s)
	if random {
		t.learn(s.Data)
		m.begin(s.DTS)
	}
	frames, err := t.frames(s.Data)
	if m.stream == nil || t.id == 0 || err != nil || len(frames) == 0 || s.DTS < m.origin || t.counting && s.DTS <= t.last {
		return
	}
	if d := s.DTS - t.last; t.counting && d < patience {
		t.duration = d
	}
	t.last, t.counting = s.DTS, true
	if random {
		m.flush()
		m.start = true
		m.captionsNow(s.DTS)
	}
	m.part(&fmp4.PartTrack{ID: t.id, BaseTime: uint64(s.DTS - m.origin), Samples: []*fmp4.Sample{{
		Duration: uint32(t.duration), PTSOffset: int32(s.PTS - s.DTS), IsNonSyncSample: !random, Payload: frames[0].data,
	}}})
}

func (m *mp4) writeAudio(t *mp4Track, s *ingest.Sample) {
	if s.Flags&ingest.Damaged != 0 {
		return
	}
	t.learn(s.Data)
	if m.starts(t, s) {
		m.segment = false
		m.begin(s.DTS)
		m.flush()
		m.start = m.stream != nil
		m.captionsNow(s.DTS)
	}
	if m.stream == nil || t.id == 0 {
		return
	}
	frames, _ := t.frames(s.Data)
	if len(frames) == 0 {
		return
	}
	at := rescale(s.DTS-m.origin, int64(t.clock()))
	if tolerance := rescale(slack, int64(t.clock())) + 1; !t.counting || at-t.next > tolerance || t.next-at > tolerance {
		m.sound(t)
		t.next, t.counting = at, true
	}
	if t.next < 0 {
		t.counting = false
		return
	}
	m.queue(t, s.DTS, frames)
	if s.DTS-t.since >= soundGroup {
		m.sound(t)
	}
}

func (m *mp4) queue(t *mp4Track, dts int64, frames []frame) {
	if len(t.pending) == 0 {
		t.base, t.since = t.next, dts
	}
	for _, f := range frames {
		t.pending = append(t.pending, &fmp4.Sample{Duration: uint32(f.duration), Payload: bytes.Clone(f.data)})
		t.next += int64(f.duration)
	}
}

// sound writes what waits of one track as a part of its own.
func (m *mp4) sound(t *mp4Track) {
	if len(t.pending) > 0 {
		m.marshal([]*fmp4.PartTrack{t.take()})
	}
}

func (t *mp4Track) take() *fmp4.PartTrack {
	p := &fmp4.PartTrack{ID: t.id, BaseTime: uint64(t.base), Samples: t.pending}
	t.pending = nil
	return p
}

// part writes a picture and the sound that is due.
func (m *mp4) part(picture *fmp4.PartTrack) {
	tracks := []*fmp4.PartTrack{picture}
	for _, t := range m.order {
		if len(t.pending) > 0 {
			tracks = append(tracks, t.take())
		}
	}
	m.marshal(tracks)
}

func (m *mp4) marshal(tracks []*fmp4.PartTrack) {
	var out seekablebuffer.Buffer
	if (fmp4.Part{Tracks: tracks}).Marshal(&out) != nil {
		return
	}
	m.stamps = m.stamps.append(m.buffer.Len(), out.Bytes(), m.clockOf)
	m.buffer.Write(out.Bytes())
}

// clockOf is the clock of a track of the file.
func (m *mp4) clockOf(id int) int64 {
	for _, t := range m.order {
		if t.id == id {
			return int64(t.clock())
		}
	}
	panic("player: a part of a track that the file has not")
}

// endOfBlock passes on what a block of the feed brought. Sound of a program without pictures waits for nothing else.
func (m *mp4) endOfBlock() {
	if !m.video {
		for _, t := range m.order {
			m.sound(t)
		}
	}
	m.flush()
}

func (m *mp4) flush() {
	if m.buffer.Len() > 0 && m.stream != nil {
		m.push(m.stream, chunk{data: bytes.Clone(m.buffer.Bytes()), stamps: m.stamps, start: m.start})
	}
	m.buffer.Reset()
	m.stamps = stamps{}
	m.start = false
}

// rescale converts ticks of the media clock to those of another, to the nearest.
func rescale(ticks, clock int64) int64 {
	n := ticks*clock + ingest.ClockRate/2
	if n < 0 {
		n -= ingest.ClockRate - 1 // round down below zero too
	}
	return n / ingest.ClockRate
}

// section is for captions alone: the times of the file go on.
func (m *mp4) section() { m.cut = true }

func (m *mp4) close() {
	m.finish()
	m.out.close()
}

// finish passes on all that has come, also sound that waits for a picture: there is none any more in this stream.
func (m *mp4) finish() {
	for _, t := range m.order {
		m.sound(t)
	}
	m.flush()
}
