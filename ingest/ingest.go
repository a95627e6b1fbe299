// Package ingest is the vocabulary between whoever brings media and whoever takes it: a Source delivers a Program and then
// its Samples to a Sink. Sources live in sub-packages, one each; the package itself does no I/O and imports none of ours.
//
// Samples are access units, containers are made at the edges. The bytes of a sample are in the form MPEG-TS carries them:
// Annex B for H.264 and H.265 (parameter sets in band, start codes as received), ADTS for AAC, the "Opus in MPEG-TS" control
// header for Opus, whole frames for MPEG audio and AC-3, whole sections for SCTE-35 and other private sections, the whole PES
// payload for everything else. Sources that receive another form (RTP, fMP4) convert; so what enters as TS leaves byte-identical.
package ingest

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// ClockRate is the number of ticks a second of all media times: PTS, DTS and durations (ISO/IEC 13818-1, 2.4.3.7).
const ClockRate = 90000

// Codec names the coding of a track.
type Codec string

// The codecs that are understood; every other elementary stream is Data and carried as it is.
const (
	Data       Codec = "data"
	H264       Codec = "h264"
	H265       Codec = "h265"
	MPEG2Video Codec = "mpeg2video"
	AV1        Codec = "av1"
	VP9        Codec = "vp9"
	AAC        Codec = "aac"      // ADTS framing
	AACLATM    Codec = "aac_latm" // LOAS/LATM framing
	Opus       Codec = "opus"
	MPEGAudio  Codec = "mp3" // MPEG-1/2 audio, layers I to III
	AC3        Codec = "ac3"
	EAC3       Codec = "eac3"
)

// IsVideo tells whether samples of c are pictures.
func (c Codec) IsVideo() bool {
	switch c {
	case H264, H265, MPEG2Video, AV1, VP9:
		return true
	}
	return false
}

// IsAudio tells whether samples of c are sound.
func (c Codec) IsAudio() bool {
	switch c {
	case AAC, AACLATM, Opus, MPEGAudio, AC3, EAC3:
		return true
	}
	return false
}

// Track describes one elementary stream of a program.
type Track struct {
	ID       uint8  // what Sample.Track refers to; unique within the program, below MaxTracks
	Codec    Codec  // Data if not understood
	Language string // ISO 639-2, lower case; empty if unknown

	// How MPEG-TS carries the track, so that a viewer's TS has the same services (ISO/IEC 13818-1, 2.4.4.9). Sources that are
	// not TS fill in what a multiplexer would choose.
	PID         uint16
	StreamType  uint8
	StreamID    uint8  // of the PES header; 0 for sections
	Sections    bool   // samples are sections, not PES payloads
	Descriptors []byte // of the PMT's ES loop, byte-exact

	// Config is what a decoder needs before the first sample: parameter sets in Annex B for H.264 and H.265, the
	// AudioSpecificConfig for AAC, the sequence header OBU for AV1. Nil until known.
	Config     []byte
	SampleRate int // audio, Hz; 0 until known
	Channels   int // audio; 0 until known
	Width      int // video, pixels; 0 until known
	Height     int // video, pixels; 0 until known
}

// MaxTracks bounds the tracks of one program.
const MaxTracks = 64

// Program is a table of tracks and what belongs to all of them. A Source sends it before the first sample and again, whole,
// whenever anything in it changes.
type Program struct {
	Number      uint16 // MPEG-TS program_number; 1 if the source is not TS
	PMTPID      uint16
	PCRPID      uint16
	Descriptors []byte // of the PMT's program loop, byte-exact
	Name        string // service name, if known
	Tracks      []Track
	// Events are what is on and what comes next, in order of start; empty if the source has no guide. They come and go without
	// any change to the tracks.
	Events []Event `json:",omitempty"`
}

// Event is a broadcast as a programme guide lists it.
type Event struct {
	Start    time.Time     // UTC
	Duration time.Duration // 0 if unknown
	Title    string
	Text     string // what it is about, perhaps of several lines; empty if unknown
	Language string // of title and text, ISO 639-2, lower case; empty if unknown
}

// Clone is a copy that shares nothing with p.
func (p *Program) Clone() *Program {
	c := *p
	c.Descriptors, c.Tracks, c.Events = bytes.Clone(p.Descriptors), slices.Clone(p.Tracks), slices.Clone(p.Events)
	for i := range c.Tracks {
		t := &c.Tracks[i]
		t.Descriptors, t.Config = bytes.Clone(t.Descriptors), bytes.Clone(t.Config)
	}
	return &c
}

// Lead is the track whose times are the program's: the first of pictures, else the first of sound, else the first. Nil if there is none.
func (p *Program) Lead() *Track {
	var lead *Track
	for i := range p.Tracks {
		t := &p.Tracks[i]
		if t.Codec.IsVideo() {
			return t
		}
		if lead == nil || t.Codec.IsAudio() && !lead.Codec.IsAudio() {
			lead = t
		}
	}
	return lead
}

// Flags of a Sample.
type Flags uint8

const (
	// RandomAccess: decoding can start here (IDR, recovery point, or any audio frame of a program without video).
	RandomAccess Flags = 1 << iota
	// Damaged: bytes of this sample were lost on the way in; it is kept for decoders that conceal.
	Damaged
	// Discontinuity: the times of this track do not continue those of the sample before.
	Discontinuity
	// Recovery: a random access point by recovery point SEI, not by IDR. Comes with RandomAccess.
	Recovery
)

// Sample is one access unit, section or data unit of a track.
type Sample struct {
	Track uint8
	Flags Flags
	PTS   int64 // 90 kHz, unwrapped; may be negative
	DTS   int64 // 90 kHz, unwrapped, <= PTS; equal to PTS where decoding order is presentation order
	// Wall is when the source believes the sample was captured; zero if it knows nothing better than its arrival, which
	// whoever takes the sample knows too (switcher).
	Wall time.Time
	// Data is valid during the call that delivers it; who keeps it copies it.
	Data []byte
}

// Sink takes what a Source delivers. A Source calls it from one goroutine at a time; a Sink never blocks for long, since
// behind a Source there is an encoder that does not wait.
type Sink interface {
	// SetProgram begins, or replaces, the table that following samples refer to. The Program and all it points to belong to
	// the Sink from then on.
	SetProgram(p *Program)
	// WriteSample delivers one sample, in decoding order within its track.
	WriteSample(s Sample)
}

// ClockSink is a Sink that wants to hear the encoder's clock itself, too, where a source has it apart from samples: the program
// clock references of MPEG-TS, which leave the encoder at the very time they tell.
type ClockSink interface {
	Sink
	// WriteClock says that the encoder's clock, 90 kHz and unwrapped like the samples' times, was at when it was sent.
	WriteClock(at int64)
}

// Source brings one program.
type Source interface {
	// Run delivers to sink until the input ends for good (nil), ctx ends (ctx's error) or nothing can be delivered any more (an
	// error in one clear sentence: what was wrong, where, what to do). Everything it started has ended when it returns.
	Run(ctx context.Context, sink Sink) error
}
