package clip

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(golden, "clips", name+".clip"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every bit counts, also where nobody gave the key of the witness that cosigned.
func TestEveryBitOfAClip(t *testing.T) {
	for _, name := range []string{"cosigned", "epochs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, o := readGolden(t, name), Options{Root: goldenRoot(t)}
			step := stride
			if testing.Short() {
				step = max(stride, 17)
			}
			for i := 0; i < 8*len(b); i += step {
				b[i/8] ^= 1 << (i % 8)
				if _, err := Verify(bytes.NewReader(b), o); !errors.Is(err, ErrRefuted) {
					t.Fatalf("bit %d of byte %d changed: got %v", i%8, i/8, err)
				}
				b[i/8] ^= 1 << (i % 8)
			}
			if _, err := Verify(bytes.NewReader(b), o); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEveryLengthOfAClip(t *testing.T) {
	b := readGolden(t, "anchored")
	for n := 0; n < len(b); n += stride {
		if _, err := Verify(bytes.NewReader(b[:n]), Options{}); !errors.Is(err, ErrRefuted) {
			t.Fatalf("cut at byte %d: got %v", n, err)
		}
	}
	if _, err := Verify(bytes.NewReader(append(bytes.Clone(b), 0)), Options{}); !errors.Is(err, ErrRefuted) {
		t.Errorf("a byte longer: got %v", err)
	}
	if _, err := Verify(iotest.OneByteReader(bytes.NewReader(b)), Options{}); err != nil {
		t.Errorf("byte by byte: got %v", err)
	}
}

// A file that cannot be read is not refuted.
func TestUnreadableClip(t *testing.T) {
	b, broken := readGolden(t, "bare"), errors.New("the disk is broken")
	_, err := Verify(io.MultiReader(bytes.NewReader(b[:500]), iotest.ErrReader(broken)), Options{})
	if errors.Is(err, ErrRefuted) || !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// What a clip proves, it proves of the channel of one link.
func TestClipOfAnotherChannel(t *testing.T) {
	key := *goldenRoot(t)
	b := readGolden(t, "bare")
	link, err := feed.ParseLink(goldenLink)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(bytes.NewReader(b), Options{}); err != nil || r.Root != link.Root {
		t.Fatalf("got root %v, %v; want %v", r.Root, err, link.Root)
	}
	key[0] ^= 1
	if _, err := Verify(bytes.NewReader(b), Options{Root: &key}); !errors.Is(err, ErrRoot) {
		t.Errorf("got %v, want %v", err, ErrRoot)
	}
}

// Whoever takes the blocks gets all of them, verified, in order; what he says against them ends the reading.
func TestBlocksOfAClip(t *testing.T) {
	var got []uint64
	enough := errors.New("enough")
	o := Options{Block: func(p *Part, b *feed.Block) error {
		if got = append(got, b.Index); len(got) == 5 {
			return enough
		}
		return b.Record.CheckPayload(b.Payload)
	}}
	if _, err := Verify(bytes.NewReader(readGolden(t, "epochs")), o); !errors.Is(err, enough) || errors.Is(err, ErrRefuted) {
		t.Errorf("got %v, want %v", err, enough)
	}
	if want := []uint64{0, 1, 0, 1, 2}; len(got) != len(want) || got[1] != 1 || got[2] != 0 {
		t.Errorf("got blocks %v, want %v", got, want)
	}
}

func TestWitnessKeys(t *testing.T) {
	good := newTestWitness("witness").vkey()
	w, err := ParseWitness(good)
	if err != nil || w.name != "tailcast.example/witness" {
		t.Fatalf("got %v, %v", w, err)
	}
	for i := range good {
		b := []byte(good)
		b[i] ^= 1
		if _, err := ParseWitness(string(b)); err == nil {
			t.Errorf("byte %d changed: accepted %q", i, b)
		}
	}
	for _, bad := range []string{"", "a", "a+b", "a+00000000+", "name+1234abcd+BA==", " +1234abcd+AA"} {
		if _, err := ParseWitness(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

// TestWeakKeys: a key with which anybody can sign names no witness, and no channel of a clip.
func TestWeakKeys(t *testing.T) {
	good := readGolden(t, "bare")
	for name, key := range feedtest.WeakKeys() {
		b := append([]byte{algCosignature}, key[:]...)
		sum := sha256.Sum256(append([]byte("witness\n"), b...))
		if _, err := ParseWitness(fmt.Sprintf("witness+%x+%s", sum[:4], base64.StdEncoding.EncodeToString(b))); !errors.Is(err, feed.ErrKey) {
			t.Errorf("%s: as a witness: got %v, want ErrKey", name, err)
		}
		c := slices.Concat(good[:len(title)], []byte(feed.Link{Root: key}.String()), good[len(title)+65:len(good)-sha256.Size])
		if _, err := Verify(bytes.NewReader(resum(c)), Options{}); !errors.Is(err, ErrRefuted) || !errors.Is(err, feed.ErrKey) {
			t.Errorf("%s: as the channel of a clip: got %v, want ErrKey", name, err)
		}
	}
}

// FuzzVerify: no bytes make Verify panic, and what it accepts it has read to the end and could write again.
func FuzzVerify(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(golden, "clips", "*.clip"))
	if err != nil || len(names) == 0 {
		f.Fatal("no clips", err)
	}
	for _, n := range names {
		f.Add(readGolden(f, strings.TrimSuffix(filepath.Base(n), ".clip")))
	}
	o := Options{Root: goldenRoot(f), Witnesses: witnesses(f, newTestWitness("witness"))}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Verify(bytes.NewReader(b), o)
		if err == nil && (r.Bytes != int64(len(b)) || len(r.Parts) == 0) {
			t.Errorf("accepted %d parts with %d of %d bytes read", len(r.Parts), r.Bytes, len(b))
		}
		if sum := len(b) - sha256.Size; sum >= 0 && sum < 1<<16 { // beyond the checksum
			_, _ = Verify(bytes.NewReader(resum(b[:sum])), o)
		}
	})
}

// FuzzCosigned: neither a cosigned head nor the key of a witness makes its reader panic; lines that are taken are within their bounds.
func FuzzCosigned(f *testing.F) {
	r := openGolden(f)
	note := string(goldenCosigned(f, r))
	f.Add(note, newTestWitness("witness").vkey())
	f.Add(strings.Replace(note, "\n3\n", "\n03\n", 1), "a+00000000+BA==")
	f.Add("a\n1\nb\n\n— c d\n", "")
	f.Add(note+note[strings.LastIndex(note, "— "):], "tailcast.example/witness+544a3525+")
	f.Fuzz(func(t *testing.T, note, vkey string) {
		if w, err := ParseWitness(vkey); err == nil && (w.name == "" || !strings.HasPrefix(strings.TrimSpace(vkey), w.name+"+")) {
			t.Errorf("%q: got %+v", vkey, w)
		}
		co, err := parseCosigned([]byte(note))
		if err != nil {
			return
		}
		if list, err := parseCosignatures(co.lines); err != nil || len(list) == 0 || len(list) > maxWitnesses || len(co.lines) > maxCosignatures {
			t.Errorf("%q: got %d lines, %v", note, len(list), err)
		}
	})
}
