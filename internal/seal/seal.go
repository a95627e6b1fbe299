// Package seal puts a secret under a passphrase: an age file (age-encryption.org/v1, scrypt), armoured so that it is text. The age
// command opens it too: `age --decrypt FILE`. Only the streamer's key commands link this package; who watches needs no passphrase.
package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const (
	// MaxPlain is the largest secret, in bytes.
	MaxPlain = 64 << 10
	// MaxSealed is the largest sealed file: base64, line breaks, header.
	MaxSealed = 2 * MaxPlain

	// maxWork bounds what opening a file may cost, whatever the file asks for: 2^20 are 1 GiB and some seconds.
	maxWork = 20
)

// Errors of Open.
var (
	// ErrPassphrase says that the passphrase is not the one that the file was sealed with.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrNotSealed says that the file is nothing that a passphrase opens.
	ErrNotSealed = errors.New("not a file sealed with a passphrase")
	// ErrDamaged says that the file was cut off or changed after it was sealed.
	ErrDamaged = errors.New("sealed file is damaged")
)

// A Sealer seals. The zero value does it as age does.
type Sealer struct {
	Work int // log2 of the scrypt work factor. If zero, age's default: 18, about a second and 256 MiB.
}

// binary is how an age file begins that is not armoured.
const binary = "age-encryption.org/"

// Is reports whether text looks like a sealed file.
func Is(text []byte) bool {
	text = bytes.TrimSpace(text)
	return bytes.HasPrefix(text, []byte(armor.Header)) || bytes.HasPrefix(text, []byte(binary))
}

// Seal returns plain as a file that only the passphrase opens.
func (s Sealer) Seal(passphrase string, plain []byte) ([]byte, error) {
	if len(plain) > MaxPlain {
		return nil, fmt.Errorf("%d bytes are too many to seal, want at most %d", len(plain), MaxPlain)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	if s.Work != 0 {
		recipient.SetWorkFactor(s.Work)
	}
	var sealed bytes.Buffer
	text := armor.NewWriter(&sealed)
	w, err := age.Encrypt(text, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = errors.Join(w.Close(), text.Close())
	return sealed.Bytes(), err
}

// Open returns what was sealed. Errors are ErrPassphrase, ErrNotSealed or ErrDamaged; none shows anything of the secret.
func Open(passphrase string, sealed []byte) ([]byte, error) { return open(passphrase, sealed, maxWork) }

func open(passphrase string, sealed []byte, maxWork int) ([]byte, error) {
	if !Is(sealed) || len(sealed) > MaxSealed {
		return nil, ErrNotSealed
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, ErrPassphrase
	}
	identity.SetMaxWorkFactor(maxWork)
	r, err := age.Decrypt(reader(sealed), identity)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other) && len(other.StanzaTypes) == 1 && other.StanzaTypes[0] == "scrypt":
		return nil, ErrPassphrase
	case errors.As(err, &other):
		return nil, fmt.Errorf("%w: it is sealed to a key", ErrNotSealed)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, MaxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(plain) > MaxPlain {
		return nil, fmt.Errorf("%w: it holds more than %d bytes", ErrNotSealed, MaxPlain)
	}
	return plain, nil
}

// reader returns the bytes of the age file in sealed, which may be armoured.
func reader(sealed []byte) io.Reader {
	text := bytes.TrimSpace(sealed)
	if bytes.HasPrefix(text, []byte(armor.Header)) {
		return armor.NewReader(bytes.NewReader(text))
	}
	return bytes.NewReader(sealed)
}
