package clip

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"tailcast/feed"
)

// signerAsWitness returns the head of the newer epoch's catalog with a line under the name and key id of that log itself: what anybody
// can add who has the clip. Nobody signed it.
func signerAsWitness(t testing.TB, r *feed.Replica) *cosigned {
	t.Helper()
	catalog, err := r.Current().Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	head, key := catalog.Head(), r.Current().Note().Key
	id := sha256.Sum256(append([]byte(catalog.Origin()+"\n\x01"), key[:]...))
	if own := string(head.Note(catalog.Origin(), key)); !strings.Contains(own, "\n— "+catalog.Origin()+" "+base64.StdEncoding.EncodeToString(id[:3])) {
		t.Fatalf("%x is not the key id of\n%s", id[:4], own)
	}
	line := binary.BigEndian.AppendUint64(id[:4:4], 1000000000)
	line = append(line, make([]byte, feed.SignatureSize)...)
	return &cosigned{
		origin: catalog.Origin(), size: head.Size, root: head.Root.String(),
		lines: []byte("— " + catalog.Origin() + " " + base64.StdEncoding.EncodeToString(line) + "\n"),
	}
}

// Whoever has a clip can put lines of witnesses into it. Only those of witnesses whose keys were given date it.
func TestTheSignerIsNoWitness(t *testing.T) {
	b := readGolden(t, "imposter")
	for name, known := range map[string][]*Witness{"no keys": nil, "another key": witnesses(t, newTestWitness("witness"))} {
		report, err := Verify(bytes.NewReader(b), Options{Root: goldenRoot(t), Witnesses: known})
		if err != nil || dated(report) != 0 {
			t.Errorf("%s: got %v, and %d witnesses who date it, want none", name, err, dated(report))
		}
	}
}

// The key of a witness may be given twice, as by two scripts that each add theirs.
func TestWitnessGivenTwice(t *testing.T) {
	known := witnesses(t, newTestWitness("witness"), newTestWitness("witness"))
	report, err := Verify(bytes.NewReader(readGolden(t, "cosigned")), Options{Root: goldenRoot(t), Witnesses: known})
	if err != nil || dated(report) != 1 {
		t.Fatalf("got %v, %v, want one witness who dates it", report, err)
	}
}
