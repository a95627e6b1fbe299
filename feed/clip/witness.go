package clip

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tailcast/feed"
)

// A Witness verifies the cosignatures of one witness: "cosignature/v1", Ed25519 with a time.
// https://c2sp.org/tlog-cosignature
type Witness struct {
	name string
	id   uint32
	key  feed.PublicKey
}

const (
	algCosignature = 0x04
	// cosignatureSize is the length of the bytes of a signature line: key id, time, signature.
	cosignatureSize = 4 + 8 + ed25519.SignatureSize
	// maxTime bounds times: the end of the year 9999.
	maxTime = 253402300799
)

// ErrWitness says that a text is no key of a witness.
var ErrWitness = errors.New("not the key of a witness (want <name>+<8 hexadecimal digits>+<base64>)")

// ParseWitness reads a verifier key as witnesses publish it: <name>+<key id>+<base64(0x04 || public key)>.
// https://c2sp.org/signed-note#verifier-keys
func ParseWitness(vkey string) (*Witness, error) {
	name, rest, ok1 := strings.Cut(strings.TrimSpace(vkey), "+")
	id, encoded, ok2 := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok1 || !ok2 || err != nil || len(key) != 1+feed.KeySize || !isName(name) {
		return nil, fmt.Errorf("%.80q: %w", vkey, ErrWitness)
	}
	if key[0] != algCosignature {
		return nil, fmt.Errorf("%.80q: %w: of algorithm %d, and only %d (Ed25519 with a time) is known", vkey, ErrWitness, key[0], algCosignature)
	}
	w := &Witness{name: name}
	if w.key, err = feed.ParsePublicKey(key[1:]); err != nil {
		return nil, fmt.Errorf("%.80q: %w", vkey, err)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	w.id = binary.BigEndian.Uint32(sum[:])
	if n, err := strconv.ParseUint(id, 16, 32); err != nil || len(id) != 8 || uint32(n) != w.id {
		return nil, fmt.Errorf("%.80q: %w: the key id is not that of name and key; it was probably mistyped", vkey, ErrWitness)
	}
	if rest != fmt.Sprintf("%08x+%s", w.id, base64.StdEncoding.EncodeToString(key)) {
		return nil, fmt.Errorf("%.80q: %w: another spelling of it", vkey, ErrWitness)
	}
	return w, nil
}

// isName tells whether s can name a key: https://c2sp.org/signed-note#signatures
func isName(s string) bool { return s != "" && !strings.ContainsFunc(s, isNoName) }

func isNoName(r rune) bool { return r <= ' ' || r == '+' || r == 0x7f || r > 0x7e }

// Verify reports whether sig (time and signature) is the witness's cosignature of the text of a checkpoint.
func (w *Witness) Verify(text, sig []byte) bool {
	if len(sig) != cosignatureSize-4 {
		return false
	}
	message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), text)
	return ed25519.Verify(w.key[:], message, sig[8:])
}

// A Cosignature is what a witness said of a head.
type Cosignature struct {
	Name    string
	Time    time.Time // by the clock of the witness
	Checked bool      // its key was given, and the signature is good; otherwise it proves nothing
}

// verifyCosignatures checks the signature lines under a head: their form, and the signatures of the witnesses whose keys are known. A line
// under any other name and key id, be it that of the log itself, whose signature is in the same note, dates nothing.
func verifyCosignatures(head *feed.Head, origin string, lines []byte, known []*Witness) (out []Cosignature, err error) {
	list, err := parseCosignatures(lines)
	if err != nil {
		return nil, err
	}
	text := feed.AppendHeadText(nil, origin, head.Size, head.Root)
	for _, c := range list {
		k := slices.IndexFunc(known, func(w *Witness) bool { return w.name == c.Name && w.id == c.id })
		if c.Checked = k >= 0; c.Checked && !known[k].Verify(text, c.signed) {
			return nil, fmt.Errorf("the cosignature of %s: %w", c.Name, feed.ErrSignature)
		}
		out = append(out, c.Cosignature)
	}
	return out, nil
}

// A cosignature is one signature line.
type cosignature struct {
	Cosignature
	id     uint32
	signed []byte // time and signature
}

// parseCosignatures reads signature lines in their one spelling.
func parseCosignatures(lines []byte) (list []cosignature, err error) {
	for line := range bytes.Lines(lines) {
		c, err := parseCosignature(string(line))
		if err != nil {
			return nil, fmt.Errorf("cosignature %d: %w", len(list)+1, err)
		}
		if slices.ContainsFunc(list, func(o cosignature) bool { return o.Name == c.Name && o.id == c.id }) {
			return nil, fmt.Errorf("cosignature %d: another one of %s", len(list)+1, c.Name)
		}
		list = append(list, c)
	}
	if len(list) > maxWitnesses || len(lines) > maxCosignatures {
		return nil, fmt.Errorf("%d cosignatures in %d bytes, want at most %d in %d", len(list), len(lines), maxWitnesses, maxCosignatures)
	}
	return list, nil
}

func parseCosignature(line string) (c cosignature, err error) {
	rest, ok1 := strings.CutPrefix(line, "— ")
	rest, ok2 := strings.CutSuffix(rest, "\n")
	name, encoded, ok3 := strings.Cut(rest, " ")
	b, err := base64.StdEncoding.DecodeString(encoded)
	if !ok1 || !ok2 || !ok3 || !isName(name) || err != nil || base64.StdEncoding.EncodeToString(b) != encoded {
		return c, errors.New("not a signature line")
	}
	if len(b) != cosignatureSize {
		return c, fmt.Errorf("%d bytes, want %d: key id, time, signature", len(b), cosignatureSize)
	}
	seconds := binary.BigEndian.Uint64(b[4:])
	if seconds > maxTime {
		return c, fmt.Errorf("time %d is beyond the year 9999", seconds)
	}
	c.Name, c.Time, c.id = name, time.Unix(int64(seconds), 0).UTC(), binary.BigEndian.Uint32(b)
	c.signed = b[4:]
	return c, nil
}
