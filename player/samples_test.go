package player

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"tailcast/ingest"
)

// unhex decodes test data.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("player: test data: " + err.Error())
	}
	return b
}

// Parameter sets of a real encoder: Main, 854 x 480, 24 fps; and High, 1280 x 720.
var (
	sps480 = unhex("674d401eecc06c1ef37ff828002808800000030080000018078b16cd")
	sps720 = unhex("6764001facd940500" + "5bb016a02020280000003008000001e478c18cb")
	pps    = unhex("68e97b2c80")
)

const (
	picture = 0 // track IDs of the synthetic program
	sound   = 1
	text    = 2
)

func syntheticProgram() *ingest.Program {
	return &ingest.Program{Number: 1, PMTPID: 0x1000, PCRPID: 0x100, Tracks: []ingest.Track{
		{ID: picture, Codec: ingest.H264, PID: 0x100, StreamType: 0x1b, StreamID: 0xe0, Width: 854, Height: 480},
		{ID: sound, Codec: ingest.AAC, Language: "eng", PID: 0x101, StreamType: 0x0f, StreamID: 0xc0, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2},
		{ID: text, Codec: ingest.Data, Language: "deu", PID: 0x102, StreamType: 0x06, StreamID: 0xbd},
	}}
}

// synthetic makes seconds of the program: 25 pictures a second, one in ten a random access point, one in two of them shown later
// than decoded, 48 kHz sound, and some text; in the order of decoding times, which begin at base.
func synthetic(seconds int, base int64) []ingest.Sample {
	const frameTicks, soundTicks = 3600, 1920
	r := rand.New(rand.NewPCG(1, uint64(base)))
	var out []ingest.Sample
	nextSound := base - 500
	for i := range seconds * 25 {
		dts := base + int64(i)*frameTicks
		s := ingest.Sample{Track: picture, DTS: dts, PTS: dts + frameTicks*int64(1+i%2), Data: h264Unit(r, i%10 == 0, sps480)}
		if i%10 == 0 {
			s.Flags = ingest.RandomAccess
		}
		out = append(out, s)
		if i%20 == 5 {
			out = append(out, ingest.Sample{Track: text, DTS: dts, PTS: dts, Data: noise(r, 40)})
		}
		for ; nextSound < dts+frameTicks; nextSound += soundTicks {
			out = append(out, ingest.Sample{Track: sound, DTS: nextSound, PTS: nextSound, Data: adts(noise(r, 100+r.IntN(150)))})
		}
	}
	return out
}

// h264Unit is an access unit in Annex B: delimiter, parameter sets if random, and one slice of noise.
func h264Unit(r *rand.Rand, random bool, sps []byte) []byte {
	units := [][]byte{{0x09, 0xf0}, append([]byte{0x41}, noise(r, 300+r.IntN(700))...)}
	if random {
		units = [][]byte{{0x09, 0x10}, sps, pps, append([]byte{0x65}, noise(r, 3000)...)}
	}
	var out []byte
	for _, u := range units {
		out = append(append(out, 0, 0, 0, 1), u...)
	}
	return out
}

// noise has no zeros, so no start codes.
func noise(r *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(1 + r.IntN(255))
	}
	return out
}

// adts frames raw AAC: LC, 48 kHz, two channels, no CRC (ISO/IEC 13818-7, 6.2).
func adts(raw []byte) []byte {
	n := len(raw) + 7
	return append([]byte{0xff, 0xf1, 0x4c, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1f, 0xfc}, raw...)
}

// track returns the samples of one track.
func track(samples []ingest.Sample, id uint8) (out []ingest.Sample) {
	for _, s := range samples {
		if s.Track == id {
			out = append(out, s)
		}
	}
	return out
}

func TestSyntheticIsInOrder(t *testing.T) {
	s := synthetic(2, 1000)
	for i := 1; i < len(s); i++ {
		if s[i].Track == s[i-1].Track && s[i].DTS <= s[i-1].DTS {
			t.Fatalf("sample %d: DTS %d after %d", i, s[i].DTS, s[i-1].DTS)
		}
	}
}
