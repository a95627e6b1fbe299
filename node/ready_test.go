package node

import (
	"strings"
	"testing"
)

// A fact is a line; who has many channels has many links.
func TestFactsAreLines(t *testing.T) {
	for _, c := range []struct {
		ready Ready
		want  string
	}{
		{Ready{Link: "tailcast:a", HTTP: "http://h", Listen: []string{"l:1", "l:2"}}, "link    tailcast:a\nhttp    http://h\nlisten  l:1\nlisten  l:2\n"},
		{Ready{Link: "tailcast:a", Links: []string{"tailcast:a", "tailcast:b"}, Pin: "k@h:1"}, "link    tailcast:a\nlink    tailcast:b\npin     k@h:1\n"},
		{Ready{HTTP: "http://h"}, "http    http://h\n"},
	} {
		var out strings.Builder
		if err := c.ready.Print(&out, false); err != nil || out.String() != c.want {
			t.Errorf("got %q, %v, want %q", out.String(), err, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	var s Size
	if err := s.Set("5TB"); err != nil || s.Bytes != 5e12 || s.String() != "5TB" {
		t.Errorf("got %+v, %v, want 5 TB", s, err)
	}
	if err := s.Set("5T"); err == nil || s.Bytes != 5e12 {
		t.Errorf("got %+v, %v, want it refused, and the value as it was", s, err)
	}
}
