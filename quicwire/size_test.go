package quicwire

import (
	"testing"

	"pgregory.net/rapid"
)

// Size is what encoding gives: for the samples, and for messages drawn at random.
func TestSize(t *testing.T) {
	for _, s := range samples() {
		checkSize(t, s.m)
	}
	rapid.Check(t, func(t *rapid.T) { checkSize(t, drawMessage(t)) })
}

func checkSize(t interface{ Errorf(string, ...any) }, m Message) {
	b, err := appendMessage(nil, m, boundLogs())
	if err == nil && Size(m) != len(b) {
		t.Errorf("Size of %+v is %d, want %d", m, Size(m), len(b))
	}
}
