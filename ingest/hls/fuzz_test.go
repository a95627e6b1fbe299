package hls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"log/slog"
	"net/url"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"tailcast/ingest"
)

func FuzzPlaylist(f *testing.F) {
	f.Add([]byte(head + "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"5@0\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:5\na\n#EXT-X-DISCONTINUITY\n#EXTINF:0,\nb\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1\n#EXT-X-PART-INF:PART-TARGET=0.3\n#EXT-X-PART:DURATION=0.3,URI=\"p\",INDEPENDENT=YES\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv\n"))
	for _, b := range playlists(f) {
		f.Add(b)
	}
	u, err := url.Parse(base + "index.m3u8")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := (choice{}).choose(answer{body: in, url: u}); err != nil && len(err.Error()) > 1<<20 {
			t.Error("the error is larger than the playlist may be")
		}
		l, err := parse(in, u)
		if err != nil {
			return
		}
		for i, s := range l.segments {
			if s.number != l.first+i || s.open && i != len(l.segments)-1 || s.open && len(s.parts) == 0 || !s.open && s.media.uri == "" || s.duration < 0 {
				t.Fatalf("segment %d is %+v", i, s)
			}
		}
		if len(l.segments) > 0 {
			follower := newFollower(&Pull{}, stream{}, nil)
			follower.list = l
			if at := follower.fromEnd(l); at.number < l.first || at.number >= l.first+len(l.segments) {
				t.Fatalf("begins at %+v", at)
			}
		}
	})
}

// fragment is an fMP4 recording of one picture.
func fragment(t testing.TB) (init, segment []byte) {
	t.Helper()
	var a, b seekablebuffer.Buffer
	head := fmp4.Init{Tracks: []*fmp4.InitTrack{
		{ID: 1, TimeScale: 90000, Codec: &codecs.H264{SPS: []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}, PPS: []byte{0x68, 1}}},
		{ID: 2, TimeScale: 48000, Codec: &codecs.Opus{ChannelCount: 2}},
	}}
	part := fmp4.Part{Tracks: []*fmp4.PartTrack{
		{ID: 1, BaseTime: 90000, Samples: []*fmp4.Sample{{Duration: 3000, Payload: []byte{0, 0, 0, 2, 0x65, 1}}}},
		{ID: 2, BaseTime: 48000, Samples: []*fmp4.Sample{{Duration: 960, Payload: []byte{4, 1, 2, 3}}}},
	}}
	if err := head.Marshal(&a); err != nil {
		t.Fatal(err)
	}
	if err := part.Marshal(&b); err != nil {
		t.Fatal(err)
	}
	return a.Bytes(), b.Bytes()
}

func FuzzFragments(f *testing.F) {
	init, segment := fragment(f)
	f.Add(init, segment)
	for _, x := range recordings(f) {
		f.Add(x.init, x.data)
	}
	f.Fuzz(func(t *testing.T, init, segment []byte) {
		s, _ := fragmentsIn(init, segment)
		for _, x := range s.samples {
			if x.DTS > x.PTS {
				t.Fatalf("DTS %d is above PTS %d", x.DTS, x.PTS)
			}
		}
	})
}

// fragmentsIn is what is in a segment of fragmented MP4.
func fragmentsIn(init, segment []byte) (*sink, error) {
	s := &sink{}
	d := &mp4Demuxer{sink: s, stats: new(ingest.Stats), log: slog.New(slog.DiscardHandler)}
	return s, d.write(piece{init: init, data: segment})
}

func FuzzPieces(f *testing.F) {
	init, segment := fragment(f)
	f.Add(init, segment)
	f.Add([]byte(nil), packedSound([]ingest.Sample{{PTS: 90000, Data: []byte("\xff\xf1\x4c\x80\x01\x1f\xfcx")}}))
	f.Add([]byte(nil), bytes.Repeat([]byte("G\x40\x00\x10"), 188))
	for _, x := range recordings(f) {
		f.Add(x.init, x.data)
	}
	for _, b := range pieces(f) {
		f.Add([]byte(nil), b)
	}
	f.Fuzz(func(t *testing.T, init, data []byte) { fed(t, init, data) })
}

// fed is a lane that has got a segment, and the same again behind a discontinuity.
func fed(t *testing.T, init, data []byte) *lane {
	t.Helper()
	p, err := NewPull(Config{URL: base})
	if err != nil {
		t.Fatal(err)
	}
	l := newLane(p, newFollower(p, stream{}, nil))
	for i := range 2 {
		l.feed(&piece{era: era{0, i}, init: init, data: bytes.Clone(data), whole: true})
	}
	return l
}

// FuzzDecrypt: whatever the key and the segment are, there is an error or what was encrypted.
func FuzzDecrypt(f *testing.F) {
	for _, b := range pieces(f) {
		f.Add(b, []byte("sixteen bytes of"), []byte("initialisations."))
	}
	f.Fuzz(func(t *testing.T, b, secret, iv []byte) {
		iv = append(iv, make([]byte, aes.BlockSize)...)[:aes.BlockSize] // as the playlist is read
		_, _ = decrypt(bytes.Clone(b), secret, iv)
		block, err := aes.NewCipher(secret)
		if err != nil {
			return
		}
		pad := aes.BlockSize - len(b)%aes.BlockSize
		hidden := append(bytes.Clone(b), bytes.Repeat([]byte{byte(pad)}, pad)...)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(hidden, hidden)
		if got, err := decrypt(hidden, secret, iv); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%d bytes became %d: %v", len(b), len(got), err)
		}
	})
}

func TestFragments(t *testing.T) {
	init, segment := fragment(t)
	s := &sink{}
	d := &mp4Demuxer{sink: s, stats: new(ingest.Stats), log: slog.New(slog.DiscardHandler)}
	if err := d.write(piece{data: segment}); err == nil {
		t.Error("a segment without its init section is taken")
	}
	if err := d.write(piece{init: init, data: segment}); err != nil {
		t.Fatal(err)
	}
	p := s.program(t)
	if len(p.Tracks) != 2 || p.Tracks[0].Width != 1920 || p.Tracks[1].SampleRate != 48000 || len(s.samples) != 2 {
		t.Fatalf("got %+v and %d samples", p.Tracks, len(s.samples))
	}
	if x := s.samples[0]; x.PTS != 90000 || x.Flags&ingest.RandomAccess == 0 || !bytes.HasPrefix(x.Data, []byte{0, 0, 0, 1, 0x67}) {
		t.Errorf("got %+v, want a picture behind its parameter sets", x)
	}
	if err := d.write(piece{init: init[:len(init)/2], data: segment}); err == nil {
		t.Error("half an init section is taken")
	}
	if err := d.write(piece{data: segment[:len(segment)/2]}); err == nil {
		t.Error("half a segment is taken")
	}
}

func TestRescale(t *testing.T) {
	for _, c := range []struct{ at, rate, want int64 }{
		{48000, 48000, 90000},
		{1, 3, 30000},
		{1_700_000_000 * 10_000_000, 10_000_000, 1_700_000_000 * 90000}, // since 1970, in units of 100 ns
		{-1024, 48000, -1920},
	} {
		if got := rescale(c.at, c.rate); got != c.want {
			t.Errorf("%d of %d a second: got %d, want %d", c.at, c.rate, got, c.want)
		}
	}
}

func TestLanguages(t *testing.T) {
	for in, want := range map[string]string{"": "", "en": "eng", "en-US": "eng", "DE": "deu", "es": "spa", "ces": "ces", "xx": "", "fil": "fil", "a ": ""} {
		if got := iso639(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
