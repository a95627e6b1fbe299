package feed

import (
	"encoding/hex"
	"maps"
	"slices"
	"testing"
)

func TestGoldenFaults(t *testing.T) {
	type fault struct {
		Hex   string
		Key   string
		Kind  string
		Valid bool
		Why   string
	}
	var v struct {
		Comment string
		Faults  []fault
	}
	v.Comment = "docs/feed.md, Forks and faults. Key is the epoch key of keys.json."
	key := publicKey(seedKey("epoch"))
	add := func(b []byte, why string) {
		p, err := ParseFault(b)
		f := fault{Hex: hex.EncodeToString(b), Key: key.String(), Why: why, Valid: err == nil && p.Verify(key) == nil}
		if err == nil {
			f.Kind = p.Kind().String()
		}
		v.Faults = append(v.Faults, f)
	}
	encoded := make(map[string][]byte)
	for name, p := range testFaults(t) {
		b, err := EncodeFault(p)
		if err != nil {
			t.Fatal(err)
		}
		encoded[name] = b
	}
	for _, name := range slices.Sorted(maps.Keys(encoded)) {
		add(encoded[name], name)
	}
	valid := len(v.Faults)
	for _, name := range slices.Sorted(maps.Keys(encoded)) {
		b := slices.Clone(encoded[name])
		add(b[:len(b)-1], name+", a byte less")
		add(append(b, 0), name+", a byte more")
		b = slices.Clone(encoded[name])
		b[len(b)-1] ^= 1
		add(b, name+", the last bit changed")
	}
	honest := newHistory("tv").add(9, 0)
	for _, wrong := range []struct {
		p   FaultProof
		why string
	}{
		{honest.fork(t, 5, honest, 9), "no fork: the second head continues the first"},
		{honest.rule(5, true), "a record that follows the one before it"},
		{honest.rule(5, false), "a record that breaks no rule by itself"},
		{honest.rule(0, false), "a first record that breaks no rule"},
		{anchoring(t, 2, 6, honest.heads[6].Root).anchor(2, honest, 6), "an anchor of the root that is signed"},
		{anchoring(t, 2, 6, honest.heads[6].Root).anchor(2, honest, 5), "an anchor of another size"},
	} {
		b, err := EncodeFault(wrong.p)
		if err != nil {
			t.Fatal(err)
		}
		add(b, wrong.why)
	}
	swapped := encoded["a record and its predecessor"]
	at := 3 + len(honest.origin)
	swapped[at] = 1 // record, which is then read as the only one
	add(swapped, "two records, but it says one")
	add([]byte{1, 9}, "a kind that is not known: to be skipped")
	if i := slices.IndexFunc(v.Faults, func(f fault) bool { return !f.Valid }); i != valid || valid != 10 {
		t.Errorf("got %d valid proofs of %d, want the first 10", i, valid)
	}
	checkGolden(t, "faults.json", v)
}
