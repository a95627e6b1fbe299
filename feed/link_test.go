package feed

import (
	"encoding/base32"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testLink is the link of the vectors' channel.
func testLink() Link { return Link{Root: publicKey(seedKey("root"))} }

func TestLink(t *testing.T) {
	node := publicKey(seedKey("node"))
	for _, l := range []Link{
		testLink(),
		{Root: testLink().Root, Anchors: []Anchor{{Addr: "127.0.0.1:4433"}}},
		{Root: testLink().Root, Anchors: []Anchor{{Addr: "tv.example.org:443", Node: &node}, {Addr: "[2001:db8::1]:4433"}}},
	} {
		got, err := ParseLink(l.String())
		if err != nil {
			t.Errorf("%v: %v", l, err)
			continue
		}
		if got.String() != l.String() || len(got.Anchors) != len(l.Anchors) {
			t.Errorf("got %v, want %v", got, l)
		}
		if n := len(l.Anchors); n > 0 && (got.Anchors[0].Addr != l.Anchors[0].Addr || (got.Anchors[0].Node == nil) != (l.Anchors[0].Node == nil)) {
			t.Errorf("first anchor: got %v, want %v", got.Anchors[0], l.Anchors[0])
		}
	}
	if got := len(testLink().String()); got != len("tailcast:")+56 {
		t.Errorf("got %d characters, want tailcast: and 56", got)
	}
}

// What people and programs do to links on their way.
func TestLinkIsForgiving(t *testing.T) {
	want := testLink().String() + "?a=tv.example.org:443"
	for name, s := range map[string]string{
		"spaces around":      "  " + want + "\r\n",
		"upper case":         strings.ToUpper(testLink().String()) + "?a=TV.example.org:443",
		"unknown parameters": testLink().String() + "?v=2&a=tv.example.org:443&title=%20&&x",
		"escaped colon":      testLink().String() + "?a=tv.example.org%3A443",
		"escaped all":        testLink().String() + "?a=%74v.example.org%3a443",
	} {
		got, err := ParseLink(s)
		if err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v, want %s", name, got, err, want)
		}
	}
	if got, err := ParseLink(testLink().String() + "?a=[2001:DB8:0::1]:4433"); err != nil || got.Anchors[0].Addr != "[2001:db8::1]:4433" {
		t.Errorf("IPv6: got %v, %v", got, err)
	}
}

// An anchor alone is spelled as in a link.
func TestAnchor(t *testing.T) {
	key := testLink().Root
	for text, want := range map[string]string{
		"tv.example.org:4433":                             "tv.example.org:4433",
		" TV.example.org:4433\n":                          "tv.example.org:4433",
		"192.0.2.7:4433~" + key.String():                  "192.0.2.7:4433~" + key.String(),
		"192.0.2.7:4433~" + strings.ToUpper(key.String()): "192.0.2.7:4433~" + key.String(),
		"192.0.2.7":            "",
		"192.0.2.7:4433~":      "",
		"192.0.2.7:4433~short": "",
		"":                     "",
	} {
		got, err := ParseAnchor(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: got %v, %v, want %q", text, got, err, want)
		}
	}
}

// The message says what is wrong, so that people can put it right.
func TestMistypedLink(t *testing.T) {
	good := testLink().String()
	name := strings.TrimPrefix(good, "tailcast:")
	for _, tt := range []struct{ link, says string }{
		{"", `a link begins with "tailcast:"`},
		{"http://example.org/", `a link begins with "tailcast:"`},
		{name, `a link begins with "tailcast:"`},
		{"tailcast:", "0 characters"},
		{good[:len(good)-1], "55 characters"},
		{good + "a", "57 characters"},
		{"tailcast:" + name[:9] + "0" + name[10:], "character 10 is '0'"},
		{"tailcast:" + name[:9] + "ß" + name[10:], "character 10 is 'ß'"},
		{"tailcast:" + name[:5] + " " + name[5:], "character 6 is ' '"},
		{"tailcast:" + name[1:2] + name[:1] + name[2:], "checksum"},
		{linkOf(testLink().Root, 2), "version 2"},
		{linkOf(PublicKey{1}, 1), "small order"},
		{linkOf(PublicKey{2}, 1), "not a point"},
		{good + "?a=example.org", "host:port"},
		{good + "?a=example.org:0", "port"},
		{good + "?a=example.org:070", "port"},
		{good + "?a=example.org:65536", "port"},
		{good + "?a=:443", "host"},
		{good + "?a=exa mple.org:443", "host"},
		{good + "?a=exa%0ample.org:443", "host"},
		{good + "?a=exam%ple.org:443", "escape"},
		{good + "?a=[fe80::1%25eth0]:443", "host"},
		{good + "?a=2001:db8::1:443", "host:port"},
		{good + "?a=[example.org]:443", "IPv6"},
		{good + "?a=[192.0.2.1]:443", "IPv6"},
		{"\u00a0" + good, `a link begins with "tailcast:"`},
		{good + "?a=example.org:443~abc", "node key: got 3 characters"},
		{good + strings.Replace(strings.Repeat("&a=h:1", 17), "&", "?", 1), "more than 16"},
		{good + "?" + strings.Repeat("x", 5000), "too many"},
	} {
		_, err := ParseLink(tt.link)
		if !errors.Is(err, ErrLink) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%.100q: got %v, want it to say %q", tt.link, err, tt.says)
		}
	}
}

// linkOf returns a link with a right checksum, whatever the key and the version.
func linkOf(key PublicKey, version byte) string {
	sum := linkChecksum(key[:], version)
	b := append(append(key[:], sum[:]...), version)
	return "tailcast:" + strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// One wrong character, two exchanged, one lost or doubled: 1 in 65536 goes unnoticed at most, and then is no other channel's key.
func TestLinkTypos(t *testing.T) {
	good := testLink().String()
	tried, taken := 0, 0
	try := func(s string) {
		if s == good {
			return
		}
		tried++
		if _, err := ParseLink(s); err == nil {
			taken++
		} else if !strings.Contains(err.Error(), "mistyped") && !strings.Contains(err.Error(), "version") {
			t.Errorf("%q: %v does not say that it is mistyped", s, err)
		}
	}
	for i := len(linkScheme); i < len(good); i++ {
		for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789" {
			try(good[:i] + string(c) + good[i+1:])
			try(good[:i] + string(c) + good[i:])
		}
		try(good[:i] + good[i+1:])
		if i > len(linkScheme) {
			try(good[:i-1] + good[i:i+1] + good[i-1:i] + good[i+1:])
		}
	}
	if taken != 0 || tried < 4000 {
		t.Errorf("%d of %d mistyped links were taken, want 0 of over 4000", taken, tried)
	}
}

func TestLinkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Link{Root: publicKey(seedKey(rapid.String().Draw(t, "seed")))}
		for range rapid.IntRange(0, maxAnchors).Draw(t, "anchors") {
			a := Anchor{Addr: rapid.StringMatching(`[a-z][a-z0-9.-]{0,20}:[1-9][0-9]{0,3}`).Draw(t, "addr")}
			if rapid.Bool().Draw(t, "with node") {
				k := publicKey(seedKey(a.Addr))
				a.Node = &k
			}
			l.Anchors = append(l.Anchors, a)
		}
		got, err := ParseLink(l.String())
		if err != nil || got.String() != l.String() {
			t.Fatalf("%v: got %v, %v", l, got, err)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	node := publicKey(seedKey("node"))
	f.Add(testLink().String())
	f.Add(Link{testLink().Root, []Anchor{{"tv.example.org:443", &node}, {"[::1]:1", nil}}}.String())
	f.Add(linkOf(PublicKey{1}, 1))
	f.Add("tailcast:?a=%zz")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			return
		}
		again, err := ParseLink(l.String())
		if err != nil || again.String() != l.String() {
			t.Errorf("%q gives %v, which gives %v, %v", s, l, again, err)
		}
	})
}
