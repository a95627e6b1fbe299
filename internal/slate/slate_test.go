package slate

import (
	"io"
	"testing"
)

func TestSlateIsWholePackets(t *testing.T) {
	r, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || len(b) == 0 || len(b)%188 != 0 {
		t.Fatalf("%d bytes, %v; want a multiple of 188", len(b), err)
	}
	for i := 0; i < len(b); i += 188 {
		if b[i] != 0x47 {
			t.Fatalf("packet %d begins with %#x", i/188, b[i])
		}
	}
}
