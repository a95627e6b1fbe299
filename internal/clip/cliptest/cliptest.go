// Package cliptest holds short clips of other encoders and multiplexers: what every parser of media is fuzzed with, and what tests compare with. Nothing
// links it but tests. README.md says how they were made.
package cliptest

import (
	"bytes"
	"embed"
	"path"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
)

//go:embed *.ts *.mp4
var files embed.FS

// TS are the transport streams, by name.
func TS(t testing.TB) map[string][]byte { return named(t, "*.ts") }

// An MP4 is a fragmented recording.
type MP4 struct{ Init, Fragments []byte }

// MP4s are the recordings of AV1 and VP9, of which MPEG-TS has no agreed form, by name.
func MP4s(t testing.TB) map[string]MP4 {
	out := make(map[string]MP4)
	for name, b := range named(t, "*.mp4") {
		at := bytes.Index(b, []byte("moof")) - 4
		out[name] = MP4{b[:at], b[at:]}
	}
	return out
}

// Units are the access units of a track, which count from 1.
func (m MP4) Units(t testing.TB, track int) (out [][]byte) {
	t.Helper()
	var parts fmp4.Parts
	if err := parts.Unmarshal(m.Fragments); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		for _, x := range p.Tracks {
			for _, s := range x.Samples {
				if x.ID == track {
					out = append(out, s.Payload)
				}
			}
		}
	}
	return out
}

func named(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	list, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for _, f := range list {
		if ok, _ := path.Match(pattern, f.Name()); !ok {
			continue
		}
		if out[f.Name()], err = files.ReadFile(f.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
