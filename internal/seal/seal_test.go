package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// quick is a Sealer for tests: opening takes a millisecond.
var quick = Sealer{Work: 8}

const passphrase = "correct horse battery staple"

func sealed(t testing.TB, plain string) []byte {
	t.Helper()
	file, err := quick.Seal(passphrase, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSealAndOpen(t *testing.T) {
	for _, plain := range []string{"", "a secret", strings.Repeat("x", MaxPlain)} {
		file := sealed(t, plain)
		if !Is(file) || len(file) > MaxSealed || plain != "" && bytes.Contains(file, []byte(plain)) {
			t.Errorf("%d bytes: %d bytes sealed, recognised %v", len(plain), len(file), Is(file))
		}
		got, err := Open(passphrase, file)
		if err != nil || string(got) != plain {
			t.Errorf("%d bytes: got %d, %v", len(plain), len(got), err)
		}
	}
	if _, err := quick.Seal(passphrase, make([]byte, MaxPlain+1)); err == nil {
		t.Error("a secret that could not be opened again was sealed")
	}
	if _, err := quick.Seal("", nil); err == nil {
		t.Error("an empty passphrase was taken")
	}
}

// TestStockAge: what we seal, age opens; what age seals with a passphrase, armoured or not, we open.
func TestStockAge(t *testing.T) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed(t, "ours"))), identity)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil || got.String() != "ours" {
		t.Errorf("age read %q, %v", got.String(), err)
	}
	theirs := ageFile(t, recipient(t, 8), "theirs")
	if plain, err := Open(passphrase, theirs); err != nil || string(plain) != "theirs" {
		t.Errorf("a binary age file: got %q, %v", plain, err)
	}
}

func recipient(t testing.TB, work int) age.Recipient {
	t.Helper()
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(work)
	return r
}

func ageFile(t testing.TB, to age.Recipient, plain string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFileOfVersion1 was sealed when version 1 was frozen, with the passphrase above; docs/feed.md, Vectors, has it too.
func TestFileOfVersion1(t *testing.T) {
	folder := filepath.Join("..", "..", "feed", "testdata", "v1", "station")
	file, err := os.ReadFile(filepath.Join(folder, "root.key.age"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(folder, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := Open(passphrase, file); err != nil || !bytes.Equal(plain, want) {
		t.Errorf("got %v, want the root key beside it", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := sealed(t, "a secret")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dear := bytes.Replace(ageFile(t, recipient(t, 8), ""), []byte(" 8\n"), []byte(" 21\n"), 1)
	huge := ageFile(t, recipient(t, 8), strings.Repeat("x", MaxPlain+1))
	for _, c := range []struct {
		name, passphrase string
		file             []byte
		want             error
	}{
		{"another passphrase", "Correct horse battery staple", file, ErrPassphrase},
		{"no passphrase", "", file, ErrPassphrase},
		{"nothing", passphrase, nil, ErrNotSealed},
		{"a plain key", passphrase, []byte("-----BEGIN PRIVATE KEY-----\n"), ErrNotSealed},
		{"sealed to a key", passphrase, ageFile(t, key.Recipient(), "x"), ErrNotSealed},
		{"more than we ever seal", passphrase, huge, ErrNotSealed},
		{"larger than any we make", passphrase, append(file, bytes.Repeat([]byte("\n"), MaxSealed)...), ErrNotSealed},
		{"costs more than it may", passphrase, dear, ErrDamaged},
		{"something behind it", passphrase, append(bytes.Clone(file), "more"...), ErrDamaged},
	} {
		if _, err := Open(c.passphrase, c.file); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// TestEveryCutIsNoticed: a file that was cut off anywhere opens to nothing, and neither does one with a character changed.
func TestEveryCutIsNoticed(t *testing.T) {
	file := bytes.TrimSpace(sealed(t, "a secret"))
	for n := range len(file) {
		if plain, err := Open(passphrase, file[:n]); err == nil {
			t.Errorf("cut off after %d of %d bytes: got %q", n, len(file), plain)
		}
		changed := bytes.Clone(file)
		changed[n] ^= 1
		if plain, err := Open(passphrase, changed); err == nil && string(plain) != "a secret" {
			t.Errorf("byte %d changed: got %q", n, plain)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sealed(f, "a secret"))
	f.Add(ageFile(f, recipient(f, 1), "x"))
	f.Add([]byte(binary + "v1\n-> scrypt AAAA 30\n"))
	f.Add([]byte(armor.Header + "\nAAAA\n" + armor.Footer))
	f.Fuzz(func(t *testing.T, file []byte) {
		plain, err := open(passphrase, file, 8) // the work factor is the file's; fuzzing has no time for a large one
		if len(plain) > MaxPlain || err == nil && !Is(file) {
			t.Errorf("got %d bytes, %v", len(plain), err)
		}
	})
}
