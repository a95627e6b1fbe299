package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"tailcast/ingest/rtp/rtptest"
	"tailcast/internal/command"
)

// ffmpeg 5.1 speaks no WHIP. What it encodes goes through pion's WebRTC instead: ffmpeg sends each track of the file as RTP to a socket of
// this machine, and a client of WHIP passes the packets on, one by one, as they are.
//
//	file ─▶ ffmpeg -re ─▶ RTP, a socket a track ─▶ whipClient: ICE, DTLS, SRTP ─▶ streamer
//
// It has no RTP packets for AV1, which package whip tests with those of another.

// whipRoute: the client's sender reports are exact, so sound stays where it is to a tick, which rounding may take. DELETE delivers all that is held: of
// what is recorded as TS nothing is missing at the end, and what tail allows is what a recording as MP4 leaves out of the sound.
func whipRoute() route {
	return route{name: "whip", apart: 1, mute: true, carries: only("h264 opus", "h264 with b-frames, opus", "h265 opus", "vp9 opus"), open: byWHIP}
}

// byWHIP opens a streamer that a file is published to, once it is sent.
func byWHIP(t *testing.T, file string) (*command.Process, func()) {
	p := streamer(t, "--rtsp", "", "--rtmp", "", "--srt", "", "--whip", "127.0.0.1:0")
	return p, func() {
		c := newWHIPClient(t, (&route{mute: true}).described(t, file)[:2])
		c.publish(p.HTTP + "/whip")
		c.forward(file)
		c.leave()
	}
}

// whipClient publishes pictures and sound.
type whipClient struct {
	t       *testing.T
	pc      *webrtc.PeerConnection
	session string // its address
	tracks  []*whipTrack
}

// whipTrack is a track, and where ffmpeg sends its packets.
type whipTrack struct {
	local *webrtc.TrackLocalStaticRTP
	ssrc  webrtc.SSRC
	from  *net.UDPConn
}

// rtpCodecs are, by ffprobe's names, what a client offers, with payload types as browsers choose them.
var rtpCodecs = map[string]webrtc.RTPCodecParameters{
	"h264": {PayloadType: 102, RTPCodecCapability: picturesOf(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")},
	"hevc": {PayloadType: 49, RTPCodecCapability: picturesOf(webrtc.MimeTypeH265, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST")},
	"vp9":  {PayloadType: 98, RTPCodecCapability: picturesOf(webrtc.MimeTypeVP9, "profile-id=0")},
	"opus": {PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}},
}

func picturesOf(mime, fmtp string) webrtc.RTPCodecCapability {
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	return webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp, RTCPFeedback: feedback}
}

// newWHIPClient has a track for each codec.
func newWHIPClient(t *testing.T, codecs []string) *whipClient {
	t.Helper()
	pc, err := whipAPI(t, codecs).NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	t.Cleanup(func() { _ = pc.GracefulClose() })
	c := &whipClient{t: t, pc: pc}
	for _, name := range codecs {
		c.add(rtpCodecs[name].RTPCodecCapability)
	}
	return c
}

// whipAPI is WebRTC on this machine alone. It sends again what is missed, and makes no reports by itself.
func whipAPI(t *testing.T, codecs []string) *webrtc.API {
	t.Helper()
	engine, around, settings := &webrtc.MediaEngine{}, &interceptor.Registry{}, webrtc.SettingEngine{}
	for _, name := range codecs {
		c := rtpCodecs[name]
		must(t, engine.RegisterCodec(c, kindOf(c.MimeType)))
	}
	must(t, webrtc.ConfigureNack(engine, around))
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(net.IP.IsLoopback)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(around))
}

func kindOf(mime string) webrtc.RTPCodecType {
	kind, _, _ := strings.Cut(mime, "/")
	return webrtc.NewRTPCodecType(kind)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *whipClient) add(codec webrtc.RTPCodecCapability) {
	c.t.Helper()
	local, err := webrtc.NewTrackLocalStaticRTP(codec, kindOf(codec.MimeType).String(), "stream")
	must(c.t, err)
	to, err := c.pc.AddTransceiverFromTrack(local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	must(c.t, err)
	from, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(c.t, err)
	c.t.Cleanup(func() { _ = from.Close() })
	must(c.t, from.SetReadBuffer(4<<20))
	c.tracks = append(c.tracks, &whipTrack{local, to.Sender().GetParameters().Encodings[0].SSRC, from})
	go func() { // what is missed is seen by who reads
		for {
			if _, _, err := to.Sender().ReadRTCP(); err != nil {
				return
			}
		}
	}()
}

// publish offers, and returns when media can be sent.
func (c *whipClient) publish(url string) {
	c.t.Helper()
	connected := make(chan struct{})
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	offer, err := c.pc.CreateOffer(nil)
	must(c.t, err)
	gathered := webrtc.GatheringCompletePromise(c.pc)
	must(c.t, c.pc.SetLocalDescription(offer))
	<-gathered
	answer := c.ask(http.MethodPost, url, c.pc.LocalDescription().SDP, http.StatusCreated)
	must(c.t, c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	select {
	case <-connected:
	case <-time.After(patience):
		c.t.Fatalf("no connection by the answer %s", answer)
	}
}

// leave says goodbye: the streamer delivers what it holds, and answers then.
func (c *whipClient) leave() { c.ask(http.MethodDelete, c.session, "", http.StatusOK) }

// ask returns what a request is answered with, and remembers the address that the answer names.
func (c *whipClient) ask(method, url, body string, want int) string {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	must(c.t, err)
	r.Header.Set("Content-Type", "application/sdp")
	res, err := http.DefaultClient.Do(r)
	must(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(c.t, err)
	if res.StatusCode != want {
		c.t.Fatalf("%s of %s is answered with %s: %s", method, url, res.Status, text)
	}
	if at, err := res.Location(); err == nil {
		c.session = at.String()
	}
	return string(text)
}

// forward has ffmpeg send a file, and passes its packets on until the last.
func (c *whipClient) forward(file string) {
	c.t.Helper()
	args, begin, passing := []string{"-re", "-i", file}, time.Now(), errgroup.Group{}
	zero := frames(c.t, file, "0:0", asItIs)[0].pts
	for i, track := range c.tracks {
		stream := fmt.Sprintf("0:%d", i)
		after := frames(c.t, file, stream, asItIs)[0].pts - zero
		to := "rtp://" + track.from.LocalAddr().String() + "?pkt_size=1200"
		args = append(args, "-map", stream, "-c", "copy", "-strict", "experimental", "-f", "rtp", "-rtpflags", "skip_rtcp", to)
		passing.Go(func() error { return track.forward(c.pc, begin.Add(time.Duration(after)*time.Second/90000)) })
	}
	ffmpeg(c.t, args...)
	for _, track := range c.tracks {
		track.end(c.t)
	}
	must(c.t, passing.Wait())
}

// forward passes packets on, and reports that the first is of a time. ffmpeg's own reports are off by milliseconds: each of its outputs starts a clock.
func (w *whipTrack) forward(pc *webrtc.PeerConnection, at time.Time) error {
	buf, reported := make([]byte, 2048), false
	for {
		n, err := w.from.Read(buf)
		if err != nil || n == 0 {
			return err
		}
		var p pionrtp.Packet
		if err := errors.Join(p.Unmarshal(buf[:n]), w.local.WriteRTP(&p)); err != nil {
			return err
		}
		if !reported {
			err = pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: uint32(w.ssrc), NTPTime: rtptest.NTP(at), RTPTime: p.Timestamp}})
		}
		if reported = true; err != nil {
			return err
		}
	}
}

// end sends what is no packet after the last that ffmpeg has sent: on this machine nothing overtakes.
func (w *whipTrack) end(t *testing.T) {
	t.Helper()
	to, err := net.Dial("udp", w.from.LocalAddr().String())
	must(t, err)
	defer to.Close()
	_, err = to.Write(nil)
	must(t, err)
}
