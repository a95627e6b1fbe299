package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// A signedLog is a log as a witness gets to see it: a head of every size, and what proves that one continues another.
type signedLog struct {
	origin string
	key    feed.PublicKey
	leaves []merkle.Hash
	heads  []feed.Head // heads[n] is of size n; there is none of size 0
}

// grow adds a leaf with the head that it makes.
func (l *signedLog) grow(leaf merkle.Hash, h feed.Head) {
	if l.heads == nil {
		l.heads = make([]feed.Head, 1)
	}
	l.leaves, l.heads = append(l.leaves, leaf), append(l.heads, h)
}

// readLog reads what a log of a channel says of itself.
func readLog(t *testing.T, from *feed.Log) *signedLog {
	t.Helper()
	note := from.Epoch().Note()
	l := &signedLog{origin: from.Origin(), key: note.Key}
	for i := range from.Head().Size {
		b, f, err := feedtest.Take(from, i)
		if err != nil {
			t.Fatal(err)
		}
		f.Append(b.Record.Leaf())
		l.grow(b.Record.Leaf(), feed.Head{Size: i + 1, Root: f.Root(), Signature: b.Signature})
	}
	return l
}

// forge signs a log of n leaves, which from leaf other on are those of another history.
func forge(key ed25519.PrivateKey, origin string, n, other int) *signedLog {
	l := &signedLog{origin: origin, key: feed.PublicKey(key.Public().(ed25519.PublicKey))}
	var f merkle.Frontier
	for i := range n {
		leaf := merkle.LeafHash(fmt.Append(nil, i, i >= other))
		f.Append(leaf)
		l.grow(leaf, feed.SignHead(key, origin, f.Size(), f.Root()))
	}
	return l
}

// head returns the head of size n as a note.
func (l *signedLog) head(n uint64) []byte { return l.heads[n].Note(l.origin, l.key) }

// proof returns the consistency proof of size n after size m, as RFC 6962 has it.
func (l *signedLog) proof(t *testing.T, m, n uint64) []merkle.Hash {
	t.Helper()
	if m == 0 {
		return nil
	}
	frontier, cover := l.both(t, m, m, n)
	return feedtest.ConsistencyProof(m, n, frontier, cover)
}

// both returns frontier(a) and cover(b, n).
func (l *signedLog) both(t *testing.T, a, b, n uint64) (frontier, cover []merkle.Hash) {
	t.Helper()
	read := func(height int, index uint64) (merkle.Hash, error) {
		var f merkle.Frontier
		for _, leaf := range l.leaves[index<<height : (index+1)<<height] {
			f.Append(leaf)
		}
		return f.Root(), nil
	}
	f, err := merkle.FrontierAt(a, read)
	if err != nil {
		t.Fatal(err)
	}
	if cover, err = merkle.Cover(b, n, read); err != nil {
		t.Fatal(err)
	}
	return f.Peaks(), cover
}

// cosign has the witness sign size n after size m, and checks that stock software opens the note with both keys.
func (w *witness) cosign(l *signedLog, m, n uint64) []byte {
	w.t.Helper()
	status, signature := w.addCheckpoint(m, l.proof(w.t, m, n), l.head(n))
	if status != http.StatusOK {
		w.t.Fatalf("size %d after %d: got %d %s", n, m, status, signature)
	}
	cosigned := append(l.head(n), signature...)
	opened, err := note.Open(cosigned, note.VerifierList(logVerifier(w.t, l), w.verifier()))
	if err != nil || len(opened.Sigs) != 2 || len(opened.UnverifiedSigs) != 0 {
		w.t.Fatalf("size %d: got %v, %v from\n%s", n, opened, err, cosigned)
	}
	if want := string(feed.AppendHeadText(nil, l.origin, n, l.heads[n].Root)); opened.Text != want {
		w.t.Errorf("got %q, want %q", opened.Text, want)
	}
	w.checkTime(opened.Sigs[1])
	return cosigned
}

// checkTime checks that the cosignature says when it was made.
func (w *witness) checkTime(s note.Signature) {
	w.t.Helper()
	at, err := torchwood.CosignatureTimestamp(s)
	if age := time.Since(time.Unix(at, 0)); err != nil || age < -time.Second || age > time.Hour {
		w.t.Errorf("got a cosignature of %v, %v", time.Unix(at, 0), err)
	}
}

func logVerifier(t *testing.T, l *signedLog) note.Verifier {
	t.Helper()
	vkey, err := note.NewEd25519VerifierKey(l.origin, l.key[:])
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A witness signs the catalogs of a channel, epoch after epoch, each in steps of any length, and the newest head again.
func TestCosignsCatalogs(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 4)
	var w *witness
	for epoch := range 2 {
		for i := range 12 {
			if err := channel.Writer.SetState(feed.State{Title: fmt.Sprint("Show ", i), Renditions: []feed.Rendition{{Name: feedtest.Rendition, Stripes: 4}}}); err != nil {
				t.Fatal(err)
			}
		}
		catalog, err := channel.Writer.Epoch().Log(feed.CatalogLog)
		if err != nil {
			t.Fatal(err)
		}
		l := readLog(t, catalog)
		if epoch == 0 {
			w = newWitness(t, l.key[:], l.origin)
		} else {
			w.know(l.key[:], l.origin)
		}
		old := uint64(0)
		for _, n := range []uint64{1, 2, 5, 5, 8, 13} {
			w.cosign(l, old, n)
			old = n
		}
		if err := channel.Restart(4); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever bit of a cosigned head changes, it is no longer signed by both.
func TestEveryBitOfACosignedHead(t *testing.T) {
	l := forge(testKey("epoch"), "tailcast.example/log", 3, 3)
	w := newWitness(t, l.key[:], l.origin)
	cosigned, verifiers := w.cosign(l, 0, 3), note.VerifierList(logVerifier(t, l), w.verifier())
	for i := range cosigned {
		for bit := range 8 {
			changed := slices.Clone(cosigned)
			changed[i] ^= 1 << bit
			if n, err := note.Open(changed, verifiers); err == nil && len(n.Sigs) == 2 && !sameBase64(changed, cosigned) {
				t.Fatalf("bit %d of byte %d:\n%s", bit, i, changed)
			}
		}
	}
}

// sameBase64 reports whether two notes differ in nothing but the unused bits of base64, which sumdb/note lets pass.
func sameBase64(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] {
			rest := string(b[i+1:])
			return strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, "\n")
		}
	}
	return true
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// What a witness is for: it has signed size 8, and will sign neither another history of that size, nor one that continues another
// history, nor less than it has seen, nor what is not proved, not even after a restart.
func TestRefusesForksAndRollbacks(t *testing.T) {
	key, root := testKey("epoch"), feed.PublicKey(testKey("root").Public().(ed25519.PublicKey))
	origin := feed.Origin(root, feed.PublicKey(key.Public().(ed25519.PublicKey)).EpochID(), feed.CatalogLog)
	honest, fork := forge(key, origin, 20, 20), forge(key, origin, 20, 5)
	w := newWitness(t, honest.key[:], origin)
	w.cosign(honest, 0, 3)
	w.cosign(honest, 3, 8)
	w.refuses(honest, fork)
	w.stop()
	w.start()
	w.refuses(honest, fork)
	w.cosign(honest, 8, 20)
}

// refuses checks what a witness that has signed size 8 says to wrong requests.
func (w *witness) refuses(honest, fork *signedLog) {
	w.t.Helper()
	good := honest.proof(w.t, 8, 13)
	wrong := slices.Clone(good)
	wrong[0][0] ^= 1
	stranger := forge(testKey("stranger"), honest.origin, 13, 13)
	other := forge(testKey("epoch"), strings.TrimSuffix(honest.origin, feed.CatalogLog)+"tv", 13, 13)
	const conflict, unproved = http.StatusConflict, http.StatusUnprocessableEntity
	for _, tt := range []struct {
		what  string
		old   uint64
		proof []merkle.Hash
		head  []byte
		want  []int
	}{
		{"a fork of the same size", 8, nil, fork.head(8), []int{conflict, unproved}},
		{"a fork that continues itself", 8, fork.proof(w.t, 8, 13), fork.head(13), []int{unproved}},
		{"a fork with an honest proof", 8, good, fork.head(13), []int{unproved}},
		{"a fork from before what it knows", 3, fork.proof(w.t, 3, 13), fork.head(13), []int{conflict}},
		{"a rollback that says so", 8, nil, honest.head(5), []int{http.StatusBadRequest}},
		{"a rollback that hides it", 3, honest.proof(w.t, 3, 5), honest.head(5), []int{conflict}},
		{"a beginning again", 0, nil, honest.head(13), []int{conflict}},
		{"a changed proof", 8, wrong, honest.head(13), []int{unproved}},
		{"a proof too short", 8, good[1:], honest.head(13), []int{unproved}},
		{"a proof too long", 8, append(slices.Clone(good), good[0]), honest.head(13), []int{unproved}},
		{"no proof", 8, nil, honest.head(13), []int{unproved}},
		{"the signature of a stranger", 8, good, stranger.head(13), []int{http.StatusForbidden}},
		{"a log that it does not know", 0, nil, other.head(13), []int{http.StatusNotFound}},
		{"a changed head", 8, good, bytes.Replace(honest.head(13), []byte("\n13\n"), []byte("\n14\n"), 1), []int{http.StatusForbidden}},
	} {
		status, said := w.addCheckpoint(tt.old, tt.proof, tt.head)
		if !slices.Contains(tt.want, status) {
			w.t.Errorf("%s: got %d %q, want %v", tt.what, status, said, tt.want)
		}
		if status == conflict && said != "8\n" {
			w.t.Errorf("%s: got %q, want the size that it knows", tt.what, said)
		}
	}
}
