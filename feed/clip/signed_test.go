package clip

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

func seeded(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) feed.PublicKey {
	return feed.PublicKey(k.Public().(ed25519.PublicKey))
}

// signEpoch signs the notes of an epoch whose key is that of its number.
func signEpoch(t *testing.T, number uint64, last *feed.LastEpoch) (feed.Notes, ed25519.PrivateKey) {
	t.Helper()
	root, station, key := seeded("root"), seeded("station"), seeded("epoch "+string(rune('0'+number)))
	channel, err1 := feed.SignChannelNote(root, feed.ChannelNote{Generation: 1, NotAfter: time.Unix(2e9, 0), Stations: []feed.PublicKey{public(station)}})
	note, err2 := feed.SignEpochNote(station, key, feed.EpochNote{Root: public(root), Generation: 1, Number: number, Last: last})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return feed.Notes{Channel: channel, Epoch: note}, key
}

// signFirst signs record 0 of a log.
func signFirst(key ed25519.PrivateKey, log string, kind feed.Kind, payload []byte) (feed.Block, merkle.Hash) {
	return signRecord(key, log, feed.Record{Kind: kind, Flags: feed.SegmentFirst, Wall: 1e15}, payload)
}

func signRecord(key ed25519.PrivateKey, log string, r feed.Record, payload []byte) (feed.Block, merkle.Hash) {
	r.Length, r.Hash = uint32(len(payload)), sha256.Sum256(payload)
	var f merkle.Frontier
	f.Append(r.Leaf())
	h := feed.SignHead(key, feed.Origin(public(seeded("root")), public(key).EpochID(), log), 1, f.Root())
	return feed.Block{Record: r, Signature: h.Signature, Payload: payload}, f.Root()
}

// What an epoch note says of the end of the part before must be so.
func TestLastNamesTheEndOfThePartBefore(t *testing.T) {
	first, key1 := signEpoch(t, 1, nil)
	block1, root1 := signFirst(key1, "tv", feed.Media, []byte("one"))
	wrong := root1
	wrong[0] ^= 1
	for name, c := range map[string]struct {
		root merkle.Hash
		want string
	}{"right": {root1, ""}, "another root": {wrong, "a fork"}} {
		second, key2 := signEpoch(t, 2, &feed.LastEpoch{Generation: 1, Number: 1, ID: public(key1).EpochID(), Heads: []feed.LogHead{{Log: "tv", Size: 1, Root: c.root}}})
		block2, _ := signFirst(key2, "tv", feed.Media, []byte("two"))
		var b bytes.Buffer
		w := NewWriter(&b, public(seeded("root")))
		for k, notes := range []feed.Notes{first, second} {
			w.Begin(notes, "tv", &merkle.Frontier{})
			w.Block([]*feed.Block{&block1, &block2}[k])
			w.Seal(nil)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(&b, Options{})
		if c.want == "" && (err != nil || !report.Parts[1].Continues) || c.want != "" && (!errors.Is(err, ErrRefuted) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// An anchor is an event of the catalog: what reads like one in a record of another kind, or elsewhere, says nothing.
func TestWhatIsNoAnchor(t *testing.T) {
	right := feed.Record{Kind: feed.Event, Flags: feed.SegmentFirst, Wall: 1e15}
	for name, c := range map[string]struct {
		change func(r *feed.Record, p *Proof)
		want   string
	}{
		"right":            {func(*feed.Record, *Proof) {}, ""},
		"another kind":     {func(r *feed.Record, _ *Proof) { r.Kind = feed.Media }, "does not name"},
		"no first record":  {func(r *feed.Record, _ *Proof) { r.Offset = 1 }, "offset 0"},
		"beyond the end":   {func(_ *feed.Record, p *Proof) { p.Index, p.Frontier = 1, make([]merkle.Hash, 1) }, "record 1 of a catalog of 1"},
		"an empty catalog": {func(_ *feed.Record, p *Proof) { p.Catalog = 0 }, "record 0 of a catalog of 0"},
	} {
		notes, key := signEpoch(t, 1, nil)
		block, root := signFirst(key, "tv", feed.Media, []byte("one"))
		payload, err := feed.LogAnchor{Logs: []feed.LogHead{{Log: "tv", Size: 1, Root: root}}}.Payload()
		if err != nil {
			t.Fatal(err)
		}
		r, proof := right, &Proof{Size: 1, Signature: block.Signature, Payload: payload, Catalog: 1}
		c.change(&r, proof)
		anchor, _ := signRecord(key, feed.CatalogLog, r, payload)
		anchor.Record.Append(proof.Record[:0])
		proof.CatalogSig = anchor.Signature
		var b bytes.Buffer
		w := NewWriter(&b, public(seeded("root")))
		w.Begin(notes, "tv", &merkle.Frontier{})
		w.Block(&block)
		w.Seal(proof)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(&b, Options{}); c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrRefuted) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
