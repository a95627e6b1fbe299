package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailcast/feed"
)

// testLink returns a link to a channel of that number.
func testLink(t *testing.T, number byte, addrs ...string) feed.Link {
	t.Helper()
	link := feed.Link{Root: testRoot(t, number)}
	for _, addr := range addrs {
		link.Anchors = append(link.Anchors, feed.Anchor{Addr: addr})
	}
	return link
}

func testRoot(t *testing.T, number byte) feed.PublicKey {
	t.Helper()
	seed := sha256.Sum256([]byte{number})
	root, err := feed.ParsePublicKey(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func texts(links []feed.Link) string {
	var all []string
	for _, l := range links {
		all = append(all, l.String())
	}
	return strings.Join(all, " ")
}

func TestLists(t *testing.T) {
	a, b, c := testLink(t, 1, "a:1"), testLink(t, 2, "b:1"), testLink(t, 3)
	l := lists{
		links: []feed.Link{a},
		file: write(t, "# ours\n\n"+b.String()+"  # the second\r\n\t"+testLink(t, 1, "a:1", "a:2").String()+"\n"+c.String()+
			"\n  # nothing else\n"+c.String()),
	}
	wanted, denied, err := l.read()
	if want := texts([]feed.Link{testLink(t, 1, "a:1", "a:2"), b, c}); err != nil || texts(wanted) != want || denied != nil {
		t.Errorf("got %s, denied %v, %v, want %s", texts(wanted), denied, err, want)
	}
	for name, deny := range map[string]string{
		"root key":             b.Root.String(),
		"upper case":           strings.ToUpper(b.Root.String()),
		"link":                 b.String(),
		"name of a link":       strings.TrimPrefix(feed.Link{Root: b.Root}.String(), "tailcast:"),
		"among others":         testRoot(t, 9).String() + "\n" + b.Root.String() + " # on request of the broadcaster",
		"with another address": testLink(t, 2, "elsewhere:1").String(),
	} {
		l.deny = write(t, deny)
		wanted, denied, err := l.read()
		if err != nil || len(wanted) != 2 || texts(denied) != b.String() {
			t.Errorf("denied by %s: got %s, denied %s, %v", name, texts(wanted), texts(denied), err)
		}
	}
}

func TestWrongListsNameTheLine(t *testing.T) {
	good := testLink(t, 1, "a:1").String()
	for _, c := range []struct{ name, links, deny, want string }{
		{"mistyped link", good + "\n" + good[:40] + "\n", "", "list, line 2: not a channel link"},
		{"a root key is no link", testRoot(t, 1).String(), "", "line 1: not a channel link"},
		{"no list", strings.Repeat("x", 1<<20), "", "is no list"},
		{"no list, with lines", strings.Repeat("# and so on\n", 1<<20), "", "longer than 8388608 bytes"},
		{"mistyped key", good, "# x\n" + testRoot(t, 1).String()[:51] + "\n", "list, line 2: neither a root key nor a link: got 51 characters"},
		{"mistyped link among the denied", good, good[:40], "line 1: not a channel link"},
	} {
		l := lists{file: write(t, c.links)}
		if c.deny != "" {
			l.deny = write(t, c.deny)
		}
		if _, _, err := l.read(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	for _, l := range []lists{{file: "/nonexistent"}, {deny: "/nonexistent"}, {file: t.TempDir()}} {
		if _, _, err := l.read(); err == nil || !strings.HasPrefix(err.Error(), "--") {
			t.Errorf("%+v: got %v, want an error that names the flag", l, err)
		}
	}
}
