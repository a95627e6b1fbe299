package node

import (
	"strings"
	"testing"

	"tailcast/feed/feedtest"
)

func TestPins(t *testing.T) {
	key := feedtest.NewCrook(t).Root.String()
	for _, c := range []struct{ set, want, err string }{
		{key + "@192.0.2.7:4433", key + "@192.0.2.7:4433", ""},
		{"192.0.2.7:4433~" + key, key + "@192.0.2.7:4433", ""},
		{strings.ToUpper(key) + "@Relay.example:4433", key + "@relay.example:4433", ""},
		{key + "@[2001:db8::1]:443", key + "@[2001:db8::1]:443", ""},
		{key + "@a:1, " + key + "@b:2", key + "@a:1," + key + "@b:2", ""},
		{key + "@a:1," + key + "@a:1", key + "@a:1", ""},
		{"192.0.2.7:4433", "", "want NODEKEY@HOST:PORT"},
		{key, "", "want host:port"},
		{key + "@192.0.2.7", "", "want host:port"},
		{key[:51] + "@192.0.2.7:4433", "", "51 characters"},
		{"@192.0.2.7:4433", "", "node key"},
		{"", "", "want host:port"},
		{key + "@a:0", "", "port"},
	} {
		var p Pins
		err := p.Set(c.set)
		if p.String() != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: got %q, %v, want %q, %q", c.set, p.String(), err, c.want, c.err)
		}
	}
}
