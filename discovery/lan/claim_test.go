package lan

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew; only before version 1 is released")

const vectorsFile = "testdata/vectors.json"

// vectors is what testdata/vectors.json holds: docs/discovery.md explains it to implementers.
type vectors struct {
	Comment string
	Root    string
	Records []recordVector // of that channel
	Others  []recordVector // well spelt, but of another channel, or changed on the way
	Refused []refusedVector
}

type recordVector struct {
	Node, Salt, Tag string
	Text            []string
}

type refusedVector struct {
	Why  string
	Text []string
}

func testRoot() []byte { return bytes.Repeat([]byte{1}, keySize) }

// testClaim is a claim whose salt is no secret.
func testClaim(root []byte, node, salt byte) claim {
	c := claim{node: [keySize]byte(bytes.Repeat([]byte{node}, keySize)), salt: [saltSize]byte(bytes.Repeat([]byte{salt}, saltSize))}
	c.tag = c.expect(root)
	return c
}

func vectorOf(c claim) recordVector {
	return recordVector{hex.EncodeToString(c.node[:]), hex.EncodeToString(c.salt[:]), hex.EncodeToString(c.tag[:]), c.text()}
}

func makeVectors() vectors {
	changed := testClaim(testRoot(), 2, 3)
	changed.node[0]++
	v := vectors{
		Comment: "Golden vectors of the record on the local network, version 1; docs/discovery.md. Bytes in hex.",
		Root:    hex.EncodeToString(testRoot()),
		Records: []recordVector{vectorOf(testClaim(testRoot(), 2, 3)), vectorOf(testClaim(testRoot(), 2, 0xff)), vectorOf(testClaim(testRoot(), 0x80, 3))},
		Others:  []recordVector{vectorOf(testClaim(bytes.Repeat([]byte{9}, keySize), 2, 3)), vectorOf(changed)},
		Refused: refused(),
	}
	more := vectorOf(testClaim(testRoot(), 2, 3)) // keys in upper case, others' strings, repetitions
	more.Text = []string{"x", "=y", "V=1", strings.Replace(more.Text[1], "s=", "S=", 1), "path=/a=b", more.Text[2], "t=again", more.Text[3], "v=2", ""}
	v.Records = append(v.Records, more)
	return v
}

func refused() (all []refusedVector) {
	good := testClaim(testRoot(), 2, 3)
	edit := func(why string, f func(text []string) []string) {
		all = append(all, refusedVector{why, f(good.text())})
	}
	edit("empty", func([]string) []string { return []string{""} })
	for i, key := range []string{"v", "s", "t", "n"} {
		edit("without "+key, func(text []string) []string { return slices.Delete(text, i, i+1) })
		edit("too short: "+key, func(text []string) []string { text[i] = text[i][:len(text[i])-1]; return text })
		edit("too long: "+key, func(text []string) []string { text[i] += "a"; return text })
		edit("empty first "+key, func(text []string) []string { return slices.Insert(text, i, key+"=") })
	}
	edit("version 2", func(text []string) []string { text[0] = "v=2"; return text })
	edit("upper case", func(text []string) []string { text[1] = "s=" + strings.ToUpper(text[1][2:]); return text })
	edit("padding", func(text []string) []string { text[1] += "======"; return text })
	edit("line break", func(text []string) []string { text[1] += "\n"; return text })
	edit("trailing bits", func(text []string) []string { text[1] = text[1][:len(text[1])-1] + "n"; return text })
	return all
}

func TestVectors(t *testing.T) {
	got := makeVectors()
	if *update {
		b, err := json.MarshalIndent(got, "", "\t")
		if err == nil {
			err = os.WriteFile(vectorsFile, append(b, '\n'), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("vectors differ from %s; the record has changed\ngot %+v", vectorsFile, got)
	}
	checkVectors(t, want)
}

// checkVectors reads what the file holds.
func checkVectors(t *testing.T, v vectors) {
	root, err := hex.DecodeString(v.Root)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range append(v.Records, v.Others...) {
		c, err := parseClaim(r.Text)
		if err != nil || hex.EncodeToString(c.node[:]) != r.Node || hex.EncodeToString(c.salt[:]) != r.Salt || hex.EncodeToString(c.tag[:]) != r.Tag {
			t.Errorf("record %d: %v, got %x", i, err, c)
		}
		if ours := i < len(v.Records); c.of(root) != ours {
			t.Errorf("record %d: of the channel: %v, want %v", i, !ours, ours)
		}
	}
	for _, r := range v.Refused {
		if c, err := parseClaim(r.Text); err == nil {
			t.Errorf("%s: %q was read as %x", r.Why, r.Text, c)
		}
	}
}

// Who does not know the link sees nothing twice but a node key.
func TestClaimsDoNotLink(t *testing.T) {
	root, node := testRoot(), bytes.Repeat([]byte{2}, keySize)
	a, b := newClaim(root, node), newClaim(root, node)
	if a.salt == b.salt || a.tag == b.tag || a.name() == b.name() {
		t.Errorf("two claims have something in common: %x and %x", a, b)
	}
	text := strings.Join(append(a.text(), a.name()), " ")
	if strings.Contains(text, encoding.EncodeToString(root)) || !a.of(root) || !b.of(root) {
		t.Errorf("claim %q, of the channel: %v %v", text, a.of(root), b.of(root))
	}
	for _, s := range a.text() {
		if len(s) > 63 {
			t.Errorf("%q: %d bytes, want at most 63", s, len(s))
		}
	}
}

func FuzzClaim(f *testing.F) {
	good := testClaim(testRoot(), 2, 3)
	f.Add(strings.Join(good.text(), "\n"))
	for _, r := range refused() {
		f.Add(strings.Join(r.Text, "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaim(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		if again, err := parseClaim(c.text()); err != nil || again != c {
			t.Errorf("%v; %x was read again as %x", err, c, again)
		}
		if c.of(testRoot()) && c.tag != c.expect(testRoot()) {
			t.Errorf("%x is taken for one of the channel", c)
		}
	})
}
