package player

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// tsFormat makes a transport stream, which carries everything the broadcaster sends. It belongs to the pipeline's goroutine. A
// change of program is told in the stream, so that it only ends when a codec comes that TS cannot carry.
type tsFormat struct {
	out  *outlet
	make func() *stream
	push func(s *stream, c chunk)

	mux     *ts.Muxer
	buffer  bytes.Buffer // packets since the last flush
	stream  *stream      // nil while there is no program, or it is refused
	start   bool         // the buffer begins with a start
	segment bool         // no sample of the segment has come yet
	video   bool         // the program has pictures: they are the starts
	program *ingest.Program
	tracks  [ingest.MaxTracks]ingest.Codec

	counters map[uint16]byte // continuity counters of all PIDs so far, without the buffer
}

func newTSFormat(out *outlet, open func() *stream, push func(*stream, chunk)) format {
	f := &tsFormat{out: out, make: open, push: push, counters: map[uint16]byte{}}
	f.mux = ts.NewMuxer(&f.buffer)
	return f
}

func (f *tsFormat) setProgram(p *ingest.Program) {
	f.flush()
	if err := f.mux.SetProgram(p); err != nil {
		f.stream = nil
		f.out.refuse(whyNotTS(p, err))
		return
	}
	f.program, f.video = p, false
	for _, t := range p.Tracks {
		f.tracks[t.ID%ingest.MaxTracks] = t.Codec
		f.video = f.video || t.Codec.IsVideo()
	}
	if f.stream == nil {
		f.stream = f.make()
		f.stream.contentType = "video/mp2t"
		f.out.open(f.stream)
	}
}

func whyNotTS(p *ingest.Program, err error) refusal {
	if errors.Is(err, ts.ErrCodec) {
		return refusal(fmt.Sprintf("MPEG-TS cannot carry this channel (%s); ask for /live.mp4 instead", list(p.Tracks)))
	}
	return refusal(fmt.Sprintf("couldn't make MPEG-TS of this channel (%v); ask for /live.mp4 instead", err))
}

func (f *tsFormat) segmentFirst() { f.segment = true }

// section is told to receivers though the times go on: the broadcaster's clock is another one from here.
func (f *tsFormat) section() { f.mux.Discontinuity() }

func (f *tsFormat) writeSample(s *ingest.Sample) {
	if f.stream == nil {
		return
	}
	if f.starts(s) {
		f.flush()
		f.start = true
		_ = f.mux.SetProgram(f.program) // it did before; now the tables come first, whenever they were last written
	}
	f.segment = false
	_ = f.mux.WriteSample(*s) // the buffer takes everything; a sample that cannot be written leaves the stream as it was
}

// starts tells whether decoding can begin with the sample: pictures say so themselves, sound can always begin but need not.
func (f *tsFormat) starts(s *ingest.Sample) bool {
	if f.video {
		return f.tracks[s.Track%ingest.MaxTracks].IsVideo() && s.Flags&ingest.RandomAccess != 0
	}
	return f.segment
}

func (f *tsFormat) endOfBlock() { f.flush() }

func (f *tsFormat) flush() {
	if f.buffer.Len() > 0 && f.stream != nil {
		c := chunk{data: bytes.Clone(f.buffer.Bytes()), start: f.start}
		if c.start {
			c.jump = f.jump()
		}
		f.count(c.data)
		f.push(f.stream, c)
	}
	f.buffer.Reset()
	f.start = false
}

func (f *tsFormat) close() { f.out.close() }

const packetSize = 188

// count remembers where the continuity counters stand.
func (f *tsFormat) count(packets []byte) {
	for p := range slices.Chunk(packets, packetSize) {
		f.counters[uint16(p[1]&0x1f)<<8|uint16(p[2])] = p[3] & 15
	}
}

// jump makes the packets that tell a receiver that it goes on in another place of the stream: for each PID one without payload
// that carries the discontinuity_indicator (ISO/IEC 13818-1, 2.4.3.5), so that neither counters nor clock are wrong.
func (f *tsFormat) jump() []byte {
	var out []byte
	for _, pid := range slices.Sorted(maps.Keys(f.counters)) {
		out = append(out, 0x47, byte(pid>>8), byte(pid), 0x20|f.counters[pid], packetSize-5, 0x80)
		out = append(out, bytes.Repeat([]byte{0xff}, packetSize-6)...)
	}
	return out
}
