package feed

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxStations is the largest number of station keys of a channel.
const MaxStations = 4

// A ChannelNote says which stations may open epochs of a channel, and until when. Signed by the root key:
//
//	tailcast/1/<root>/channel-note
//	generation <number>
//	not-after <time, as 2027-02-21T06:00:00Z>
//	station <key>                                (one to four)
//
//	— tailcast/1/<root> <signature>
//
// A higher generation replaces a lower one for ever: that is the answer to a stolen station key.
type ChannelNote struct {
	Root       PublicKey
	Generation uint64    // 1 to MaxNumber
	NotAfter   time.Time // whole seconds, UTC
	Stations   []PublicKey
}

const channelNote = "channel-note"

// SignChannelNote signs n with the root key, which also gives n.Root. NotAfter loses fractions of a second.
func SignChannelNote(root ed25519.PrivateKey, n ChannelNote) ([]byte, error) {
	n.Root = publicKey(root)
	signed := signNote(n.text(), []noteKey{rootNoteKey(n.Root)}, []ed25519.PrivateKey{root})
	if _, err := OpenChannelNote(n.Root, signed); err != nil {
		return nil, fmt.Errorf("couldn't sign: %w", err)
	}
	return signed, nil
}

// OpenChannelNote verifies and reads a channel note of that root. It does not look at the clock: see Expired.
func OpenChannelNote(root PublicKey, signed []byte) (ChannelNote, error) {
	n, err := parseChannelNote(signed)
	if err == nil && n.Root != root {
		err = fmt.Errorf("it is of another channel, %v", n.Root)
	}
	if err == nil {
		err = verifyNote(signed, rootNoteKey(root))
	}
	if err != nil {
		return ChannelNote{}, fmt.Errorf("channel note: %w", err)
	}
	return n, nil
}

// openAnyChannelNote verifies and reads a channel note by the root key that it names itself.
func openAnyChannelNote(signed []byte) (ChannelNote, error) {
	n, err := parseChannelNote(signed)
	if err != nil {
		return ChannelNote{}, fmt.Errorf("channel note: %w", err)
	}
	return OpenChannelNote(n.Root, signed)
}

// Errors of notes that are handed to a station.
var (
	// ErrOtherChannel says that something is of another channel than the keys it was to be used with.
	ErrOtherChannel = errors.New("of another channel")
	// ErrOlderNote says that a channel note would go back behind the one that is there.
	ErrOlderNote = errors.New("older than the channel note that is here")
)

// replaces returns nil if n may take the place of old: a higher generation, or the same one to last as long at least.
func (n *ChannelNote) replaces(old ChannelNote) error {
	switch {
	case n.Root != old.Root:
		return fmt.Errorf("%w: of %v, want %v", ErrOtherChannel, n.Root, old.Root)
	case n.Generation < old.Generation:
		return fmt.Errorf("%w: it is of generation %d, this of %d", ErrOlderNote, n.Generation, old.Generation)
	case n.Generation == old.Generation && n.NotAfter.Before(old.NotAfter):
		return fmt.Errorf("%w: it ends on %s, this on %s", ErrOlderNote, n.NotAfter.Format(noteTime), old.NotAfter.Format(noteTime))
	}
	return nil
}

// Expired reports whether the note is past its time: refused for live, reported for archives.
func (n *ChannelNote) Expired(now time.Time) bool { return now.After(n.NotAfter) }

func (n *ChannelNote) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\ngeneration %d\nnot-after %s\n", noteTitle(n.Root, channelNote), n.Generation, n.NotAfter.UTC().Format(noteTime))
	for _, s := range n.Stations {
		fmt.Fprintf(&b, "station %v\n", s)
	}
	return b.String()
}

// parseChannelNote reads a channel note without verifying its signature.
func parseChannelNote(signed []byte) (ChannelNote, error) {
	text, err := noteText(signed)
	if err != nil {
		return ChannelNote{}, err
	}
	r := newNoteReader(text)
	n := ChannelNote{Root: r.title(channelNote), Generation: r.number("generation"), NotAfter: r.time("not-after")}
	for r.next("station") {
		n.Stations = append(n.Stations, r.key("station"))
	}
	if err := r.end(text, n.text()); err != nil {
		return ChannelNote{}, err
	}
	return n, n.check()
}

// check returns what is wrong with a note that is written correctly.
func (n *ChannelNote) check() error {
	if len(n.Stations) == 0 || len(n.Stations) > MaxStations {
		return fmt.Errorf("got %d stations, want 1 to %d", len(n.Stations), MaxStations)
	}
	for i, s := range n.Stations {
		if s == n.Root {
			return errors.New("the root key cannot be a station")
		}
		if slices.Contains(n.Stations[:i], s) {
			return fmt.Errorf("station %v twice", s)
		}
	}
	return nil
}
