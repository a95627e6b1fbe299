package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"filippo.io/edwards25519"
	"pgregory.net/rapid"

	"tailcast/feed/merkle"
)

// alike holds letters and digits that look like ours, or become ours where somebody folds case or normalizes.
var alike = map[rune]string{
	'a': "Aаａα@", 'b': "Bьｂ", 'c': "Cсｃ", 'd': "Dԁｄ", 'e': "Eеｅé", 'f': "Fｆƒ", 'g': "Gɡｇ", 'h': "Hһｈ", 'i': "Iіｉıİ1l", 'j': "Jјｊ",
	'k': "K\u212aκｋ", 'l': "Lⅼｌ1I", 'm': "Mⅿｍ", 'n': "Nｎ", 'o': "Oоｏο0", 'p': "Pрｐ", 'q': "Qｑ", 'r': "Rｒ", 's': "Sſѕｓ", 't': "Tｔ",
	'u': "Uｕ", 'v': "Vｖν", 'w': "Wｗ", 'x': "Xхｘ", 'y': "Yуｙ", 'z': "Zｚ",
	'0': "oO０", '1': "lI１١", '2': "２²٢Z", '3': "３³", '4': "４٤", '5': "５S", '6': "６", '7': "７", '8': "８B", '9': "９",
	'/': "\\∕／%", '-': "‐–−_", ':': "：∶", '=': "＝", '.': "。．", '~': "～", ' ': "\t\u00a0",
}

// between holds what slips in between characters, or at the ends.
var between = []string{" ", "\t", "\n", "\r", "\x00", "\u00a0", "\u200b", "\ufeff", "\u0301", "\u2028", "=", "/", "//", "0", "+", "%20", "%00", "&", ";", "\xff"}

// spellings calls try with everything that could pass for s: another case, letters that look alike, white space and invisible characters,
// percent signs, padding, trailing bits, leading zeros, one character more or less, two exchanged.
func spellings(s string, try func(other string)) {
	all := func(other string) {
		if other != s {
			try(other)
		}
	}
	for i, c := range s {
		head, tail := s[:i], s[i+utf8.RuneLen(c):]
		for _, other := range alike[c] {
			all(head + string(other) + tail)
		}
		for _, other := range []rune{unicode.ToUpper(c), unicode.ToLower(c), unicode.SimpleFold(c), c ^ 1, c + 1, c | 0x80, c + 0xfee0} {
			all(head + string(other) + tail)
		}
		for _, other := range []string{fmt.Sprintf("%%%02x", c), fmt.Sprintf("%%%02X", c), fmt.Sprintf("&#%d;", c), string([]byte{0xc0 | byte(c)>>6, 0x80 | byte(c)&0x3f}), ""} {
			all(head + other + tail) // the last but one is an overlong form of UTF-8
		}
		for _, other := range append(between, string(c)) {
			all(head + other + s[i:])
		}
		if len(tail) > 0 {
			all(head + tail[:1] + string(c) + tail[1:])
		}
	}
	for _, end := range append(between, "====", "a", "aaaaaaaa", "?", "#") {
		all(s + end)
		all(end + s)
	}
	for _, whole := range []string{"", strings.ToUpper(s), strings.ToTitle(s[:1]) + s[1:], `"` + s + `"`, s + s, s[:len(s)/2] + "\n" + s[len(s)/2:]} {
		all(whole)
	}
}

// A speller reads a text, and writes what it read. What two texts say is the same if it writes the same for both.
type speller struct {
	name string
	text string
	read func(s string) (again string, err error)
}

func spellers() []speller {
	key := publicKey(seedKey("root"))
	return []speller{
		{"key", key.String(), func(s string) (string, error) { k, err := DecodePublicKey(s); return k.String(), err }},
		{"epoch id", key.EpochID().String(), func(s string) (string, error) { id, err := ParseEpochID(s); return id.String(), err }},
		{"origin", testOrigin("1080p-b"), func(s string) (string, error) {
			root, id, log, err := ParseOrigin(s)
			if err != nil {
				return "", err
			}
			return Origin(root, id, log), nil
		}},
		{"log name", "1080p-b", func(s string) (string, error) { return s, CheckLogName(s) }},
		{"hash", merkle.LeafHash([]byte("x")).String(), func(s string) (string, error) { h, err := parseHash(s); return h.String(), err }},
	}
}

// Every value has one spelling: what is read at all is written again as it was. So no other text says the same.
func TestEverySpellingButOneIsRefused(t *testing.T) {
	for _, p := range spellers() {
		if again, err := p.read(p.text); err != nil || again != p.text {
			t.Fatalf("%s %q: got %q, %v", p.name, p.text, again, err)
		}
		tried := 0
		spellings(p.text, func(other string) {
			tried++
			if again, err := p.read(other); err == nil && again != other {
				t.Errorf("%s: took %q for %q", p.name, other, again)
			}
			if p.name == "log name" && strings.Trim(other, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" && CheckLogName(other) == nil {
				t.Errorf("%s: took %q", p.name, other)
			}
		})
		if want := 30 * len(p.text); tried < want {
			t.Errorf("%s: tried %d spellings, want at least %d", p.name, tried, want)
		}
	}
}

// The same for texts at random, a few changes away from a good one.
func TestRandomSpellings(t *testing.T) {
	list := spellers()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(list).Draw(t, "what")
		text := []byte(p.text)
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(text)).Draw(t, "at")
			del := rapid.IntRange(0, min(2, len(text)-at)).Draw(t, "removed")
			text = slices.Replace(text, at, at+del, rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "put in")...)
		}
		if again, err := p.read(string(text)); err == nil && again != string(text) {
			t.Fatalf("%s: took %q for %q", p.name, text, again)
		}
	})
}

// A link is typed and read out by people: it may be in upper case, with white space around it, with escapes in its addresses. Nothing else
// is forgiven, and whatever is taken is written in one way.
func TestEverySpellingOfALink(t *testing.T) {
	node := publicKey(seedKey("node"))
	name := testLink().String()
	full := Link{testLink().Root, []Anchor{{"tv.example.org:443", &node}}}.String()
	taken := 0
	spellings(full, func(other string) {
		l, err := ParseLink(other)
		if err != nil {
			return
		}
		taken++
		again := l.String()
		if same, err := ParseLink(again); err != nil || same.String() != again {
			t.Errorf("%q is written as %q, which is read as %v, %v", other, again, same, err)
		}
		if l.Root != testLink().Root {
			t.Errorf("took %q for a link of another channel", other)
		}
		if got, _, _ := strings.Cut(strings.TrimSpace(other), "?"); strings.Map(asciiLower, got) != name {
			t.Errorf("took %q for %q", got, name)
		}
		for _, c := range other {
			if c > unicode.MaxASCII && again == full {
				t.Errorf("took %q for %q", other, full)
			}
		}
	})
	if taken < len(full) {
		t.Errorf("only %d links were taken, but case does not matter", taken)
	}
}

func asciiLower(c rune) rune {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// Numbers and times in notes, spelled otherwise and signed all the same.
func TestEverySpellingInNotes(t *testing.T) {
	Alone(t)
	c, e := testChannelNote(), testEpochNote()
	openChannel := func(text string) error { _, err := OpenChannelNote(c.Root, resign(text)); return err }
	openEpoch := func(text string) error { _, err := OpenEpochNote(c, resign(text)); return err }
	if openChannel(c.text()) != nil || openEpoch(e.text()) != nil {
		t.Fatal("the notes themselves do not open")
	}
	tried := 0
	for _, tt := range []struct {
		text, value string
		open        func(string) error
	}{
		{c.text(), "3", openChannel},
		{c.text(), "2027-02-21T06:00:00Z", openChannel},
		{e.text(), "1795000000000", openEpoch},
		{e.text(), "5077", openEpoch},
		{e.text(), "generation", openEpoch},
	} {
		spellings(tt.value, func(other string) {
			if other == "" || strings.Trim(other, "0123456789") == "" && other[0] != '0' {
				return // another number
			}
			text := strings.Replace(tt.text, " "+tt.value+"\n", " "+other+"\n", 1)
			text = strings.Replace(text, " "+tt.value+" ", " "+other+" ", 1)
			if tt.value == "generation" {
				text = strings.Replace(tt.text, "\n"+tt.value, "\n"+other, 1)
			}
			if text == tt.text {
				t.Fatalf("%q is not in the note", tt.value)
			}
			tried++
			if err := tt.open(text); err == nil && !isOtherTime(other) {
				t.Errorf("took %q for %q", other, tt.value)
			}
		})
	}
	if tried < 1000 {
		t.Errorf("tried %d spellings, want over 1000", tried)
	}
}

// isOtherTime reports whether s is written as times are, and so is just another time.
func isOtherTime(s string) bool {
	form := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return '0'
		}
		return c
	}, s)
	return form == "0000-00-00T00:00:00Z"
}

// A signature has one spelling too: adding the order of the group to S makes other bytes, which no verifier may take.
func TestSignaturesAreNotMalleable(t *testing.T) {
	key, origin := publicKey(seedKey("epoch")), testOrigin("tv")
	// The order of the group, 2^252 + 27742317777372353535851937790883648493, little-endian (RFC 8032, section 5.1).
	order := mustHex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	h := testHead()
	for range 7 { // as often as it fits 256 bits
		carry := 0
		for i := range order {
			carry += int(h.Signature[32+i]) + int(order[i])
			h.Signature[32+i], carry = byte(carry), carry>>8
		}
		if h.Verify(key, origin) {
			t.Fatalf("took the signature %x", h.Signature)
		}
	}
}

// A key may have a part of small order beside its large one: such keys are points in canonical form, and every verifier that works
// without cofactor, as docs/feed.md asks, judges their signatures alike. They are of no use to anybody but who made them.
func TestKeysOfMixedOrderAreTaken(t *testing.T) {
	k := publicKey(seedKey("root"))
	p, err := new(edwards25519.Point).SetBytes(k[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range smallOrder[1:] {
		small, err := new(edwards25519.Point).SetBytes(mustHex(t, s))
		if err != nil {
			t.Fatal(err)
		}
		mixed := new(edwards25519.Point).Add(p, small).Bytes()
		if got, err := ParsePublicKey(mixed); err != nil || !bytes.Equal(got[:], mixed) || got == k {
			t.Errorf("%x: %v", mixed, err)
		}
		// It is another key: what the first signed does not verify under it.
		h := SignHead(seedKey("root"), testOrigin("tv"), 1, merkle.Hash{})
		if h.Verify(PublicKey(mixed), testOrigin("tv")) {
			t.Errorf("%x verifies what another key signed", mixed)
		}
	}
}
