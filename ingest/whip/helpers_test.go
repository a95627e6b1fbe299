package whip

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp/rtptest"
)

// place is a running Server behind HTTP.
type place struct {
	*Server
	rec  *ingesttest.Record
	url  string
	stop func()
}

func newPlace(t *testing.T, sink ingest.Sink) *place {
	t.Helper()
	s, err := Listen(Config{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, s, sink)
}

// serve runs s. If sink is nil, what comes is kept.
func serve(t *testing.T, s *Server, sink ingest.Sink) *place {
	t.Helper()
	rec := ingesttest.NewRecord()
	if sink == nil {
		sink = rec
	}
	stop := ingesttest.Start(t, s, sink)
	p := open(t, s)
	p.rec, p.stop = rec, stop
	return p
}

// open puts s, which runs, behind HTTP.
func open(t *testing.T, s *Server) *place {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	p := &place{Server: s, url: web.URL + "/whip"}
	p.running()
	return p
}

// only is the room of a place with one.
func (p *place) only() *room { return p.run.rooms[""] }

// running returns when publishers are let in.
func (p *place) running() {
	for {
		p.mu.Lock()
		on := p.run != nil
		p.mu.Unlock()
		if on {
			return
		}
		<-time.After(time.Millisecond)
	}
}

// ask sends a request and returns its answer.
func ask(t *testing.T, method, url, kind, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// client is a publisher that knows what it sends: each packet with its number and time.
type client struct {
	t        *testing.T
	pc       *webrtc.PeerConnection
	location string
	answer   string
	tracks   map[string]*sender // by kind
	mu       sync.Mutex
	feedback []rtcp.Packet
	changed  chan struct{} // closed and replaced with each feedback
}

// sender is one track of a client.
type sender struct {
	local *webrtc.TrackLocalStaticRTP
	sends *webrtc.RTPSender
	rate  int64
	seq   uint16
	base  uint32 // RTP time of media time 0
}

var (
	h264Codec = webrtc.RTPCodecParameters{PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: feedback,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}}
	opusCodec = webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}}
	vp8Codec = webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback,
	}}
)

func kindOf(c webrtc.RTPCodecParameters) webrtc.RTPCodecType {
	kind, _, _ := strings.Cut(c.MimeType, "/")
	return webrtc.NewRTPCodecType(kind)
}

// newClient has one track for each codec. Nothing comes between it and its packets: no reports or retransmissions by themselves.
func newClient(t *testing.T, codecs ...webrtc.RTPCodecParameters) *client {
	t.Helper()
	engine := &webrtc.MediaEngine{}
	for _, c := range codecs {
		if err := engine.RegisterCodec(c, kindOf(c)); err != nil {
			t.Fatal(err)
		}
	}
	settings := webrtc.SettingEngine{LoggerFactory: quiet{ingesttest.Quiet()}}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(net.IP.IsLoopback)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, pc: pc, tracks: map[string]*sender{}, changed: make(chan struct{})}
	t.Cleanup(c.close)
	for i, codec := range codecs {
		c.add(codec, uint32(i+1)*1_000_000_000)
	}
	return c
}

func (c *client) close() { _ = c.pc.GracefulClose() }

func (c *client) add(codec webrtc.RTPCodecParameters, base uint32) {
	c.t.Helper()
	kind := kindOf(codec).String()
	local, err := webrtc.NewTrackLocalStaticRTP(codec.RTPCodecCapability, kind, "stream")
	if err != nil {
		c.t.Fatal(err)
	}
	t, err := c.pc.AddTransceiverFromTrack(local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		c.t.Fatal(err)
	}
	s := &sender{local: local, sends: t.Sender(), rate: int64(codec.ClockRate), seq: 65530, base: base}
	c.tracks[kind] = s
	go func() {
		for {
			packets, _, err := s.sends.ReadRTCP()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.feedback = append(c.feedback, packets...)
			close(c.changed)
			c.changed = make(chan struct{})
			c.mu.Unlock()
		}
	}()
}

// offer is the client's, with its addresses.
func (c *client) offer() string {
	c.t.Helper()
	d, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(d); err != nil {
		c.t.Fatal(err)
	}
	<-gathered
	return c.pc.LocalDescription().SDP
}

// publish offers, and returns when media can be sent.
func (c *client) publish(p *place) {
	c.t.Helper()
	connected := make(chan struct{})
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	res, answer := ask(c.t, http.MethodPost, p.url, typeSDP, c.offer())
	if res.StatusCode != http.StatusCreated {
		c.t.Fatalf("answered with %s: %s", res.Status, answer)
	}
	u, err := res.Location()
	if err != nil {
		c.t.Fatal(err)
	}
	c.location, c.answer = u.String(), answer
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		c.t.Fatalf("%v, of the answer %s", err, answer)
	}
	select {
	case <-connected:
	case <-time.After(20 * time.Second):
		c.t.Fatal("no connection")
	}
}

// ticks is a media time on the track's RTP clock.
func (s *sender) ticks(media time.Duration) uint32 {
	return s.base + uint32(int64(media)*s.rate/int64(time.Second))
}

// packets numbers payloads of one time; the last has the marker.
func (s *sender) packets(media time.Duration, payloads ...[]byte) (out []*pionrtp.Packet) {
	for i, payload := range payloads {
		out = append(out, &pionrtp.Packet{
			Header:  pionrtp.Header{Version: 2, SequenceNumber: s.seq, Timestamp: s.ticks(media), Marker: i == len(payloads)-1},
			Payload: payload,
		})
		s.seq++
	}
	return out
}

func (c *client) write(kind string, packets ...*pionrtp.Packet) {
	c.t.Helper()
	for _, p := range packets {
		if err := c.tracks[kind].local.WriteRTP(p); err != nil {
			c.t.Fatal(err)
		}
	}
}

// resend answers negative acknowledgements with what is in kept, most of the time, until the client is closed.
func (c *client) resend(kind string, kept *sync.Map, loses func() bool) {
	s := c.tracks[kind]
	go func() {
		for seen := 0; ; {
			c.mu.Lock()
			list, changed := c.feedback[seen:], c.changed
			c.mu.Unlock()
			seen += len(list)
			for _, p := range list {
				nack, ok := p.(*rtcp.TransportLayerNack)
				if !ok {
					continue
				}
				for _, pair := range nack.Nacks {
					for _, number := range pair.PacketList() {
						if p, ok := kept.Load(number); ok && !loses() {
							_ = s.local.WriteRTP(p.(*pionrtp.Packet)) // after the end there is nobody to tell
						}
					}
				}
			}
			select {
			case <-changed:
			case <-c.t.Context().Done():
				return
			}
		}
	}()
}

// report sends a true sender report about media time media.
func (c *client) report(kind string, media time.Duration, at time.Time) {
	c.t.Helper()
	s := c.tracks[kind]
	ssrc := uint32(s.sends.GetParameters().Encodings[0].SSRC)
	if err := c.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrc, NTPTime: rtptest.NTP(at), RTPTime: s.ticks(media)}}); err != nil {
		c.t.Fatal(err)
	}
}

// told returns when a feedback packet came for which ok is true.
func (c *client) told(ok func(rtcp.Packet) bool) {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		list, changed := c.feedback, c.changed
		c.mu.Unlock()
		for _, p := range list {
			if ok(p) {
				return
			}
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("after 10 s there are %d feedback packets, none of which is the one", len(list))
		}
	}
}

func isPLI(p rtcp.Packet) bool { _, ok := p.(*rtcp.PictureLossIndication); return ok }

// picture is an access unit that takes several packets, different for each n.
func picture(n int, key bool) [][]byte {
	first := byte(0x41)
	if key {
		first = 0x65
	}
	slice := append([]byte{first, 0x88, byte(n) | 1, byte(n>>7) | 1}, bytes.Repeat([]byte{byte(n)%250 + 1}, 3000)...)
	if key {
		return [][]byte{rtptest.PlainSPS, rtptest.PPS, slice}
	}
	return [][]byte{slice}
}

// payloads packs an access unit as encoders do.
func payloads(t *testing.T, nalus [][]byte) (out [][]byte) {
	t.Helper()
	e := &rtph264.Encoder{PayloadType: 96, PayloadMaxSize: 1100, PacketizationMode: 1}
	if err := e.Init(); err != nil {
		t.Fatal(err)
	}
	packets, err := e.Encode(nalus)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		out = append(out, p.Payload)
	}
	return out
}
