package feed

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tailcast/feed/merkle"
)

func testHead() Head {
	return SignHead(seedKey("epoch"), testOrigin("tv"), 5077, merkle.LeafHash([]byte("x")))
}

func TestHeadText(t *testing.T) {
	got := string(AppendHeadText(nil, testOrigin("tv"), 5077, merkle.LeafHash([]byte("x"))))
	want := testOrigin("tv") + "\n5077\n" + merkle.LeafHash([]byte("x")).String() + "\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := len(AppendHeadText(nil, testOrigin("log-with-a-name-of-32-characters"), merkle.MaxSize, merkle.Hash{})); n > maxHeadText {
		t.Errorf("longest text: got %d bytes, want at most %d", n, maxHeadText)
	}
}

func TestHeadVerifies(t *testing.T) {
	key, origin := publicKey(seedKey("epoch")), testOrigin("tv")
	h := testHead()
	if !h.Verify(key, origin) {
		t.Fatal("the head does not verify")
	}
	for name, refused := range map[string]bool{
		"other key":    !h.Verify(publicKey(seedKey("station")), origin),
		"other log":    !h.Verify(key, testOrigin("tv2")),
		"other size":   !(&Head{h.Size + 1, h.Root, h.Signature}).Verify(key, origin),
		"other root":   !(&Head{h.Size, merkle.Hash{}, h.Signature}).Verify(key, origin),
		"no signature": !(&Head{h.Size, h.Root, Signature{}}).Verify(key, origin),
	} {
		if !refused {
			t.Errorf("%s: accepted", name)
		}
	}
	for bit := range 8 * SignatureSize {
		h.Signature[bit/8] ^= 1 << (bit % 8)
		if h.Verify(key, origin) {
			t.Errorf("accepted with bit %d of the signature changed", bit)
		}
		h.Signature[bit/8] ^= 1 << (bit % 8)
	}
}

// A head is a C2SP checkpoint: stock software opens it.
func TestHeadOpensWithStockVerifier(t *testing.T) {
	key, origin := publicKey(seedKey("epoch")), testOrigin("tv")
	verifier, err := note.NewVerifier(stockVerifier(t, origin, key))
	if err != nil {
		t.Fatal(err)
	}
	h := testHead()
	n, err := note.Open(h.Note(origin, key), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if want := string(AppendHeadText(nil, origin, h.Size, h.Root)); n.Text != want {
		t.Errorf("got %q, want %q", n.Text, want)
	}
}

// stockVerifier returns the key by which golang.org/x/mod/sumdb/note opens heads of that origin.
func stockVerifier(t *testing.T, origin string, key PublicKey) string {
	t.Helper()
	s, err := note.NewEd25519VerifierKey(origin, key[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Keys sign three kinds of text, and none of one kind can be read as another.
func TestTextsAreApart(t *testing.T) {
	c, e := testChannelNote(), testEpochNote()
	head := string(testHeadNote())
	if _, err := OpenChannelNote(c.Root, []byte(head)); err == nil {
		t.Error("a head opens as a channel note")
	}
	if _, err := OpenEpochNote(c, []byte(head)); err == nil {
		t.Error("a head opens as an epoch note")
	}
	for _, text := range []string{c.text(), e.text()} {
		line, _, _ := strings.Cut(text, "\n")
		if _, _, _, err := ParseOrigin(line); err == nil {
			t.Errorf("%q is an origin", line)
		}
	}
}

func testHeadNote() []byte {
	h := testHead()
	return h.Note(testOrigin("tv"), publicKey(seedKey("epoch")))
}

func TestHeadAllocations(t *testing.T) {
	key, private, origin := publicKey(seedKey("epoch")), seedKey("epoch"), testOrigin("tv")
	h := testHead()
	if got := testing.AllocsPerRun(20, func() { h.Verify(key, origin) }); got > 0 {
		t.Errorf("verify: got %v allocations, want 0", got)
	}
	if got := testing.AllocsPerRun(20, func() { SignHead(private, origin, h.Size, h.Root) }); got > 1 {
		t.Errorf("sign: got %v allocations, want at most that of the signature", got)
	}
}

func BenchmarkSignHead(b *testing.B) {
	private, origin, root := seedKey("epoch"), testOrigin("tv"), merkle.LeafHash(nil)
	b.ReportAllocs()
	for b.Loop() {
		SignHead(private, origin, 5077, root)
	}
	reportMicroseconds(b)
}

func BenchmarkVerifyHead(b *testing.B) {
	key, origin, h := publicKey(seedKey("epoch")), testOrigin("tv"), testHead()
	b.ReportAllocs()
	for b.Loop() {
		if !h.Verify(key, origin) {
			b.Fatal("the head does not verify")
		}
	}
	reportMicroseconds(b)
}

func reportMicroseconds(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed())/float64(time.Microsecond)/float64(b.N), "us/block")
}
