package rtsp

import (
	"testing"

	"tailcast/ingest"
)

func TestRecoveryPoint(t *testing.T) {
	long := append([]byte{0x06, 5, 255, 45}, make([]byte, 300)...) // a user data message of 300 bytes before it
	for _, c := range []struct {
		name  string
		codec ingest.Codec
		sei   []byte
		want  bool
	}{
		{"alone", ingest.H264, []byte{0x06, 6, 1, 0xc4, 0x80}, true},
		{"behind another message", ingest.H264, append(long, 6, 1, 0xc4, 0x80), true},
		{"other message", ingest.H264, []byte{0x06, 1, 1, 0x12, 0x80}, false},
		{"H.265", ingest.H265, []byte{39 << 1, 1, 6, 1, 0xd0, 0x80}, true},
		{"message longer than the unit", ingest.H264, []byte{0x06, 5, 200, 1, 0x80}, false},
		{"empty", ingest.H264, []byte{0x06}, false},
		{"too short for a header", ingest.H265, []byte{39 << 1}, false},
		{"a size that never ends", ingest.H264, []byte{0x06, 255, 255, 255}, false},
	} {
		if got := codecNAL(c.codec).recoveryPoint(c.sei); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// A recovery point is where a stream without IDR pictures can be joined.
func TestRandomAccessByRecoveryPoint(t *testing.T) {
	s := newSession(t, videoFormat())
	s.send(0, 0, 0, false, []byte{0x06, 6, 1, 0xc4, 0x80})
	s.send(0, 0, 0, true, inter)
	if got := s.rec.all()[0].Flags; got != ingest.RandomAccess|ingest.Recovery {
		t.Errorf("flags are %v, want random access by recovery", got)
	}
}

func TestNALKinds(t *testing.T) {
	for _, c := range []struct {
		codec ingest.Codec
		first byte
		want  nalKind
	}{
		{ingest.H264, 0x65, nalIDR},
		{ingest.H264, 0x41, nalSlice},
		{ingest.H264, 0x67, nalSPS},
		{ingest.H264, 0x68, nalPPS},
		{ingest.H264, 0x06, nalSEI},
		{ingest.H264, 0x09, nalDelimiter},
		{ingest.H264, 0x0c, nalOther},
		{ingest.H265, 16 << 1, nalIRAP},
		{ingest.H265, 19 << 1, nalIDR},
		{ingest.H265, 21 << 1, nalIRAP},
		{ingest.H265, 22 << 1, nalSlice},
		{ingest.H265, 1 << 1, nalSlice},
		{ingest.H265, 32 << 1, nalVPS},
		{ingest.H265, 33 << 1, nalSPS},
		{ingest.H265, 34 << 1, nalPPS},
		{ingest.H265, 35 << 1, nalDelimiter},
		{ingest.H265, 39 << 1, nalSEI},
		{ingest.H265, 40 << 1, nalOther},
	} {
		if got := codecNAL(c.codec).kind([]byte{c.first, 1}); got != c.want {
			t.Errorf("%s NAL unit % x: kind %d, want %d", c.codec, c.first, got, c.want)
		}
	}
}
