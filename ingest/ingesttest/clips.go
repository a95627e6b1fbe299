package ingesttest

import (
	"testing"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/clip/cliptest"
	"tailcast/internal/ts"
)

// Clips are what encoders of others made, half a second of each, by name: the real media that fuzzing begins with. Between them they have every codec
// of ours; of AV1 and VP9 there are the pictures alone.
func Clips(t testing.TB) map[string]*Record {
	t.Helper()
	streams := cliptest.TS(t)
	streams["bbb.ts"] = clip.Bytes()[:400*188]
	out := make(map[string]*Record)
	for name, b := range streams {
		out[name] = NewRecord()
		s := ts.NewScanner(ts.Config{Sink: whole{out[name]}})
		s.Write(b)
		s.Flush()
	}
	for name, m := range cliptest.MP4s(t) {
		codec := map[string]ingest.Codec{"av1-opus.mp4": ingest.AV1, "vp9-opus.mp4": ingest.VP9}[name]
		out[name] = pictures(codec, m.Units(t, 1))
	}
	return out
}

// whole leaves out what the end of a cut has torn.
type whole struct{ *Record }

// WriteSample implements ingest.Sink.
func (w whole) WriteSample(s ingest.Sample) {
	if s.Flags&ingest.Damaged == 0 {
		w.Record.WriteSample(s)
	}
}

// pictures are those of one track, 25 a second.
func pictures(codec ingest.Codec, units [][]byte) *Record {
	r := NewRecord()
	r.SetProgram(&ingest.Program{Tracks: []ingest.Track{{Codec: codec}}})
	for i, b := range units {
		at := int64(i) * ingest.ClockRate / 25
		r.WriteSample(ingest.Sample{PTS: at, DTS: at, Data: b})
	}
	return r
}
