package feed

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tailcast/feed/merkle"
)

func testChannelNote() ChannelNote {
	return ChannelNote{
		Root:       publicKey(seedKey("root")),
		Generation: 3,
		NotAfter:   time.Date(2027, 2, 21, 6, 0, 0, 0, time.UTC),
		Stations:   []PublicKey{publicKey(seedKey("station")), publicKey(seedKey("station 2"))},
	}
}

func testEpochNote() EpochNote {
	return EpochNote{
		Root:       publicKey(seedKey("root")),
		Generation: 3,
		Number:     1795000000000,
		Key:        publicKey(seedKey("epoch")),
		Station:    publicKey(seedKey("station")),
		Last: &LastEpoch{Generation: 2, Number: 1794000000000, ID: publicKey(seedKey("epoch before")).EpochID(), Heads: []LogHead{
			{"1080p", 5077, merkle.LeafHash([]byte("x"))}, {"catalog", 12, merkle.LeafHash([]byte("y"))},
		}},
	}
}

func signedChannelNote(t testing.TB, n ChannelNote) []byte {
	t.Helper()
	b, err := SignChannelNote(seedKey("root"), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signedEpochNote(t testing.TB, n EpochNote) []byte {
	t.Helper()
	b, err := SignEpochNote(seedKey("station"), seedKey("epoch"), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChannelNote(t *testing.T) {
	want := testChannelNote()
	got, err := OpenChannelNote(want.Root, signedChannelNote(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got.Expired(want.NotAfter) || !got.Expired(want.NotAfter.Add(time.Second)) {
		t.Error("want the note to expire right after its time")
	}
}

func TestEpochNote(t *testing.T) {
	for _, last := range []*LastEpoch{nil, {Generation: 3, Number: 1}, testEpochNote().Last} {
		want := testEpochNote()
		want.Last = last
		got, err := OpenEpochNote(testChannelNote(), signedEpochNote(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if got.text() != want.text() {
			t.Errorf("got %s, want %s", got.text(), want.text())
		}
	}
}

// Stock software opens our notes: they are C2SP signed notes, nothing less.
func TestNotesOpenWithStockVerifiers(t *testing.T) {
	root, epoch := publicKey(seedKey("root")), publicKey(seedKey("epoch"))
	for name, tt := range map[string]struct {
		signed  []byte
		keyName string
		key     PublicKey
	}{
		"root":    {signedChannelNote(t, testChannelNote()), "tailcast/1/" + root.String(), root},
		"station": {signedEpochNote(t, testEpochNote()), "tailcast/1/" + root.String() + "/station", publicKey(seedKey("station"))},
		"epoch":   {signedEpochNote(t, testEpochNote()), "tailcast/1/" + root.String() + "/" + epoch.EpochID().String(), epoch},
	} {
		encoded, err := note.NewEd25519VerifierKey(tt.keyName, tt.key[:])
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := note.NewVerifier(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := note.Open(tt.signed, note.VerifierList(verifier)); err != nil || len(n.Sigs) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever byte of a note one changes, removes or doubles: it does not open.
func TestEveryChangeOfANoteIsRefused(t *testing.T) {
	Alone(t)
	c := testChannelNote()
	for name, tt := range map[string]struct {
		signed []byte
		open   func([]byte) error
	}{
		"channel note": {signedChannelNote(t, c), func(b []byte) error { _, err := OpenChannelNote(c.Root, b); return err }},
		"epoch note":   {signedEpochNote(t, testEpochNote()), func(b []byte) error { _, err := OpenEpochNote(c, b); return err }},
	} {
		refused := 0
		refuse := func(b []byte) {
			if err := tt.open(b); err == nil {
				t.Fatalf("%s: took\n%s", name, b)
			} else if !strings.HasPrefix(err.Error(), name+": ") {
				t.Fatalf("%s: got %q, want it to begin with the name", name, err)
			}
			refused++
		}
		for i := range tt.signed {
			for bit := range 8 {
				b := slices.Clone(tt.signed)
				b[i] ^= 1 << bit
				refuse(b)
			}
			refuse(slices.Delete(slices.Clone(tt.signed), i, i+1))
			refuse(slices.Insert(slices.Clone(tt.signed), i, tt.signed[i]))
			refuse(tt.signed[:i])
		}
		refuse(append(slices.Clone(tt.signed), '\n'))
		if want := 11*len(tt.signed) + 1; refused != want {
			t.Errorf("%s: refused %d, want %d", name, refused, want)
		}
	}
}

// resign signs any text as if it were a note: by root, or by station and epoch key.
func resign(text string) []byte {
	n := testEpochNote()
	if strings.Contains(text, "/"+channelNote) {
		return signNote(text, []noteKey{rootNoteKey(n.Root)}, []ed25519.PrivateKey{seedKey("root")})
	}
	return signNote(text, n.noteKeys(), []ed25519.PrivateKey{seedKey("station"), seedKey("epoch")})
}

// Texts that their keys did sign, but that are written otherwise than we write them, or say what no note may say.
func TestSignedButWrong(t *testing.T) {
	channel, epoch := testChannelNote(), testEpochNote()
	station := "station " + channel.Stations[0].String() + "\n"
	open := func(signed []byte) error {
		if strings.Contains(string(signed), "/"+channelNote) {
			_, err := OpenChannelNote(channel.Root, signed)
			return err
		}
		_, err := OpenEpochNote(channel, signed)
		return err
	}
	for _, tt := range []struct{ text, old, new, says string }{
		{channel.text(), "generation 3", "generation 0", "number"},
		{channel.text(), "generation 3", "generation 03", "canonical"},
		{channel.text(), "generation 3", "generation +3", "number"},
		{channel.text(), "generation 3", "generation 9007199254740992", "2^53-1"},
		{channel.text(), "generation 3", "generation  3", "number"},
		{channel.text(), "generation 3", "Generation 3", "generation"},
		{channel.text(), "06:00:00Z", "06:00:00.0Z", "canonical"},
		{channel.text(), "06:00:00Z", "06:00:00+00:00", "time"},
		{channel.text(), "02-21T", "02-30T", "time"},
		{channel.text(), "06:00:00Z", "24:00:00Z", "time"},
		{channel.text(), station, station + station, "twice"},
		{channel.text(), station, station + "x y\n", "unexpected"},
		{channel.text(), station, station + "\n", "unexpected"},
		{channel.text(), "station " + channel.Stations[1].String(), "station " + channel.Root.String(), "root key"},
		{channel.text(), "station " + channel.Stations[1].String(), "station " + strings.Repeat("a", 52), "small order"},
		{channel.text(), "generation 3\n", "generation 3\r\n", "number"},
		{channel.text(), channel.Root.String(), publicKey(seedKey("node")).String(), "another channel"},
		{channel.text(), "tailcast/1/", "tailcast/2/", "first line"},
		{epoch.text(), "last 2 1794000000000", "last 3 1795000000000", "not before"},
		{epoch.text(), "generation 3", "generation 4", "generation"},
		{epoch.text(), "last 2 ", "last 4 ", "not before"},
		{epoch.text(), "last 2 ", "last 2", "3 values"},
		{epoch.text(), "head 1080p", "head catalog", "order of name"},
		{epoch.text(), "head 1080p", "head 108.p", "name a log"},
		{epoch.text(), "head 1080p 5077", "head 1080p 0", "size 0"},
		{epoch.text(), "head 1080p 5077", "head 1080p 1099511627776", "size"},
		{epoch.text(), "head 1080p 5077", "head 1080p 05077", "canonical"},
		{epoch.text(), "=\nhead", "==\nhead", "not the base64"},
		{epoch.text(), "key " + epoch.Key.String(), "key " + epoch.Station.String(), "three keys"},
		{epoch.text(), epoch.Root.String(), publicKey(seedKey("node")).String(), "no verifiable"},
	} {
		text := strings.Replace(tt.text, tt.old, tt.new, 1)
		if text == tt.text {
			t.Fatalf("%q is not in the text", tt.old)
		}
		err := open(resign(text))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q for %q: got %v, want it to say %q", tt.new, tt.old, err, tt.says)
		}
	}
}

func TestSignersAreExactlyThose(t *testing.T) {
	n := testEpochNote()
	keys := n.noteKeys()
	station, epoch, other := seedKey("station"), seedKey("epoch"), seedKey("other")
	for name, signed := range map[string][]byte{
		"no signature":             []byte(n.text()),
		"no signature at all":      []byte(n.text() + "\n"),
		"the station alone":        signNote(n.text(), keys[:1], []ed25519.PrivateKey{station}),
		"the epoch alone":          signNote(n.text(), keys[1:], []ed25519.PrivateKey{epoch}),
		"in the other order":       signNote(n.text(), []noteKey{keys[1], keys[0]}, []ed25519.PrivateKey{epoch, station}),
		"one twice":                signNote(n.text(), []noteKey{keys[0], keys[0], keys[1]}, []ed25519.PrivateKey{station, station, epoch}),
		"a stranger for the epoch": signNote(n.text(), keys, []ed25519.PrivateKey{station, other}),
		"a stranger as well": signNote(n.text(), append(slices.Clone(keys), noteKey{"stranger", publicKey(other)}),
			[]ed25519.PrivateKey{station, epoch, other}),
	} {
		if _, err := OpenEpochNote(testChannelNote(), signed); err == nil {
			t.Errorf("signed by %s: taken", name)
		}
	}
}

// Base64 has several spellings of the same signature: unused bits, line breaks. One counts.
func TestSignatureSpelling(t *testing.T) {
	c := testChannelNote()
	signed := string(signedChannelNote(t, c))
	if _, err := base64.StdEncoding.DecodeString(strings.TrimSpace(signed[strings.LastIndex(signed, " ")+1:])); err != nil {
		t.Fatal(err)
	}
	i := len(signed) - 3 // the last character before "=\n" or "==\n"
	for signed[i] == '=' {
		i--
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	other := signed[:i] + string(alphabet[strings.IndexByte(alphabet, signed[i])+1]) + signed[i+1:]
	if _, err := OpenChannelNote(c.Root, []byte(other)); err == nil {
		t.Error("took another spelling of the signature")
	}
	if _, err := OpenChannelNote(c.Root, []byte(strings.Replace(signed, "Z\n", "Z\r\n", 1))); err == nil {
		t.Error("took a carriage return")
	}
}

func TestChannelNoteBounds(t *testing.T) {
	for stations, ok := range map[int]bool{0: false, 1: true, 4: true, 5: false} {
		n := testChannelNote()
		n.Stations = nil
		for i := range stations {
			n.Stations = append(n.Stations, publicKey(seedKey(fmt.Sprint("station ", i))))
		}
		if _, err := SignChannelNote(seedKey("root"), n); (err == nil) != ok {
			t.Errorf("%d stations: got %v, want ok %v", stations, err, ok)
		}
	}
	n := testChannelNote()
	n.NotAfter = time.Time{}.AddDate(10000, 0, 0)
	if _, err := SignChannelNote(seedKey("root"), n); err == nil {
		t.Error("signed a note until the year 10001")
	}
	if _, err := OpenChannelNote(n.Root, make([]byte, MaxNote+1)); err == nil || !strings.Contains(err.Error(), "at most 4096") {
		t.Errorf("too long a note: got %v", err)
	}
}

// The largest note that may be signed fits.
func TestLargestEpochNote(t *testing.T) {
	n := testEpochNote()
	n.Generation, n.Number = MaxNumber, MaxNumber
	n.Last = &LastEpoch{Generation: MaxNumber, Number: MaxNumber - 1}
	for i := range MaxLogs {
		n.Last.Heads = append(n.Last.Heads, LogHead{fmt.Sprintf("%032d", i), merkle.MaxSize, merkle.Hash{}})
	}
	if b := signedEpochNote(t, n); len(b) > MaxNote {
		t.Errorf("got %d bytes, want at most %d", len(b), MaxNote)
	}
	n.Last.Heads = append(n.Last.Heads, LogHead{"z", 1, merkle.Hash{}})
	if _, err := SignEpochNote(seedKey("station"), seedKey("epoch"), n); err == nil {
		t.Error("signed a note with 17 heads")
	}
}

func TestEpochNoteBelongsToItsChannelNote(t *testing.T) {
	signed := signedEpochNote(t, testEpochNote())
	for says, change := range map[string]func(*ChannelNote){
		"not in the channel note":           func(c *ChannelNote) { c.Stations = c.Stations[1:] },
		"generation 3, the channel note of": func(c *ChannelNote) { c.Generation++ },
		"another channel":                   func(c *ChannelNote) { c.Root = publicKey(seedKey("other")) },
	} {
		c := testChannelNote()
		change(&c)
		if _, err := OpenEpochNote(c, signed); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
}

func TestEpochOrder(t *testing.T) {
	for _, tt := range []struct {
		g1, n1, g2, n2 uint64
		want           int
	}{
		{1, 5, 1, 5, 0},
		{1, 5, 1, 6, -1},
		{1, 6, 2, 5, -1},
		{2, 1, 1, 9, 1},
	} {
		a, b := EpochNote{Generation: tt.g1, Number: tt.n1}, EpochNote{Generation: tt.g2, Number: tt.n2}
		if got := a.Compare(&b); got != tt.want {
			t.Errorf("(%d, %d) to (%d, %d): got %d, want %d", tt.g1, tt.n1, tt.g2, tt.n2, got, tt.want)
		}
	}
}

func FuzzOpenChannelNote(f *testing.F) {
	c := testChannelNote()
	f.Add(signedChannelNote(f, c))
	f.Add([]byte(c.text()))
	f.Add([]byte("tailcast/1//channel-note\n\n\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		n, err := parseChannelNote(signed) // what lies behind the signature
		if err == nil && !strings.HasPrefix(string(signed), n.text()+"\n") {
			t.Errorf("%q is another spelling of %q", signed, n.text())
		}
		if n, err := OpenChannelNote(c.Root, signed); err == nil && n.text() != c.text() {
			t.Errorf("forged: %q", signed)
		}
	})
}

func FuzzOpenEpochNote(f *testing.F) {
	c, e := testChannelNote(), testEpochNote()
	f.Add(signedEpochNote(f, e))
	e.Last = nil
	f.Add(signedEpochNote(f, e))
	f.Add([]byte("tailcast/1//epoch-note\nlast  \nhead  \n\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		n, err := parseEpochNote(signed)
		if err == nil && !strings.HasPrefix(string(signed), n.text()+"\n") {
			t.Errorf("%q is another spelling of %q", signed, n.text())
		}
		if n, err := OpenEpochNote(c, signed); err == nil && n.Number != e.Number {
			t.Errorf("forged: %q", signed)
		}
	})
}
