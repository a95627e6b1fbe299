package rtsp

import (
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"
	pionrtp "github.com/pion/rtp"

	"tailcast/ingest/rtp"
)

// intake is a session's intake with the taps through which its packets come.
type intake struct {
	*rtp.Intake
	taps []*tap // of each track
}

// newIntake understands a description, whose SDP is body and whose sender calls itself agent. The formats of d that are carried are
// replaced by taps.
func newIntake(out *rtp.Output, d *description.Session, body []byte, agent base.HeaderValue) (*intake, error) {
	c := rtp.Config{Title: titleOf(d), Agent: strings.Join(agent, " ")}
	rates := clocks(body)
	for i, m := range d.Medias {
		for _, f := range m.Formats {
			if !m.IsBackChannel {
				c.Streams = append(c.Streams, rtp.Stream{Media: i, Format: f, Clock: clockOf(rates, i, f)})
			}
		}
	}
	in, err := rtp.NewIntake(out, c)
	if err != nil {
		return nil, err
	}
	taps := make([]*tap, len(in.Tracks()))
	for i, t := range in.Tracks() {
		taps[i] = &tap{Format: t.Format}
		replace(d.Medias[t.Media].Formats, t.Format, taps[i])
	}
	return &intake{in, taps}, nil
}

func replace(formats []format.Format, was format.Format, by *tap) {
	for i, f := range formats {
		if f == was {
			formats[i] = by
		}
	}
}

// tap is a format that passes packets on as they arrive: gortsplib asks a format about every packet before it puts them in order,
// and calls nobody else. Its own way of putting them in order waits, where one is lost, until 64 later ones have come: two hundred
// milliseconds of video, and ten seconds of sound from ffmpeg, which sends seven packets a second.
type tap struct {
	format.Format
	on func(*pionrtp.Packet) // nil: nobody listens. Set before the session's first packet
}

// PTSEqualsDTS implements format.Format.
func (t *tap) PTSEqualsDTS(p *pionrtp.Packet) bool {
	if t.on != nil {
		t.on(p)
	}
	return t.Format.PTSEqualsDTS(p)
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

// titleOf is the name of a service by its SDP, without the words that encoders write for want of one.
func titleOf(d *description.Session) string {
	switch d.Title {
	case "No Name", "Unnamed", "Stream", "Session streamed with GStreamer", "-":
		return ""
	}
	return d.Title
}
