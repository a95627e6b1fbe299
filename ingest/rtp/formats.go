package rtp

import (
	"fmt"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// depacketizerOf finds who understands f and which codec comes out. clock is the RTP clock that the SDP says.
func depacketizerOf(f format.Format, clock int) (d depacketizer, codec ingest.Codec, err error) {
	switch f := f.(type) {
	case *format.H264:
		codec = ingest.H264
		d, err = newH264(f)
	case *format.H265:
		codec = ingest.H265
		d, err = newH265(f)
	case *format.AV1:
		codec = ingest.AV1
		d, err = newAV1(f)
	case *format.VP9:
		codec = ingest.VP9
		d, err = newVP9(f)
	case *format.MPEG1Video:
		codec = ingest.MPEG2Video
		d, err = newMPEGVideo(f)
	case *format.MPEG4Audio:
		codec = ingest.AAC
		d, err = newAAC(f, clock)
	case *format.MPEG4AudioLATM:
		codec = ingest.AAC
		d, err = newLATM(f, clock)
	case *format.MPEG1Audio:
		codec = ingest.MPEGAudio
		d, err = newMPEGAudio(f)
	case *format.AC3:
		codec = ingest.AC3
		d, err = newAC3(f)
	case *format.Opus:
		codec = ingest.Opus
		d, err = newOpus(f)
	case *format.KLV:
		codec = ingest.Data
		d, err = newKLV(f)
	default:
		err = fmt.Errorf("%s is not carried", name(f))
	}
	return d, codec, err
}

// name is how people call a format.
func name(f format.Format) string {
	if m := f.RTPMap(); m != "" && f.Codec() == "Generic" {
		return m
	}
	return f.Codec()
}

// program is the table of the tracks as they are known now.
func program(title string, tracks []*Track) *ingest.Program {
	list := make([]ingest.Track, len(tracks))
	for i, t := range tracks {
		list[i] = es.NewTrack(t.id, t.codec)
		t.decoder.describe(&list[i])
	}
	return es.NewProgram(title, list)
}
