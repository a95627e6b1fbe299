package whip

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"tailcast/ingest/rtp"
)

// offer is what an encoder wants to send, of which we have chosen.
type offer struct {
	sdp   string // without what we have no use for
	media []media
}

// media is one section of an offer.
type media struct {
	kind   webrtc.RTPCodecType
	codec  webrtc.RTPCodecParameters
	resend *webrtc.RTPCodecParameters // retransmissions of codec (RFC 4588); nil if not offered
	stream rtp.Stream
}

// readOffer parses an offer and chooses a codec for each media.
func readOffer(body []byte) (o *offer, err error) {
	defer func() {
		if reason := recover(); reason != nil { // of the parser
			o, err = nil, refuse(http.StatusBadRequest, "the offer made the parser panic: %v", reason)
		}
	}()
	var d sdp.SessionDescription
	if err := d.Unmarshal(body); err != nil {
		return nil, refuse(http.StatusBadRequest, "the offer is not SDP: %w", err)
	}
	if len(d.MediaDescriptions) == 0 {
		return nil, refuse(http.StatusUnprocessableEntity, "the offer has no media")
	}
	codecs := d.GetCodecMap()
	o = &offer{}
	for i, m := range d.MediaDescriptions {
		if err := o.add(i, m, codecs); err != nil {
			return nil, refusal{http.StatusUnprocessableEntity, err}
		}
		m.Attributes = slices.DeleteFunc(m.Attributes, unwanted)
	}
	d.Attributes = slices.DeleteFunc(d.Attributes, unwanted)
	text, err := d.Marshal()
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the offer is not SDP: %w", err)
	}
	o.sdp = string(text)
	return o, nil
}

// unwanted tells of attributes that we have no use for: an ICE lite agent does not look for its peer.
func unwanted(a sdp.Attribute) bool {
	return a.Key == sdp.AttrKeyCandidate || a.Key == sdp.AttrKeyEndOfCandidates
}

// add looks at a media section.
func (o *offer) add(i int, m *sdp.MediaDescription, codecs map[uint8]sdp.Codec) error {
	kind := webrtc.NewRTPCodecType(m.MediaName.Media)
	_, receives := m.Attribute(sdp.AttrKeyRecvOnly)
	_, idle := m.Attribute(sdp.AttrKeyInactive)
	_, layers := m.Attribute("simulcast")
	switch {
	case kind == 0:
		return fmt.Errorf("media %d is %q: only audio and video are taken, so make no data channel", i, m.MediaName.Media)
	case slices.ContainsFunc(o.media, func(was media) bool { return was.kind == kind }):
		return fmt.Errorf("the offer has more than one %s: send one", kind)
	case receives || idle:
		return fmt.Errorf("the %s of the offer is not for sending", kind)
	case layers:
		return fmt.Errorf("the %s of the offer has several layers: switch simulcast off", kind)
	}
	chosen, err := choose(kind, i, m.MediaName.Formats, codecs)
	if err != nil {
		return err
	}
	o.media = append(o.media, *chosen)
	return nil
}

// choose takes H.264 if it is offered, else the first that is carried: the offer's order is its sender's preference.
func choose(kind webrtc.RTPCodecType, i int, payloads []string, codecs map[uint8]sdp.Codec) (*media, error) {
	var first *media
	var refused []string
	for _, text := range payloads {
		n, err := strconv.ParseUint(text, 10, 7)
		c, known := codecs[uint8(n)]
		if err != nil || !known {
			continue
		}
		f := formatOf(kind, c)
		if f == nil {
			refused = append(refused, c.Name)
			continue
		}
		h264, ok := f.(*format.H264)
		if first == nil || ok && h264.PacketizationMode == 1 {
			first = &media{kind: kind, codec: parameters(kind, c), stream: rtp.Stream{Media: i, Format: f, Clock: int(c.ClockRate)}}
			first.resend = resent(kind, c.PayloadType, codecs)
		}
		if ok && h264.PacketizationMode == 1 {
			break
		}
	}
	if first == nil {
		return nil, fmt.Errorf("nothing of the %s that is offered is carried (%s): send %s", kind, someOf(refused), carried[kind])
	}
	return first, nil
}

// carried is what a sentence asks for.
var carried = map[webrtc.RTPCodecType]string{
	webrtc.RTPCodecTypeVideo: "H.264, H.265, VP9 or AV1", webrtc.RTPCodecTypeAudio: "Opus",
}

func someOf(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 8 {
		names = append(names[:8], "...")
	}
	return strings.Join(names, ", ")
}

// formatOf is the RTP format of a codec, nil if it is none of ours. gortsplib reads it from a description, in which it does not expect
// the low payload types that browsers use.
func formatOf(kind webrtc.RTPCodecType, c sdp.Codec) format.Format {
	rtpmap := "96 " + c.Name + "/" + strconv.FormatUint(uint64(c.ClockRate), 10)
	if c.EncodingParameters != "" {
		rtpmap += "/" + c.EncodingParameters
	}
	f, err := format.Unmarshal(&sdp.MediaDescription{
		MediaName:  sdp.MediaName{Media: kind.String(), Formats: []string{"96"}},
		Attributes: []sdp.Attribute{{Key: "rtpmap", Value: rtpmap}, {Key: "fmtp", Value: "96 " + c.Fmtp}},
	}, "96")
	if err != nil {
		return nil
	}
	video := kind == webrtc.RTPCodecTypeVideo
	switch f := f.(type) {
	case *format.H264:
		if video && f.PacketizationMode < 2 {
			return f
		}
	case *format.H265, *format.VP9, *format.AV1:
		if video {
			return f
		}
	case *format.Opus:
		if !video && strings.EqualFold(c.Name, "opus") {
			return f
		}
	}
	return nil
}

// feedback is what we tell senders while they send: what is missing, that a keyframe is needed, and how the network does.
var feedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "transport-cc"}}

// parameters is a codec as pion wants it. Parameter sets, which the offer may carry, are not ours to answer with.
func parameters(kind webrtc.RTPCodecType, c sdp.Codec) webrtc.RTPCodecParameters {
	var fmtp []string
	for _, p := range strings.Split(c.Fmtp, ";") {
		if p = strings.TrimSpace(p); p != "" && !strings.HasPrefix(p, "sprop-") {
			fmtp = append(fmtp, p)
		}
	}
	channels, _ := strconv.ParseUint(c.EncodingParameters, 10, 16)
	out := webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(c.PayloadType), RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: kind.String() + "/" + c.Name, ClockRate: c.ClockRate, Channels: uint16(channels), SDPFmtpLine: strings.Join(fmtp, ";"),
	}}
	for _, f := range feedback {
		if slices.Contains(c.RTCPFeedback, strings.TrimSpace(f.Type+" "+f.Parameter)) {
			out.RTCPFeedback = append(out.RTCPFeedback, f)
		}
	}
	return out
}

// resent finds the retransmission format of a payload type.
func resent(kind webrtc.RTPCodecType, of uint8, codecs map[uint8]sdp.Codec) *webrtc.RTPCodecParameters {
	for _, c := range codecs {
		if strings.EqualFold(c.Name, "rtx") && slices.Contains(strings.Split(c.Fmtp, ";"), fmt.Sprintf("apt=%d", of)) {
			p := parameters(kind, c)
			return &p
		}
	}
	return nil
}
