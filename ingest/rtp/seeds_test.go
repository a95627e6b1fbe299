package rtp

import (
	"encoding/binary"
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
)

// seed is a real stream in packets, for the format of that number.
type seed struct {
	which  byte
	script []byte
}

// seeds are the first units of each track of the clips of others, in packets of gortsplib's encoders so small that pictures take several.
func seeds(t testing.TB) (list []seed) {
	t.Helper()
	formats := fuzzFormats()
	for _, r := range ingesttest.Clips(t) {
		for _, track := range r.Program(t).Tracks {
			for which, f := range formats {
				if encode := encoder(t, f, track.Codec); encode != nil {
					units := r.Of(track.ID)
					list = append(list, seed{byte(which), inPackets(t, units[:min(len(units), 8)], f.ClockRate(), encode)})
				}
			}
		}
	}
	return list
}

// inPackets writes units as FuzzPackets reads them.
func inPackets(t testing.TB, units []ingest.Sample, rate int, encode func([]byte) ([]*rtp.Packet, error)) (out []byte) {
	t.Helper()
	last := uint32(0)
	for _, s := range units {
		packets, err := encode(s.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packets {
			at, flags := uint32((s.PTS-units[0].PTS)*int64(rate)/ingest.ClockRate)+p.Timestamp, byte(0)
			if p.Marker {
				flags = 1
			}
			out = binary.BigEndian.AppendUint32(append(out, flags, 10), at-last)
			out = append(binary.BigEndian.AppendUint16(out, uint16(len(p.Payload))), p.Payload...)
			last = at
		}
	}
	return out
}

const small = 200 // bytes of a packet

// encoder packs units of a codec, as ingest has them, into packets of f; nil if they are not for f.
func encoder(t testing.TB, f format.Format, codec ingest.Codec) func([]byte) ([]*rtp.Packet, error) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch f := f.(type) {
	case *format.H264:
		if codec == ingest.H264 {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return nalus(e.Encode)
		}
	case *format.H265:
		if codec == ingest.H265 {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return nalus(e.Encode)
		}
	case *format.AV1:
		if codec == ingest.AV1 {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return func(b []byte) ([]*rtp.Packet, error) {
				var obus av1.Bitstream
				check(obus.Unmarshal(b))
				return e.Encode(obus)
			}
		}
	case *format.VP9:
		if codec == ingest.VP9 {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return e.Encode
		}
	case *format.MPEG1Video:
		if codec == ingest.MPEG2Video {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return e.Encode
		}
	default:
		return soundEncoder(t, f, codec)
	}
	return nil
}

func soundEncoder(t testing.TB, f format.Format, codec ingest.Codec) func([]byte) ([]*rtp.Packet, error) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch f := f.(type) {
	case *format.MPEG4Audio:
		if codec == ingest.AAC {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return func(b []byte) ([]*rtp.Packet, error) {
				var adts mpeg4audio.ADTSPackets
				check(adts.Unmarshal(b))
				return e.Encode([][]byte{adts[0].AU})
			}
		}
	case *format.MPEG4AudioLATM:
		if codec == ingest.AACLATM && f.CPresent {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return func(b []byte) ([]*rtp.Packet, error) { return e.Encode(b[3:]) } // behind the header of LOAS
		}
	case *format.MPEG1Audio:
		if codec == ingest.MPEGAudio {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return func(b []byte) ([]*rtp.Packet, error) { return e.Encode([][]byte{b}) }
		}
	case *format.AC3:
		if codec == ingest.AC3 {
			e, err := f.CreateEncoder()
			check(err)
			e.PayloadMaxSize = small
			return func(b []byte) ([]*rtp.Packet, error) { return e.Encode([][]byte{b}) }
		}
	case *format.Opus:
		if codec == ingest.Opus {
			e, err := f.CreateEncoder()
			check(err)
			return func(b []byte) ([]*rtp.Packet, error) {
				var au substructs.OpusAccessUnit
				_, err := au.Unmarshal(b)
				check(err)
				p, err := e.Encode(au.Packet)
				return []*rtp.Packet{p}, err
			}
		}
	}
	return nil
}

// nalus is an encoder of access units in Annex B.
func nalus(encode func([][]byte) ([]*rtp.Packet, error)) func([]byte) ([]*rtp.Packet, error) {
	return func(b []byte) ([]*rtp.Packet, error) {
		var list h264.AnnexB
		if err := list.Unmarshal(b); err != nil {
			return nil, err
		}
		return encode(list)
	}
}

// TestSeeds: what fuzzing begins with is understood to the end, of every format that has real clips.
func TestSeeds(t *testing.T) {
	seen := map[byte]bool{}
	for _, x := range seeds(t) {
		s := play(t, x.which, x.script)
		seen[x.which] = true
		if n := len(s.rec.Of(0)); n < 5 || s.stats.DamagedSamples.Load() != 0 || s.stats.LastError() != "" {
			t.Errorf("format %d: %d samples came, %d are damaged; %s", x.which, n, s.stats.DamagedSamples.Load(), s.stats.LastError())
		}
	}
	if formats := len(fuzzFormats()); len(seen) != formats-2 { // LATM that the SDP configures, and KLV
		t.Errorf("%d formats of %d have seeds: %v", len(seen), formats, seen)
	}
}
