package player

import (
	"bytes"
	"encoding/binary"
)

// stamps are the places in a run of fMP4 parts where numbers stand that count from a client's own beginning. The parts are
// shared, and some players take the first time they see for how long they have played, or miss the parts before the first.
//
//	moof
//	    mfhd  ... sequence number u32
//	    traf  one for each track
//	        tfhd  ... track ID u32
//	        tfdt  ... time u64, in ticks of the track's clock
type stamps struct {
	sequences []int // offsets of sequence numbers
	times     []stamp
}

type stamp struct {
	at    int   // offset of the time
	clock int64 // its ticks a second
}

// Sizes of boxes as the marshaller writes them (ISO/IEC 14496-12, 8.8.4 to 8.8.12).
const (
	boxHeader     = 8
	fullBoxHeader = 12
	mfhdSize      = fullBoxHeader + 4
	tfhdSize      = fullBoxHeader + 4
	tfdtSize      = fullBoxHeader + 8
)

// append adds those of part, which will stand at offset. A part of another shape than we write adds nothing.
func (s stamps) append(offset int, part []byte, clock func(id int) int64) stamps {
	if len(part) < boxHeader+mfhdSize || !isBox(part, "moof") {
		return s
	}
	end := int(binary.BigEndian.Uint32(part))
	s.sequences = append(s.sequences, offset+boxHeader+fullBoxHeader)
	for at := boxHeader + mfhdSize; at+boxHeader+tfhdSize+tfdtSize <= min(end, len(part)) && isBox(part[at:], "traf"); {
		tfhd, tfdt := at+boxHeader, at+boxHeader+tfhdSize
		id := int(binary.BigEndian.Uint32(part[tfhd+fullBoxHeader:]))
		s.times = append(s.times, stamp{offset + tfdt + fullBoxHeader, clock(id)})
		at += int(binary.BigEndian.Uint32(part[at:]))
	}
	return s
}

func isBox(b []byte, name string) bool { return string(b[4:8]) == name }

// A restamper makes a client's times begin soon after 0 and its sequence numbers at 0. Times move by whole seconds, so that they stay
// exact in every clock.
type restamper struct {
	begun    bool
	seconds  int64 // taken off each time
	sequence uint32
}

// restamp returns the chunk's bytes as the client gets them.
func (r *restamper) restamp(c chunk) []byte {
	if len(c.stamps.sequences)+len(c.stamps.times) == 0 {
		return c.data
	}
	out := bytes.Clone(c.data)
	if !r.begun {
		r.begin(c)
	}
	for _, at := range c.stamps.sequences {
		binary.BigEndian.PutUint32(out[at:], r.sequence)
		r.sequence++
	}
	for _, s := range c.stamps.times {
		t := int64(binary.BigEndian.Uint64(out[s.at:])) - r.seconds*s.clock
		binary.BigEndian.PutUint64(out[s.at:], uint64(max(0, t)))
	}
	return out
}

// begin leaves a second of room: sound may come later in the stream, and be of an earlier time.
func (r *restamper) begin(c chunk) {
	r.begun = true
	for i, s := range c.stamps.times {
		t := int64(binary.BigEndian.Uint64(c.data[s.at:]))/s.clock - 1
		if i == 0 || t < r.seconds {
			r.seconds = t
		}
	}
	r.seconds = max(0, r.seconds)
}
