package rtsp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"

	"tailcast/ingest"
)

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

	idPrivate = 0xbd // private_stream_1
	idAudio   = 0xc0
	idVideo   = 0xe0

	firstPID = 0x0100
	pmtPID   = 0x1000
)

// registration is a registration_descriptor (ISO/IEC 13818-1, 2.6.8).
func registration(name string) []byte { return append([]byte{0x05, byte(len(name))}, name...) }

// opusDescriptors are the registration and the extension descriptor of "Opus in MPEG-TS"; up to eight channels the configuration
// code is their number.
func opusDescriptors(channels int) []byte {
	return append(registration("Opus"), 0x7f, 0x02, 0x80, byte(channels))
}

// carriage is how a codec goes into MPEG-TS.
type carriage struct {
	codec       ingest.Codec
	streamType  uint8
	streamID    uint8
	descriptors []byte
}

// depacketizerOf finds who understands f and how MPEG-TS carries what comes out. clock is the RTP clock that the SDP says.
func depacketizerOf(f format.Format, clock int) (d depacketizer, c carriage, err error) {
	switch f := f.(type) {
	case *format.H264:
		c = carriage{ingest.H264, streamH264, idVideo, nil}
		d, err = newH264(f)
	case *format.H265:
		c = carriage{ingest.H265, streamH265, idVideo, registration("HEVC")}
		d, err = newH265(f)
	case *format.AV1:
		c = carriage{ingest.AV1, streamPrivate, idPrivate, registration("AV01")}
		d, err = newAV1(f)
	case *format.VP9:
		c = carriage{ingest.VP9, streamPrivate, idPrivate, registration("VP09")}
		d, err = newVP9(f)
	case *format.MPEG1Video:
		c = carriage{ingest.MPEG2Video, streamMPEG2Video, idVideo, nil}
		d, err = newMPEGVideo(f)
	case *format.MPEG4Audio:
		c = carriage{ingest.AAC, streamADTS, idAudio, nil}
		d, err = newAAC(f, clock)
	case *format.MPEG4AudioLATM:
		c = carriage{ingest.AAC, streamADTS, idAudio, nil}
		d, err = newLATM(f, clock)
	case *format.MPEG1Audio:
		c = carriage{ingest.MPEGAudio, streamMPEG1Audio, idAudio, nil}
		d, err = newMPEGAudio(f)
	case *format.AC3:
		c = carriage{ingest.AC3, streamAC3, idPrivate, registration("AC-3")}
		d, err = newAC3(f)
	case *format.Opus:
		c = carriage{ingest.Opus, streamPrivate, idPrivate, nil}
		d, err = newOpus(f)
	case *format.KLV:
		c = carriage{ingest.Data, streamPrivate, idPrivate, registration("KLVA")}
		d, err = newKLV(f)
	default:
		err = fmt.Errorf("%s is not carried", name(f))
	}
	return d, c, err
}

// name is how people call a format.
func name(f format.Format) string {
	if m := f.RTPMap(); m != "" && f.Codec() == "Generic" {
		return m
	}
	return f.Codec()
}

// clocks reads the RTP clock of each media and payload type from an SDP: gortsplib keeps that of some formats to itself. What cannot
// be read is left out.
func clocks(body []byte) []map[uint8]int {
	var s sdp.SessionDescription
	if s.Unmarshal(body) != nil {
		return nil
	}
	var out []map[uint8]int
	for _, m := range s.MediaDescriptions {
		rates := map[uint8]int{}
		for _, a := range m.Attributes {
			payload, rest, _ := strings.Cut(strings.TrimSpace(a.Value), " ") // rtpmap:97 mpeg4-generic/48000/2 (RFC 8866, 6.6)
			parts := strings.Split(rest, "/")
			if a.Key != "rtpmap" || len(parts) < 2 {
				continue
			}
			pt, err1 := strconv.ParseUint(payload, 10, 7)
			rate, err2 := strconv.ParseUint(parts[1], 10, 31)
			if err1 == nil && err2 == nil {
				rates[uint8(pt)] = int(rate)
			}
		}
		out = append(out, rates)
	}
	return out
}

// clockOf is the RTP clock of a format: the SDP's where we found it, else gortsplib's.
func clockOf(rates []map[uint8]int, media int, f format.Format) int {
	if media < len(rates) && rates[media][f.PayloadType()] > 0 {
		return rates[media][f.PayloadType()]
	}
	return f.ClockRate()
}

// newProgram is the table of tracks of an encoder that does not speak MPEG-TS.
func newProgram(title string, tracks []*track) *ingest.Program {
	p := &ingest.Program{Number: 1, PMTPID: pmtPID, PCRPID: firstPID, Name: title}
	var videos, audios uint8
	seen := false // a video that carries the clock
	for _, t := range tracks {
		info := ingest.Track{
			ID: t.id, Codec: t.carriage.codec, PID: firstPID + uint16(t.id), StreamType: t.carriage.streamType,
			StreamID: t.carriage.streamID, Descriptors: append([]byte(nil), t.carriage.descriptors...),
		}
		switch info.StreamID {
		case idVideo:
			info.StreamID, videos = idVideo+videos&0x0f, videos+1
		case idAudio:
			info.StreamID, audios = idAudio+audios&0x1f, audios+1
		}
		if info.Codec.IsVideo() && !seen {
			p.PCRPID, seen = info.PID, true
		}
		t.decoder.describe(&info)
		p.Tracks = append(p.Tracks, info)
	}
	return p
}

// titleOf is the name of a service by its SDP, without the words that encoders write for want of one.
func titleOf(d *description.Session) string {
	switch d.Title {
	case "No Name", "Unnamed", "Stream", "Session streamed with GStreamer", "-":
		return ""
	}
	return d.Title
}
