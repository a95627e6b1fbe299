package rtsp

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp"
	"tailcast/ingest/rtp/rtptest"
	"tailcast/internal/es"
)

// described is how gortsplib announces the tracks of a clip; nil if it has none that need more than a name.
func described(t testing.TB, clip *ingesttest.Record) []byte {
	t.Helper()
	d := &description.Session{}
	for _, track := range clip.Program(t).Tracks {
		sets := es.ParameterSets{Codec: es.NALCodec(track.Codec)}
		var nalus h264.AnnexB
		_ = nalus.Unmarshal(clip.Of(track.ID)[0].Data) // of others nothing comes
		sets.Observe(nalus)
		_ = nalus.Unmarshal(sets.Config())
		switch {
		case track.Codec == ingest.H264:
			d.Medias = append(d.Medias, &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.H264{PayloadTyp: 96, SPS: nalus[0], PPS: nalus[1], PacketizationMode: 1}}})
		case track.Codec == ingest.H265:
			d.Medias = append(d.Medias, &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.H265{PayloadTyp: 96, VPS: nalus[0], SPS: nalus[1], PPS: nalus[2]}}})
		case track.Codec == ingest.AAC:
			d.Medias = append(d.Medias, &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{rtptest.AAC()}})
		}
	}
	if len(d.Medias) == 0 {
		return nil
	}
	b, err := d.Marshal(false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzDescription: no SDP makes us panic, and every one that is accepted gives a program that MPEG-TS can number.
func FuzzDescription(f *testing.F) {
	head := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	f.Add([]byte(head + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z01AHuzAbB7zf/goACgIgAAAAwCAAAAYB4sWzQ==,aOl7LIA=\r\na=control:streamid=0\r\n"))
	f.Add([]byte(head + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n"))
	f.Add([]byte(head + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/48000/2\r\na=fmtp:97 profile-level-id=1;cpresent=0;config=400023203fc0\r\n"))
	f.Add([]byte(head + "m=audio 0 RTP/AVP 14 0\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 sprop-stereo=1\r\n"))
	for _, r := range ingesttest.Clips(f) {
		if d := described(f, r); d != nil {
			f.Add(d)
		}
	}
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
