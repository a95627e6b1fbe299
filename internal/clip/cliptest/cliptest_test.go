package cliptest

import (
	"bytes"
	"testing"
)

// TestUnits: what is cut out of the recordings are pictures and sound.
func TestUnits(t *testing.T) {
	for name, m := range MP4s(t) {
		if pictures, sound := m.Units(t, 1), m.Units(t, 2); len(pictures) != 10 || len(sound) < 20 || len(pictures[0]) < 500 || !bytes.Contains(m.Init, []byte("moov")) {
			t.Errorf("%s: %d pictures, the first of %d bytes, %d frames of sound", name, len(pictures), len(pictures[0]), len(sound))
		}
	}
}
