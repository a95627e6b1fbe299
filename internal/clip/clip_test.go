package clip

import "testing"

func TestBytesAreWholePackets(t *testing.T) {
	b := Bytes()
	if len(b) == 0 || len(b)%188 != 0 {
		t.Fatalf("clip has %d bytes, want a multiple of 188", len(b))
	}
	for i := 0; i < len(b); i += 188 {
		if b[i] != 0x47 {
			t.Fatalf("packet %d begins with %#x, want 0x47", i/188, b[i])
		}
	}
}
