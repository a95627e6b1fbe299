package whip

import (
	"bytes"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"tailcast/ingest"
	"tailcast/ingest/rtp/rtptest"
	"tailcast/internal/es"
)

// Every codec of pictures that is carried comes out as it was sent, with payload types as browsers choose them.
func TestCodecs(t *testing.T) {
	h265Key := [][]byte{{32 << 1, 1, 2}, rtptest.FrameWith(60, 33<<1, 1), {34 << 1, 1, 2}, rtptest.FrameWith(4000, 19<<1, 1)}
	av1Sequence := []byte{8, 0, 0, 0, 66, 167, 191, 228, 96, 13, 0, 64} // 1920x804
	av1Key := [][]byte{av1Sequence, rtptest.FrameWith(3000, 0x30)}
	vp9Key := rtptest.FrameWith(3000, 0x82, 0x49, 0x83, 0x42, 0x00, 0x77, 0xf0, 0x32, 0x34, 0x1) // 1920x804
	av1Unit, err := (&es.AV1{}).Unit(av1Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mime   string
		pt     webrtc.PayloadType
		fmtp   string
		encode func() ([]*pionrtp.Packet, error)
		codec  ingest.Codec
		want   []byte
	}{
		{webrtc.MimeTypeH265, 49, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST", func() ([]*pionrtp.Packet, error) {
			e, _ := (&format.H265{PayloadTyp: 96}).CreateEncoder()
			return e.Encode(h265Key)
		}, ingest.H265, es.AnnexB(nil, h265Key)},
		{webrtc.MimeTypeAV1, 45, "level-idx=5;profile=0;tier=0", func() ([]*pionrtp.Packet, error) {
			e, _ := (&format.AV1{PayloadTyp: 96}).CreateEncoder()
			return e.Encode(av1Key)
		}, ingest.AV1, av1Unit},
		{webrtc.MimeTypeVP9, 98, "profile-id=0", func() ([]*pionrtp.Packet, error) {
			e, _ := (&format.VP9{PayloadTyp: 96}).CreateEncoder()
			return e.Encode(vp9Key)
		}, ingest.VP9, vp9Key},
	} {
		t.Run(string(c.codec), func(t *testing.T) {
			p := newPlace(t, nil)
			client := newClient(t, webrtc.RTPCodecParameters{PayloadType: c.pt, RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: c.mime, ClockRate: 90000, SDPFmtpLine: c.fmtp, RTCPFeedback: feedback,
			}})
			client.publish(p)
			for n := range 2 {
				packets, err := c.encode()
				if err != nil {
					t.Fatal(err)
				}
				var list [][]byte
				for _, packet := range packets {
					list = append(list, packet.Payload)
				}
				client.write("video", client.tracks["video"].packets(time.Duration(n)*20*frame, list...)...)
			}
			got := p.rec.Wait(t, 2)
			for i, g := range got[:2] {
				if !bytes.Equal(g.Data, c.want) || g.Flags&ingest.RandomAccess == 0 {
					t.Errorf("sample %d: %d bytes, flags %v, want %d and a random access point", i, len(g.Data), g.Flags, len(c.want))
				}
			}
			if info := p.rec.Program(t).Tracks; info[0].Codec != c.codec {
				t.Errorf("track is %+v, want %s", info[0], c.codec)
			}
		})
	}
}
