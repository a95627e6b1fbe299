package es

import "tailcast/ingest"

// How a TS multiplexer announces our codecs: stream types of ISO/IEC 13818-1, table 2-34, and the registered ones of those that
// came later; stream identifiers of table 2-22.
const (
	streamMPEG1Video = 0x01
	streamMPEG2Video = 0x02
	streamMPEG1Audio = 0x03
	streamMPEG2Audio = 0x04 // at the low sample rates
	streamPrivate    = 0x06
	streamADTS       = 0x0f
	streamH264       = 0x1b
	streamH265       = 0x24
	streamAC3        = 0x81 // ATSC A/53
	streamEAC3       = 0x87

	idPrivate = 0xbd // private_stream_1
	idAudio   = 0xc0
	idVideo   = 0xe0

	firstPID = 0x0100
	// PMTPID is above the PIDs of all tracks.
	PMTPID = 0x1000
)

// Registration is a registration_descriptor (ISO/IEC 13818-1, 2.6.8).
func Registration(name string) []byte { return append([]byte{0x05, byte(len(name))}, name...) }

// NewTrack is a track of a codec in the form that this package makes, before anything has been seen of it. Every codec that is not known is
// carried as private data.
func NewTrack(id uint8, codec ingest.Codec) ingest.Track {
	t := ingest.Track{ID: id, Codec: codec, PID: firstPID + uint16(id), StreamType: streamPrivate, StreamID: idPrivate}
	switch codec {
	case ingest.H264:
		t.StreamType, t.StreamID = streamH264, idVideo
	case ingest.H265:
		t.StreamType, t.StreamID, t.Descriptors = streamH265, idVideo, Registration("HEVC")
	case ingest.MPEG2Video:
		t.StreamType, t.StreamID = streamMPEG2Video, idVideo
	case ingest.AAC:
		t.StreamType, t.StreamID = streamADTS, idAudio
	case ingest.MPEGAudio:
		t.StreamType, t.StreamID = streamMPEG1Audio, idAudio
	case ingest.AC3:
		t.StreamType, t.Descriptors = streamAC3, Registration("AC-3")
	case ingest.EAC3:
		t.StreamType, t.Descriptors = streamEAC3, Registration("EAC3")
	case ingest.AV1:
		t.Descriptors = Registration("AV01")
	case ingest.VP9:
		t.Descriptors = Registration("VP09")
	}
	return t
}

// NewProgram is the table of tracks of an encoder that does not speak MPEG-TS: it numbers the stream identifiers and says that the
// first video carries the clock.
func NewProgram(title string, tracks []ingest.Track) *ingest.Program {
	p := &ingest.Program{Number: 1, PMTPID: PMTPID, PCRPID: firstPID, Name: title, Tracks: tracks}
	var videos, audios uint8
	clocked := false
	for i := range tracks {
		t := &tracks[i]
		switch t.StreamID {
		case idVideo:
			t.StreamID, videos = idVideo+videos&0x0f, videos+1
		case idAudio:
			t.StreamID, audios = idAudio+audios&0x1f, audios+1
		}
		if t.Codec.IsVideo() && !clocked {
			p.PCRPID, clocked = t.PID, true
		}
	}
	return p
}
