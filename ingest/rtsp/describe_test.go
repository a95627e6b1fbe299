package rtsp

import (
	"testing"

	"tailcast/ingest/rtp/rtptest"
)

// The RTP clock of HE-AAC may be that of the doubled rate; gortsplib takes the other for granted.
func TestClockOfSDP(t *testing.T) {
	body := []byte("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n")
	he := rtptest.AAC()
	he.Config.SampleRate = 24000
	rates := clocks(body)
	if got := clockOf(rates, 1, he); got != 48000 {
		t.Errorf("clock is %d, want the SDP's, 48000", got)
	}
	if got := clockOf(nil, 1, he); got != 24000 {
		t.Errorf("clock without an SDP is %d, want gortsplib's, 24000", got)
	}
}
