package feed

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Notes are the two signed texts that stand between a link and a log, as they travel and are stored.
type Notes struct {
	Channel []byte // opens with the root key
	Epoch   []byte // opens with a station key of Channel; may be nil
}

// MaxNote is the largest note, in bytes.
const MaxNote = 4096

// MaxNumber bounds generations, epoch numbers and all numbers in JSON: the largest integer that is exact in every language.
const MaxNumber = 1<<53 - 1

// A noteKey is a key under the name by which it signs notes. The names keep the keys of one note apart.
type noteKey struct {
	name string
	key  PublicKey
}

// rootNoteKey, stationNoteKey and epochNoteKey name the keys that sign notes. Heads are signed by the epoch key named as their origin.
func rootNoteKey(root PublicKey) noteKey { return noteKey{originPrefix + root.String(), root} }

func stationNoteKey(root, station PublicKey) noteKey {
	return noteKey{originPrefix + root.String() + "/station", station}
}

func epochNoteKey(root, epoch PublicKey) noteKey {
	return noteKey{originPrefix + root.String() + "/" + epoch.EpochID().String(), epoch}
}

// noteTitle returns the first line of a note. No origin has this form, so no note is a head and no head a note.
func noteTitle(root PublicKey, kind string) string { return originPrefix + root.String() + "/" + kind }

// appendSignature appends a signature line: an em dash, the key's name, and base64 of the key's 4-byte id and the signature.
// https://c2sp.org/signed-note#signatures
func appendSignature(dst []byte, name string, key PublicKey, sig Signature) []byte {
	dst = append(append(append(dst, "— "...), name...), ' ')
	id := sha256.Sum256(append([]byte(name+"\n\x01"), key[:]...))
	dst = base64.StdEncoding.AppendEncode(dst, append(id[:4:4], sig[:]...))
	return append(dst, '\n')
}

// signNote returns text signed by each of the keys, in order. The names of keys and their private halves go together.
func signNote(text string, keys []noteKey, private []ed25519.PrivateKey) []byte {
	signed := []byte(text + "\n")
	for i, k := range keys {
		signed = appendSignature(signed, k.name, k.key, Signature(ed25519.Sign(private[i], []byte(text))))
	}
	return signed
}

// noteText returns the text of a signed note, not yet verified.
func noteText(signed []byte) (string, error) {
	if len(signed) > MaxNote {
		return "", fmt.Errorf("%d bytes, want at most %d", len(signed), MaxNote)
	}
	i := strings.LastIndex(string(signed), "\n\n")
	if i < 0 {
		return "", errors.New("no signature")
	}
	return string(signed[:i+1]), nil
}

// verifyNote returns nil if each of the keys, in order, and nobody else, signed the note.
func verifyNote(signed []byte, keys ...noteKey) error {
	var verifiers []note.Verifier
	for _, k := range keys {
		v, err := k.verifier()
		if err != nil {
			return err
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return err
	}
	// Open skips unknown and repeated signatures and several spellings of base64. We take one spelling: write it again.
	again := []byte(n.Text + "\n")
	for i, s := range n.Sigs {
		sig, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || i >= len(keys) || len(sig) != 4+SignatureSize {
			return errors.New("signatures are not those that it must have")
		}
		again = appendSignature(again, keys[i].name, keys[i].key, Signature(sig[4:]))
	}
	if len(n.Sigs) != len(keys) || string(again) != string(signed) {
		return errors.New("signatures are not exactly those that it must have, in order")
	}
	return nil
}

// verifier returns k for golang.org/x/mod/sumdb/note.
func (k noteKey) verifier() (note.Verifier, error) {
	encoded, err := note.NewEd25519VerifierKey(k.name, k.key[:])
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(encoded)
}

// A noteReader reads the lines of a note, each "word value". It remembers the first error, so that callers check once, at the end. It is
// lenient where writing the result again shows the difference: who reads a note compares what it writes with what it read.
type noteReader struct {
	lines []string
	err   error
}

func newNoteReader(text string) *noteReader {
	return &noteReader{lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n")}
}

// fail remembers the first error.
func (r *noteReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// next returns whether the next line begins with word.
func (r *noteReader) next(word string) bool {
	return r.err == nil && len(r.lines) > 0 && strings.HasPrefix(r.lines[0], word+" ")
}

// value returns what follows word in the next line.
func (r *noteReader) value(word string) string {
	if !r.next(word) {
		r.fail("want a line that begins %q", word)
		return ""
	}
	value := r.lines[0][len(word)+1:]
	r.lines = r.lines[1:]
	return value
}

// title takes the first line and returns the root key in it.
func (r *noteReader) title(kind string) PublicKey {
	rest, ok1 := strings.CutPrefix(r.lines[0], originPrefix)
	key, ok2 := strings.CutSuffix(rest, "/"+kind)
	if !ok1 || !ok2 {
		r.fail("want first line %s<root>/%s, got %.140q", originPrefix, kind, r.lines[0])
		return PublicKey{}
	}
	r.lines = r.lines[1:]
	return r.parseKey(key)
}

func (r *noteReader) key(word string) PublicKey { return r.parseKey(r.value(word)) }

func (r *noteReader) parseKey(s string) PublicKey {
	if r.err != nil {
		return PublicKey{}
	}
	k, err := DecodePublicKey(s)
	if err != nil {
		r.fail("%w", err)
	}
	return k
}

func (r *noteReader) number(word string) uint64 { return r.parseNumber(word, r.value(word)) }

// parseNumber reads a decimal number of 1 to MaxNumber.
func (r *noteReader) parseNumber(word, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if r.err == nil && (err != nil || n == 0 || n > MaxNumber) {
		r.fail("%s %.40q is not a number of 1 to 2^53-1", word, s)
	}
	return n
}

// noteTime is the layout of times in notes: UTC, whole seconds.
const noteTime = "2006-01-02T15:04:05Z"

func (r *noteReader) time(word string) time.Time {
	value := r.value(word)
	t, err := time.Parse(noteTime, value)
	if r.err == nil && err != nil {
		r.fail("%s %.40q is not a time like %s", word, value, noteTime)
	}
	return t
}

// fields returns the n words that follow word.
func (r *noteReader) fields(word string, n int) []string {
	fields := strings.Split(r.value(word), " ")
	if len(fields) != n {
		r.fail("%s: want %d values", word, n)
		return make([]string, n)
	}
	return fields
}

// end checks that all lines are read, and that the note is written as we write it.
func (r *noteReader) end(text, again string) error {
	if r.err == nil && len(r.lines) > 0 {
		r.fail("unexpected line %.80q", r.lines[0])
	}
	if r.err == nil && text != again {
		r.fail("not in canonical form")
	}
	return r.err
}
