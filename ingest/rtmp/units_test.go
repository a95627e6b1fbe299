package rtmp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// stripped is what of a file's samples goes through RTMP: NAL units without their delimiters and, since ffmpeg and others take them out, without
// parameter sets; start codes become lengths, and those ours.
func stripped(t *testing.T, samples []ingest.Sample, codec ingest.Codec) []ingest.Sample {
	return without(t, samples, codec, es.NALDelimiter, es.NALVPS, es.NALSPS, es.NALPPS)
}

// withoutSets is what we deliver, without the parameter sets that we put in.
func withoutSets(t *testing.T, samples []ingest.Sample, codec ingest.Codec) []ingest.Sample {
	return without(t, samples, codec, es.NALDelimiter, es.NALVPS, es.NALSPS, es.NALPPS)
}

func without(t *testing.T, samples []ingest.Sample, codec ingest.Codec, kinds ...es.NALKind) []ingest.Sample {
	t.Helper()
	out := slices.Clone(samples)
	for i, s := range samples {
		if codec == ingest.Opus { // the header of the first packet of a file has a trim, which RTMP does not transmit
			var au substructs.OpusAccessUnit
			if _, err := au.Unmarshal(s.Data); err != nil {
				t.Fatal(err)
			}
			out[i].Data = au.Packet
		}
		if codec != ingest.H264 && codec != ingest.H265 {
			continue
		}
		var nalus h264.AnnexB
		if err := nalus.Unmarshal(s.Data); err != nil {
			t.Fatal(err)
		}
		kept := slices.DeleteFunc([][]byte(nalus), func(n []byte) bool { return slices.Contains(kinds, es.NALCodec(codec).Kind(n)) })
		out[i].Data = es.AnnexB(nil, kept)
	}
	return out
}

// certificate is one that nobody has signed.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}
