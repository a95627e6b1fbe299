package ingesttest

import (
	"maps"
	"slices"
	"testing"

	"tailcast/ingest"
)

// TestClips: each codec that a source may send is in one of them, with several units.
func TestClips(t *testing.T) {
	units := map[ingest.Codec]int{}
	for _, r := range Clips(t) {
		for _, track := range r.Program(t).Tracks {
			units[track.Codec] = max(units[track.Codec], len(r.Of(track.ID)))
		}
	}
	for _, codec := range []ingest.Codec{
		ingest.H264, ingest.H265, ingest.MPEG2Video, ingest.AV1, ingest.VP9, ingest.AAC, ingest.AACLATM, ingest.MPEGAudio, ingest.AC3, ingest.EAC3, ingest.Opus,
	} {
		if units[codec] < 5 {
			t.Errorf("%s has %d units, want some; there are %v", codec, units[codec], slices.Sorted(maps.Keys(units)))
		}
	}
}
