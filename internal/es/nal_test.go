package es

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
		if got := NALCodec(c.codec).recoveryPoint(c.sei); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNALKinds(t *testing.T) {
	for _, c := range []struct {
		codec ingest.Codec
		first byte
		want  NALKind
	}{
		{ingest.H264, 0x65, NALIDR},
		{ingest.H264, 0x41, NALSlice},
		{ingest.H264, 0x67, NALSPS},
		{ingest.H264, 0x68, NALPPS},
		{ingest.H264, 0x06, NALSEI},
		{ingest.H264, 0x09, NALDelimiter},
		{ingest.H264, 0x0c, NALOther},
		{ingest.H265, 16 << 1, NALIRAP},
		{ingest.H265, 19 << 1, NALIDR},
		{ingest.H265, 21 << 1, NALIRAP},
		{ingest.H265, 22 << 1, NALSlice},
		{ingest.H265, 1 << 1, NALSlice},
		{ingest.H265, 32 << 1, NALVPS},
		{ingest.H265, 33 << 1, NALSPS},
		{ingest.H265, 34 << 1, NALPPS},
		{ingest.H265, 35 << 1, NALDelimiter},
		{ingest.H265, 39 << 1, NALSEI},
		{ingest.H265, 40 << 1, NALOther},
	} {
		if got := NALCodec(c.codec).Kind([]byte{c.first, 1}); got != c.want {
			t.Errorf("%s NAL unit % x: kind %d, want %d", c.codec, c.first, got, c.want)
		}
	}
}
