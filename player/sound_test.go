package player

import (
	"bytes"
	"testing"

	"tailcast/ingest"
)

// bilingual is the synthetic program with a second sound track, and samples of it.
func bilingual(seconds int) (*ingest.Program, []ingest.Sample) {
	const second = 3
	p := syntheticProgram()
	other := p.Tracks[sound]
	other.ID, other.PID, other.Language = second, 0x103, "deu"
	p.Tracks = append(p.Tracks, other)
	var out []ingest.Sample
	for _, s := range synthetic(seconds, 90000) {
		out = append(out, s)
		if s.Track == sound {
			s.Track, s.Data = second, adts(bytes.Repeat([]byte{'d'}, 120))
			out = append(out, s)
		}
	}
	return p, out
}

// Who asks for one sound track gets the picture and that track alone, live and from the past; the header says what there is to choose from.
func TestOneSoundTrack(t *testing.T) {
	program, in := bilingual(4)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	german := bytes.Repeat([]byte{'d'}, 120)
	for query, want := range map[string]struct {
		kind   string
		german bool
	}{
		"audio=0":         {`video/mp4; codecs="avc1.4d401e,mp4a.40.2"`, false},
		"audio=1":         {`video/mp4; codecs="avc1.4d401e,mp4a.40.2"`, true},
		"audio=1&at=-0s":  {`video/mp4; codecs="avc1.4d401e,mp4a.40.2"`, true},
		"audio=none":      {`video/mp4; codecs="avc1.4d401e"`, false},
		"audio=7":         {`video/mp4; codecs="avc1.4d401e"`, false},
		"audio=0&at=-1ms": {`video/mp4; codecs="avc1.4d401e,mp4a.40.2"`, false},
	} {
		r := c.watch("/live.mp4?" + query)
		if got := r.Header.Get("Content-Type"); got != want.kind {
			t.Errorf("%s: got %s, want %s", query, got, want.kind)
		}
		if got := r.Header.Get("X-Tailcast-Audio"); got != "aac;eng, aac;deu" {
			t.Errorf("%s: X-Tailcast-Audio is %q", query, got)
		}
		body := readUntil(t, r.Body, func(b []byte) bool { return bytes.Count(b, []byte("moof")) > 8 })
		if got := bytes.Contains(body, german); got != want.german {
			t.Errorf("%s: German sound in it: %v, want %v", query, got, want.german)
		}
	}
}
