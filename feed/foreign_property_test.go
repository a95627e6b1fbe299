package feed

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// A judged text is what some reader of ours says of it.
type judged struct {
	Kind  string // which reader
	Bytes string // base64
	Valid bool
}

// judge is the same reader in JavaScript, written from docs/feed.md. It says what it judges otherwise.
const judge = `
import * as v from './verify.mjs';
import { readFileSync } from 'node:fs';
const readers = {
  link: (b) => v.parseLink(b.toString()),
  origin: (b) => v.parseOrigin(b.toString()),
  key: (b) => v.keyText(b.toString(), 'key'),
  'public key': (b) => v.key(b, 'key'),
  record: (b) => v.parseRecord(b),
  'channel note': (b) => v.openChannelNote(b, root),
  'epoch note': (b) => v.openEpochNote(b, root, channel),
  entry: (b) => { if (v.parseEntry(b) === undefined) throw new v.Flaw('unknown type'); },
};
const [, file, rootKey, channelNote] = process.argv;
const root = v.keyText(rootKey, 'root'), channel = v.openChannelNote(Buffer.from(channelNote), root);
let other = 0, texts = JSON.parse(readFileSync(file));
for (const { Kind, Bytes, Valid } of texts) {
  const b = Buffer.from(Bytes, 'base64');
  let flaw;
  try { readers[Kind](b); } catch (e) { if (!(e instanceof v.Flaw)) throw e; flaw = e; }
  if (!flaw !== Valid && other++ < 20) console.log(Kind + ': ' + JSON.stringify(b.toString()) + ' is valid here: ' + !flaw + ', in Go: ' + Valid, flaw?.message ?? '');
}
console.log(texts.length + ' texts, ' + other + ' judged otherwise');
process.exit(other ? 1 : 0);
`

// The two readers, of which neither was made from the other, agree on every spelling of everything, valid or not.
func TestForeignVerifierAgreesOnSpellings(t *testing.T) {
	Alone(t)
	var list []judged
	add := func(kind string, b []byte, err error) {
		list = append(list, judged{kind, base64.StdEncoding.EncodeToString(b), err == nil})
	}
	peer := publicKey(seedKey("node"))
	link := Link{testLink().Root, []Anchor{{"tv.example.org:443", &peer}, {"[2001:db8::1]:4433", nil}}}.String()
	for kind, p := range map[string]parserCase{
		"link":   {good: link, read: func(s string, _ []byte) error { _, err := ParseLink(s); return err }},
		"origin": {good: testOrigin("1080p-b"), read: func(s string, _ []byte) error { _, _, _, err := ParseOrigin(s); return err }},
		"key":    {good: peer.String(), read: func(s string, _ []byte) error { _, err := DecodePublicKey(s); return err }},
	} {
		spellings(p.good, func(s string) {
			if utf8.ValidString(s) { // a string of JavaScript cannot hold others
				add(kind, []byte(s), p.read(s, nil))
			}
		})
	}
	for text := range testEntries() {
		spellings(text, func(s string) { _, err := ParseCatalogEntry([]byte(s)); add("entry", []byte(s), err) })
	}
	c, e := testChannelNote(), testEpochNote()
	for _, value := range []string{"generation 3", "2027-02-21T06:00:00Z", "not-after", "station", channelNote} {
		respell(t, c.text(), value, func(b []byte) { _, err := OpenChannelNote(c.Root, b); add("channel note", b, err) })
	}
	for _, value := range []string{"1795000000000", "1080p", "5077", e.Last.ID.String(), "head", epochNote} {
		respell(t, e.text(), value, func(b []byte) { _, err := OpenEpochNote(c, b); add("epoch note", b, err) })
	}
	r := testRecord()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 8 * RecordSize {
		b := r.Append(nil)
		b[i/8] ^= 1 << (i % 8)
		_, err := ParseRecord(b)
		add("record", b, err)
	}
	for range 500 {
		b := make([]byte, KeySize) // half of all numbers are a y of the curve
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		_, err := ParsePublicKey(b)
		add("public key", b, err)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "texts.json")
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log(node(t, "--input-type=module", "-e", judge, name, c.Root.String(), string(signedChannelNote(t, c))))
}

// respell calls try with the note, signed, for each other spelling of a value in its text.
func respell(t *testing.T, text, value string, try func(signed []byte)) {
	t.Helper()
	before, after, ok := strings.Cut(text, value)
	if !ok {
		t.Fatalf("%q is not in the note", value)
	}
	spellings(value, func(other string) { try(resign(before + other + after)) })
}
