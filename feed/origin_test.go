package feed

import (
	"strings"
	"testing"
)

func testOrigin(log string) string {
	return Origin(publicKey(seedKey("root")), publicKey(seedKey("epoch")).EpochID(), log)
}

func TestOrigin(t *testing.T) {
	origin := testOrigin("video-1080p")
	root, id, log, err := ParseOrigin(origin)
	if err != nil {
		t.Fatal(err)
	}
	if again := Origin(root, id, log); again != origin {
		t.Errorf("got %q, want %q", again, origin)
	}
	if longest := testOrigin(strings.Repeat("x", MaxLogName)); len(longest) > MaxOrigin {
		t.Errorf("longest origin: got %d bytes, want at most %d", len(longest), MaxOrigin)
	}
}

func TestParseOriginTakesOneSpelling(t *testing.T) {
	origin := testOrigin("tv")
	root, epoch, _ := strings.Cut(strings.TrimPrefix(origin, originPrefix), "/")
	for name, bad := range map[string]string{
		"nothing":           "",
		"version 2":         strings.Replace(origin, "/1/", "/2/", 1),
		"upper case":        strings.ToUpper(origin),
		"a slash more":      origin + "/",
		"a slash in a name": origin + "/3",
		"a line break":      origin + "\n",
		"a space":           origin + " ",
		"no log":            strings.TrimSuffix(origin, "tv"),
		"no epoch":          originPrefix + root + "/tv",
		"roles exchanged":   originPrefix + epoch + "/" + root + "/tv",
		"a note":            noteTitle(publicKey(seedKey("root")), channelNote),
		"another spelling":  originPrefix + root[:51] + next32(root[51]) + "/" + epoch,
	} {
		if _, _, _, err := ParseOrigin(bad); err == nil {
			t.Errorf("%s: took %q", name, bad)
		}
	}
}

func TestCheckLogName(t *testing.T) {
	for _, good := range []string{"a", "0", "tv", "1080p", "radio-2", "a--b-", strings.Repeat("x", 32), CatalogLog} {
		if err := CheckLogName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", "A", "tv/3", "a b", "a_b", "a.b", "é", "a\n", "..", strings.Repeat("x", 33), "x\n9\nAAAA"} {
		if CheckLogName(bad) == nil {
			t.Errorf("%q may name a log", bad)
		}
	}
}

// A line break in the name of a log would make its head the head of another log.
func TestOriginRefusesToBeForged(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Origin took a name with line breaks")
		}
	}()
	testOrigin("x\n9\nAAAA")
}

func FuzzParseOrigin(f *testing.F) {
	f.Add(testOrigin("tv"))
	f.Add(testOrigin("catalog") + "\n")
	f.Add("tailcast/1///")
	f.Fuzz(func(t *testing.T, s string) {
		root, id, log, err := ParseOrigin(s)
		if err == nil && Origin(root, id, log) != s {
			t.Errorf("%q is another spelling of %q", s, Origin(root, id, log))
		}
	})
}
