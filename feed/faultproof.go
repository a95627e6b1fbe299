package feed

import (
	"errors"
	"fmt"
)

// A FaultProof shows to anybody who knows the key of an epoch that its signer broke the rules: it is a *ForkProof, a *RuleProof or an
// *AnchorProof. Nothing else is needed to check one, and nobody can make one against an honest signer.
//
// Encoded it has at most MaxFaultProof bytes, and exactly one spelling (docs/feed.md, section 11):
//
//	u8 version 1 │ u8 kind │ u8 length, origin of the log │ what the kind has
type FaultProof interface {
	// Verify returns nil if the proof holds against the epoch with that key; else an error that wraps ErrNoFault.
	Verify(key PublicKey) error
	// Kind says what was done.
	Kind() FaultKind
	// Log returns the origin of the log in which it was done.
	Log() string

	// encode appends what follows the origin, and returns what cannot be encoded.
	encode(w *proofWriter) error
	// decode reads what follows the origin.
	decode(r *proofReader)
	// names sets the origin.
	names(origin string)
}

// A FaultKind says what a signer did.
type FaultKind uint8

// The kinds of proofs.
const (
	KindFork   FaultKind = 1 // two histories of one log
	KindRule   FaultKind = 2 // a record against the rules
	KindAnchor FaultKind = 3 // a catalog that names another history of a log
)

// String returns the kind in a word.
func (k FaultKind) String() string {
	switch k {
	case KindFork:
		return "fork"
	case KindRule:
		return "rule"
	case KindAnchor:
		return "anchor"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MaxFaultProof is the longest proof, in bytes: so that it fits into a message with room to spare. The catalog entry of an AnchorProof can be too long for that.
const MaxFaultProof = 12000

const faultVersion = 1

// Errors of proofs.
var (
	// ErrNoFault says that a proof does not prove anything: who sent it as one is a liar.
	ErrNoFault = errors.New("no fault")
	// ErrUnknownFault says that a proof is of a version or kind that this one does not know; whoever gets it skips it.
	ErrUnknownFault = errors.New("unknown kind of fault")
	// ErrFaultTooLong says that a proof is too long to be encoded.
	ErrFaultTooLong = errors.New("proof is too long")
)

// EncodeFault returns the bytes of a proof, always the same for the same proof.
func EncodeFault(p FaultProof) ([]byte, error) {
	origin := p.Log()
	if _, _, _, err := ParseOrigin(origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFault, err)
	}
	w := &proofWriter{buf: []byte{faultVersion, byte(p.Kind()), byte(len(origin))}}
	w.bytes([]byte(origin))
	if err := p.encode(w); err != nil {
		return nil, err
	}
	if len(w.buf) > MaxFaultProof {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrFaultTooLong, len(w.buf), MaxFaultProof)
	}
	return w.buf, nil
}

// ParseFault reads what EncodeFault makes, and accepts no other spelling. It verifies nothing.
func ParseFault(b []byte) (FaultProof, error) {
	if len(b) > MaxFaultProof {
		return nil, fmt.Errorf("%w: %w: %d bytes, want at most %d", ErrNoFault, ErrFaultTooLong, len(b), MaxFaultProof)
	}
	r := &proofReader{buf: b}
	version, kind := r.u8(), FaultKind(r.u8())
	p := newProof(kind)
	if r.err == nil && (version != faultVersion || p == nil) {
		return nil, fmt.Errorf("%w: version %d, %v", ErrUnknownFault, version, kind)
	}
	origin := string(r.bytes(int(r.u8())))
	if r.err == nil {
		_, _, _, r.err = ParseOrigin(origin)
	}
	if r.err == nil {
		p.names(origin)
		p.decode(r)
	}
	if r.err == nil && len(r.buf) > 0 {
		r.err = fmt.Errorf("%d bytes after its end", len(r.buf))
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFault, r.err)
	}
	return p, nil
}

func newProof(kind FaultKind) FaultProof {
	switch kind {
	case KindFork:
		return new(ForkProof)
	case KindRule:
		return new(RuleProof)
	case KindAnchor:
		return new(AnchorProof)
	}
	return nil
}

// epochOrigin checks that origin is of a log of the epoch with that key, and returns the origin of another of its logs.
func epochOrigin(origin string, key PublicKey, log string) (string, error) {
	root, id, _, err := ParseOrigin(origin)
	if err != nil {
		return "", err
	}
	if id != key.EpochID() {
		return "", fmt.Errorf("the origin is of epoch %v, the key of %v", id, key.EpochID())
	}
	return Origin(root, id, log), nil
}
