package rtsp

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp"
)

// FuzzDescription: no SDP makes us panic, and every one that is accepted gives a program that MPEG-TS can number.
func FuzzDescription(f *testing.F) {
	head := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	f.Add([]byte(head + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z01AHuzAbB7zf/goACgIgAAAAwCAAAAYB4sWzQ==,aOl7LIA=\r\na=control:streamid=0\r\n"))
	f.Add([]byte(head + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n"))
	f.Add([]byte(head + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/48000/2\r\na=fmtp:97 profile-level-id=1;cpresent=0;config=400023203fc0\r\n"))
	f.Add([]byte(head + "m=audio 0 RTP/AVP 14 0\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 sprop-stereo=1\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var ssd sdp.SessionDescription
		var d description.Session
		clocks(body)
		if ssd.Unmarshal(body) != nil || d.Unmarshal(&ssd) != nil {
			return
		}
		in, err := newIntake(rtp.NewOutput(ingesttest.NewRecord(), &ingest.Stats{}, ingesttest.Quiet(), time.Now()), &d, body, nil)
		if err != nil {
			return
		}
		p := in.Program()
		if len(p.Tracks) == 0 || len(p.Tracks) > ingest.MaxTracks {
			t.Errorf("%d tracks", len(p.Tracks))
		}
		for i, track := range p.Tracks {
			if int(track.ID) != i || track.PID < 0x20 || track.PID >= p.PMTPID {
				t.Errorf("track %d is %+v", i, track)
			}
		}
	})
}
