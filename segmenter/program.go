package segmenter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"tailcast/ingest"
)

// initVersion is the first byte of an init. Another means that the rest of the segment may not be what we think.
const initVersion = 1

// maxField bounds texts and byte strings of an init, so that 64 tracks of them fit in a unit.
const maxField = 65535

// maxInt bounds the numbers of an init.
const maxInt = math.MaxInt32

// appendProgram adds the init of p to dst. Tracks that no sample can refer to (an ID of MaxTracks or more, or one seen
// before) are left out, and so are texts and byte strings over maxField.
func appendProgram(dst []byte, p *ingest.Program) []byte {
	tracks := usable(p.Tracks)
	dst = append(dst, initVersion)
	for _, v := range []uint16{p.Number, p.PMTPID, p.PCRPID} {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	dst = appendField(dst, p.Descriptors)
	dst = appendField(dst, p.Name)
	dst = binary.AppendUvarint(dst, uint64(len(tracks)))
	var body []byte
	for _, t := range tracks {
		body = appendTrack(body[:0], t)
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	return dst
}

func usable(tracks []ingest.Track) (kept []*ingest.Track) {
	var seen uint64
	for i := range tracks {
		t := &tracks[i]
		if t.ID < ingest.MaxTracks && seen>>t.ID&1 == 0 {
			kept = append(kept, t)
			seen |= 1 << t.ID
		}
	}
	return kept
}

func appendTrack(dst []byte, t *ingest.Track) []byte {
	dst = append(dst, t.ID, boolean(t.Sections), t.StreamType, t.StreamID)
	dst = binary.AppendUvarint(dst, uint64(t.PID))
	dst = appendField(dst, t.Codec)
	dst = appendField(dst, t.Language)
	dst = appendField(dst, t.Descriptors)
	dst = appendField(dst, t.Config)
	for _, v := range []int{t.SampleRate, t.Channels, t.Width, t.Height} {
		dst = binary.AppendUvarint(dst, uint64(min(max(v, 0), maxInt)))
	}
	return dst
}

func appendField[T ~string | ~[]byte](dst []byte, field T) []byte {
	if len(field) > maxField {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(field)))
	return append(dst, field...)
}

func boolean(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// parseProgram reads an init. Nothing of the result shares memory with data; bytes after the known fields are passed over.
func parseProgram(data []byte) (*ingest.Program, error) {
	r := &reader{p: data}
	if v := r.u8("version"); r.err == nil && v != initVersion {
		return nil, fmt.Errorf("init is of version %d, this program knows %d: a newer one is needed", v, initVersion)
	}
	p := &ingest.Program{
		Number:      r.u16("program number"),
		PMTPID:      r.u16("pmt pid"),
		PCRPID:      r.u16("pcr pid"),
		Descriptors: bytes.Clone(r.field("descriptors")),
		Name:        string(r.field("name")),
	}
	n := r.number("number of tracks", ingest.MaxTracks)
	var seen uint64
	for range n {
		t := r.track()
		if r.err == nil && seen>>t.ID&1 != 0 {
			r.fail(fmt.Sprintf("track %d is there twice", t.ID))
		}
		if r.err != nil {
			break
		}
		seen |= 1 << t.ID
		p.Tracks = append(p.Tracks, t)
	}
	if r.err != nil {
		return nil, fmt.Errorf("init, %w", r.err)
	}
	return p, nil
}

// track reads one entry of the table. Entries say their length, so that later versions may add fields.
func (r *reader) track() ingest.Track {
	body := reader{p: r.counted("track entry", MaxUnit)}
	if r.err != nil {
		return ingest.Track{}
	}
	t := body.trackFields()
	if body.err == nil && t.ID >= ingest.MaxTracks {
		body.fail(fmt.Sprintf("track id %d is over %d", t.ID, ingest.MaxTracks-1))
	}
	if body.err != nil {
		r.err = fmt.Errorf("track entry ending at byte %d: %w", r.off, body.err)
	}
	return t
}

func (r *reader) trackFields() ingest.Track {
	return ingest.Track{
		ID:          r.u8("id"),
		Sections:    r.u8("sections")&1 != 0,
		StreamType:  r.u8("stream type"),
		StreamID:    r.u8("stream id"),
		PID:         r.u16("pid"),
		Codec:       ingest.Codec(r.field("codec")),
		Language:    string(r.field("language")),
		Descriptors: bytes.Clone(r.field("descriptors")),
		Config:      bytes.Clone(r.field("config")),
		SampleRate:  r.number("sample rate", maxInt),
		Channels:    r.number("channels", maxInt),
		Width:       r.number("width", maxInt),
		Height:      r.number("height", maxInt),
	}
}

func (r *reader) u16(what string) uint16 { return uint16(r.number(what, 1<<16-1)) }

// field is a counted byte string; nil if empty. It is not copied.
func (r *reader) field(what string) []byte {
	return r.counted(what, maxField)
}

func (r *reader) counted(what string, limit int) []byte {
	n := r.number("length of "+what, limit)
	if r.err == nil && n > len(r.p)-r.off {
		r.fail(fmt.Sprintf("%s of %d bytes ends early", what, n))
	}
	if r.err != nil || n == 0 {
		return nil
	}
	return r.upTo(n)
}
