package feed

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tailcast/feed/merkle"
)

// MaxLogs is the largest number of logs of an epoch, the catalog included.
const MaxLogs = 16

// An EpochNote opens an epoch: one run of one streamer, with a key that is only ever in its memory. It is signed by a station of the channel
// note of the same generation, and by the epoch key itself: who names a key must hold it.
//
//	tailcast/1/<root>/epoch-note
//	generation <number>
//	epoch <number>
//	key <key>
//	station <key>
//	last <generation> <number> <epoch id>        (if an earlier epoch is known)
//	head <log> <size> <root, base64>             (its logs, in order of name, at most 16)
//
//	— tailcast/1/<root>/station <signature>
//	— tailcast/1/<root>/<epoch id> <signature>
//
// Epochs are ordered by (generation, number).
type EpochNote struct {
	Root       PublicKey
	Generation uint64     // of the channel note
	Number     uint64     // max(unix ms, highest number known + 1), 1 to MaxNumber
	Key        PublicKey  // signs the heads of the epoch's logs
	Station    PublicKey  // opened the epoch
	Last       *LastEpoch // nil if none is known
}

// A LastEpoch is the newest epoch that the station knew when it opened the next one.
type LastEpoch struct {
	Generation uint64
	Number     uint64
	ID         EpochID
	Heads      []LogHead // in order of name
}

// A LogHead is the size and root of a named log.
type LogHead struct {
	Log  string
	Size uint64 // 1 to merkle.MaxSize
	Root merkle.Hash
}

const epochNote = "epoch-note"

// SignEpochNote signs n with the key of a station and with that of the epoch, which also give n.Station and n.Key.
func SignEpochNote(station, epoch ed25519.PrivateKey, n EpochNote) ([]byte, error) {
	n.Station, n.Key = publicKey(station), publicKey(epoch)
	signed := signNote(n.text(), n.noteKeys(), []ed25519.PrivateKey{station, epoch})
	if _, err := openEpochNote(signed); err != nil {
		return nil, fmt.Errorf("couldn't sign: epoch note: %w", err)
	}
	return signed, nil
}

// OpenEpochNote verifies and reads an epoch note under the channel note c.
func OpenEpochNote(c ChannelNote, signed []byte) (EpochNote, error) {
	n, err := openEpochNote(signed)
	if err == nil {
		err = n.isUnder(c)
	}
	if err != nil {
		return EpochNote{}, fmt.Errorf("epoch note: %w", err)
	}
	return n, nil
}

// Compare orders epochs: -1 if n comes before o, 1 if after, 0 if it is the same.
func (n *EpochNote) Compare(o *EpochNote) int {
	return compareEpochs(n.Generation, n.Number, o.Generation, o.Number)
}

// openEpochNote verifies an epoch note by the keys that it names itself.
func openEpochNote(signed []byte) (EpochNote, error) {
	n, err := parseEpochNote(signed)
	if err == nil {
		err = verifyNote(signed, n.noteKeys()...)
	}
	return n, err
}

func (n *EpochNote) noteKeys() []noteKey {
	return []noteKey{stationNoteKey(n.Root, n.Station), epochNoteKey(n.Root, n.Key)}
}

// isUnder returns nil if c allows n.
func (n *EpochNote) isUnder(c ChannelNote) error {
	switch {
	case n.Root != c.Root:
		return fmt.Errorf("it is of another channel, %v", n.Root)
	case n.Generation != c.Generation:
		return fmt.Errorf("it is of generation %d, the channel note of %d", n.Generation, c.Generation)
	case !slices.Contains(c.Stations, n.Station):
		return fmt.Errorf("station %v is not in the channel note", n.Station)
	}
	return nil
}

func (n *EpochNote) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\ngeneration %d\nepoch %d\nkey %v\nstation %v\n", noteTitle(n.Root, epochNote), n.Generation, n.Number, n.Key, n.Station)
	if n.Last != nil {
		fmt.Fprintf(&b, "last %d %d %v\n", n.Last.Generation, n.Last.Number, n.Last.ID)
		for _, h := range n.Last.Heads {
			fmt.Fprintf(&b, "head %s %d %v\n", h.Log, h.Size, h.Root)
		}
	}
	return b.String()
}

// parseEpochNote reads an epoch note without verifying its signatures.
func parseEpochNote(signed []byte) (EpochNote, error) {
	text, err := noteText(signed)
	if err != nil {
		return EpochNote{}, err
	}
	r := newNoteReader(text)
	n := EpochNote{
		Root: r.title(epochNote), Generation: r.number("generation"), Number: r.number("epoch"),
		Key: r.key("key"), Station: r.key("station"),
	}
	if r.next("last") {
		n.Last = r.last()
	}
	if err := r.end(text, n.text()); err != nil {
		return EpochNote{}, err
	}
	return n, n.check()
}

// last reads the lines about the last epoch.
func (r *noteReader) last() *LastEpoch {
	f := r.fields("last", 3)
	last := &LastEpoch{Generation: r.parseNumber("generation", f[0]), Number: r.parseNumber("epoch", f[1])}
	id, err := ParseEpochID(f[2])
	if err != nil {
		r.fail("last epoch: %w", err)
	}
	last.ID = id
	for r.next("head") {
		last.Heads = append(last.Heads, r.head())
	}
	return last
}

// head reads one line about a log of the last epoch.
func (r *noteReader) head() LogHead {
	f := r.fields("head", 3)
	h := LogHead{Log: f[0]}
	var err error
	if h.Root, err = parseHash(f[2]); err != nil {
		r.fail("head: %w", err)
	}
	if h.Size, err = strconv.ParseUint(f[1], 10, 64); err != nil {
		r.fail("head: %.40q is not a size", f[1])
	}
	return h
}

// check returns what is wrong with a note that is written correctly.
func (n *EpochNote) check() error {
	if n.Key == n.Station || n.Key == n.Root || n.Station == n.Root {
		return errors.New("root, station and epoch key must be three keys")
	}
	if n.Last == nil {
		return nil
	}
	if compareEpochs(n.Last.Generation, n.Last.Number, n.Generation, n.Number) >= 0 {
		return fmt.Errorf("last epoch (%d, %d) is not before (%d, %d)", n.Last.Generation, n.Last.Number, n.Generation, n.Number)
	}
	return checkLogHeads(n.Last.Heads)
}

// compareEpochs orders (generation, number).
func compareEpochs(generation1, number1, generation2, number2 uint64) int {
	return cmp.Or(cmp.Compare(generation1, generation2), cmp.Compare(number1, number2))
}

// parseHash reads a hash in standard base64, in the one spelling that merkle.Hash.String writes.
func parseHash(s string) (merkle.Hash, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != merkle.HashSize || merkle.Hash(b).String() != s {
		return merkle.Hash{}, fmt.Errorf("%.60q is not the base64 of a hash", s)
	}
	return merkle.Hash(b), nil
}

// checkLogHeads returns what is wrong with a list of heads: there are at most MaxLogs, of distinct logs, in order of name.
func checkLogHeads(heads []LogHead) error {
	if len(heads) > MaxLogs {
		return fmt.Errorf("%d heads, want at most %d", len(heads), MaxLogs)
	}
	for i, h := range heads {
		if err := CheckLogName(h.Log); err != nil {
			return err
		}
		if h.Size == 0 || h.Size > merkle.MaxSize {
			return fmt.Errorf("size %d of log %s, want 1 to %d", h.Size, h.Log, uint64(merkle.MaxSize))
		}
		if i > 0 && heads[i-1].Log >= h.Log {
			return fmt.Errorf("log %s after %s, want logs in order of name", h.Log, heads[i-1].Log)
		}
	}
	return nil
}
