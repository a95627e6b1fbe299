package feed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailcast/feed/merkle"
)

var update = flag.Bool("update", false, "write the golden vectors anew: version 1 is frozen, so look at the difference")

// goldenDir holds the vectors of version 1, for us and for other implementations. docs/feed.md, Vectors, explains them.
const goldenDir = "testdata/v1"

// checkGolden compares v, as JSON, with a golden file.
func checkGolden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(goldenDir, name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s: this code makes other vectors, but version 1 is frozen", path)
	}
}

// A verdict is a text and whether it is valid.
type verdict struct {
	Text  string
	Valid bool
	Why   string
}

func TestGoldenKeys(t *testing.T) {
	type key struct {
		Name, Seed, Public, Text, EpochID string
	}
	var v struct {
		Comment string
		Keys    []key     // Seed is SHA-256(Name), the private key of RFC 8032
		Public  []verdict // of 32 bytes
		Texts   []verdict // of keys as text
	}
	v.Comment = "docs/feed.md, Keys. Seed is SHA-256(Name); all keys of these vectors are made so."
	for _, name := range []string{"root", "station", "station 2", "epoch", "epoch before", "node"} {
		private := seedKey(name)
		k := publicKey(private)
		v.Keys = append(v.Keys, key{name, hex.EncodeToString(private.Seed()), hex.EncodeToString(k[:]), k.String(), k.EpochID().String()})
	}
	public := func(b []byte, why string) {
		_, err := ParsePublicKey(b)
		v.Public = append(v.Public, verdict{hex.EncodeToString(b), err == nil, why})
	}
	root := publicKey(seedKey("root"))
	public(root[:], "a key")
	for _, s := range smallOrder {
		public(mustHex(t, s), "small order")
	}
	public(mustHex(t, "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "y is p+1, the identity")
	public(mustHex(t, "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "y is p+3")
	public(mustHex(t, "0100000000000000000000000000000000000000000000000000000000000080"), "sign without x")
	text := func(s, why string) {
		_, err := DecodePublicKey(s)
		v.Texts = append(v.Texts, verdict{s, err == nil, why})
	}
	s := root.String()
	text(s, "a key")
	text(strings.ToUpper(s), "upper case")
	text(s[:51]+next32(s[51]), "trailing bits")
	text(s[:51], "too short")
	text(s+"====", "padding")
	requireVerdicts(t, v.Public, 1)
	requireVerdicts(t, v.Texts, 1)
	checkGolden(t, "keys.json", v)
}

// requireVerdicts checks that the first n verdicts are valid and the others are not, as they were meant.
func requireVerdicts(t *testing.T, list []verdict, n int) {
	t.Helper()
	for i, v := range list {
		if v.Valid != (i < n) {
			t.Errorf("%s (%q): got valid %v", v.Why, v.Text, v.Valid)
		}
	}
}

func TestGoldenLinks(t *testing.T) {
	type link struct {
		verdict
		Root      string
		Canonical string
	}
	var v struct {
		Comment string
		Links   []link
	}
	v.Comment = "docs/feed.md, Link."
	root, node := publicKey(seedKey("root")), publicKey(seedKey("node"))
	good := Link{Root: root}.String()
	var verdicts []verdict
	for _, l := range []struct{ text, why string }{
		{good, "no address"},
		{Link{root, []Anchor{{"127.0.0.1:4433", nil}}}.String(), "an address"},
		{Link{root, []Anchor{{"tv.example.org:443", &node}, {"[2001:db8::1]:4433", nil}}}.String(), "a name with its node key, an IPv6 address"},
		{strings.ToUpper(good), "upper case"},
		{good + "?v=9&a=tv.example.org:443&x", "unknown parameters"},
		{good + "?a=tv.example.org%3A443", "escaped"},
		{good[:len(good)-1], "a character less"},
		{strings.Replace(good, "a", "1", 2), "a digit 1"},
		{good[:20] + good[21:22] + good[20:21] + good[22:], "two characters exchanged"},
		{linkOf(root, 2), "version 2"},
		{linkOf(PublicKey{1}, 1), "key of small order"},
		{good + "?a=tv.example.org", "no port"},
		{good + "?a=tv.example.org:443~abc", "no node key"},
		{"tailcats:" + good[9:], "scheme"},
	} {
		parsed, err := ParseLink(l.text)
		e := link{verdict: verdict{l.text, err == nil, l.why}}
		if err == nil {
			e.Root, e.Canonical = hex.EncodeToString(parsed.Root[:]), parsed.String()
		}
		v.Links = append(v.Links, e)
		verdicts = append(verdicts, e.verdict)
	}
	requireVerdicts(t, verdicts, 6)
	checkGolden(t, "links.json", v)
}

func TestGoldenOrigins(t *testing.T) {
	var v struct {
		Comment string
		Origins []verdict
	}
	v.Comment = "docs/feed.md, Names."
	good := testOrigin("tv")
	for _, o := range []struct{ text, why string }{
		{good, "a log"},
		{testOrigin("log-with-a-name-of-32-characters"), "the longest"},
		{testOrigin("catalog"), "a catalog"},
		{good + "/", "a slash more"},
		{good + "\n", "a line break"},
		{strings.TrimSuffix(good, "tv") + "-tv", "a name that begins with -"},
		{strings.TrimSuffix(good, "tv") + "TV", "upper case"},
		{strings.TrimSuffix(good, "tv") + strings.Repeat("x", 33), "a name of 33 characters"},
		{strings.Replace(good, "/1/", "/2/", 1), "version 2"},
		{noteTitle(publicKey(seedKey("root")), channelNote), "a note"},
	} {
		_, _, _, err := ParseOrigin(o.text)
		v.Origins = append(v.Origins, verdict{o.text, err == nil, o.why})
	}
	requireVerdicts(t, v.Origins, 3)
	checkGolden(t, "origins.json", v)
}

func TestGoldenNotes(t *testing.T) {
	var v struct {
		Comment     string
		Root        string
		ChannelNote string
		EpochNotes  []string
		Wrong       []verdict // opened as channel note, or under ChannelNote as epoch note
	}
	c, e := testChannelNote(), testEpochNote()
	v.Comment = "docs/feed.md, Notes."
	v.Root = c.Root.String()
	v.ChannelNote = string(signedChannelNote(t, c))
	first := e
	first.Last = nil
	v.EpochNotes = []string{string(signedEpochNote(t, first)), string(signedEpochNote(t, e))}
	wrong := func(text, why string) {
		_, err1 := OpenChannelNote(c.Root, []byte(text))
		_, err2 := OpenEpochNote(c, []byte(text))
		v.Wrong = append(v.Wrong, verdict{text, err1 == nil || err2 == nil, why})
	}
	re := func(text, old, with string) string { return string(resign(strings.Replace(text, old, with, 1))) }
	wrong(strings.Replace(v.ChannelNote, "generation 3", "generation 4", 1), "changed after it was signed")
	wrong(re(c.text(), "generation 3", "generation 03"), "another spelling of a number")
	wrong(re(c.text(), "06:00:00Z", "06:00:00.000Z"), "another spelling of a time")
	wrong(re(c.text(), "\nstation", "\nnote x\nstation"), "an unknown line")
	wrong(re(c.text(), "station "+c.Stations[1].String(), "station "+c.Stations[0].String()), "a station twice")
	wrong(v.ChannelNote+"— witness AAAAAAAA\n", "a signature more")
	wrong(v.EpochNotes[0][:strings.LastIndex(v.EpochNotes[0], "— ")], "without the signature of the epoch key")
	wrong(re(e.text(), "generation 3", "generation 4"), "a generation that the channel note is not of")
	wrong(re(e.text(), "head catalog", "head 0"), "heads out of order")
	wrong(string(testHeadNote()), "a head")
	requireVerdicts(t, v.Wrong, 0)
	checkGolden(t, "notes.json", v)
}

func TestGoldenRecords(t *testing.T) {
	type record struct {
		Hex   string
		Valid bool
		Why   string
		Leaf  string
	}
	type pair struct {
		Prev, Next string // Prev is empty for record 0
		Valid      bool
		Why        string
	}
	var v struct {
		Comment string
		Records []record
		Pairs   []pair
	}
	v.Comment = "docs/feed.md, Records. Every record of Pairs is valid by itself."
	hexOf := func(r Record) string { return hex.EncodeToString(r.Append(nil)) }
	add := func(why string, change func(r *Record)) {
		r := testRecord()
		change(&r)
		b := r.Append(nil)
		_, err := ParseRecord(b)
		leaf := r.Leaf()
		v.Records = append(v.Records, record{hex.EncodeToString(b), err == nil, why, hex.EncodeToString(leaf[:])})
	}
	add("media", func(*Record) {})
	add("unknown kind and flags", func(r *Record) { r.Kind, r.Flags = 200, r.Flags|0x8080 })
	add("encrypted", func(r *Record) { r.Flags, r.ContentKey = r.Flags|Encrypted, 7 })
	add("heartbeat", func(r *Record) { r.Kind, r.Length = Heartbeat, 0 })
	add("kind 0", func(r *Record) { r.Kind = 0 })
	add("payload too large", func(r *Record) { r.Length = MaxPayload + 1 })
	add("heartbeat with payload", func(r *Record) { r.Kind = Heartbeat })
	add("end with payload", func(r *Record) { r.Kind = End })
	add("wall clock below 0", func(r *Record) { r.Wall = -1 })
	add("segment first with back", func(r *Record) { r.Back = 1 })
	add("back 0 without segment first", func(r *Record) { r.Flags &^= SegmentFirst })
	add("content key without encryption", func(r *Record) { r.ContentKey = 1 })
	add("offset too large", func(r *Record) { r.Offset = merkle.MaxSize*MaxPayload + 1 })
	version := v.Records[0]
	version.Hex, version.Valid, version.Why = "02"+version.Hex[2:], false, "version 2"
	b := merkle.LeafHash(mustHex(t, version.Hex))
	version.Leaf = hex.EncodeToString(b[:])
	v.Records = append(v.Records, version)

	join := func(why string, prev, r *Record) {
		p := pair{Next: hexOf(*r), Valid: r.Follows(prev) == nil, Why: why}
		if prev != nil {
			p.Prev = hexOf(*prev)
		}
		v.Pairs = append(v.Pairs, p)
	}
	in := testRecord()
	with := func(change func(r *Record)) *Record { r := recordAfter(in); change(&r); return &r }
	first := in
	first.Offset, first.Segment = 0, 0
	end := with(func(r *Record) { r.Kind, r.Length = End, 0 })
	join("first", nil, &first)
	join("next", &in, with(func(*Record) {}))
	join("next segment", &in, with(func(r *Record) { r.Flags, r.Segment, r.Back = SegmentFirst, 8, 0 }))
	join("end", &in, end)
	join("first with an offset", nil, with(func(r *Record) { r.Flags, r.Segment, r.Back = SegmentFirst, 0, 0 }))
	join("first in segment 7", nil, with(func(r *Record) { r.Flags, r.Offset, r.Back = SegmentFirst, 0, 0 }))
	join("gap in offset", &in, with(func(r *Record) { r.Offset++ }))
	join("wall clock back", &in, with(func(r *Record) { r.Wall-- }))
	join("segment skipped", &in, with(func(r *Record) { r.Flags, r.Segment, r.Back = SegmentFirst, 9, 0 }))
	join("segment without its first", &in, with(func(r *Record) { r.Segment = 8 }))
	join("back skipped", &in, with(func(r *Record) { r.Back = 2 }))
	after := recordAfter(*end)
	join("after end", end, &after)
	if i := slices.IndexFunc(v.Records, func(r record) bool { return !r.Valid }); i != 4 {
		t.Errorf("got %d valid records, want the first 4", i)
	}
	if i := slices.IndexFunc(v.Pairs, func(p pair) bool { return !p.Valid }); i != 4 {
		t.Errorf("got %d valid pairs, want the first 4", i)
	}
	checkGolden(t, "records.json", v)
}

func TestGoldenHeads(t *testing.T) {
	type head struct {
		Origin      string
		Key         string
		Size        uint64
		Root        string
		Text        string
		Signature   string
		Note        string
		VerifierKey string
	}
	var v struct {
		Comment string
		Heads   []head
	}
	v.Comment = "docs/feed.md, Heads. Key is the epoch key of keys.json."
	key := publicKey(seedKey("epoch"))
	for _, size := range []uint64{1, 2, 5077, merkle.MaxSize} {
		root := merkle.LeafHash([]byte{byte(size)})
		h := SignHead(seedKey("epoch"), testOrigin("tv"), size, root)
		text := string(AppendHeadText(nil, testOrigin("tv"), size, root))
		v.Heads = append(v.Heads, head{
			testOrigin("tv"), key.String(), size, hex.EncodeToString(root[:]), text,
			hex.EncodeToString(h.Signature[:]), string(h.Note(testOrigin("tv"), key)), stockVerifier(t, testOrigin("tv"), key),
		})
	}
	checkGolden(t, "heads.json", v)
}

func TestGoldenCatalog(t *testing.T) {
	var v struct {
		Comment string
		Entries []verdict // of JSON
	}
	v.Comment = "docs/feed.md, Catalog. The valid ones are written as we write them, but for the last."
	add := func(text, why string) {
		_, err := ParseCatalogEntry([]byte(text))
		v.Entries = append(v.Entries, verdict{text, err == nil, why})
	}
	texts := []string{}
	for text := range testEntries() {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	for _, text := range texts {
		add(text, "an entry")
	}
	add(`{ "x":null, "title":"a", "renditions":[{"stripes":1,"bitrate":0,"codecs":[],"name":"tv"}], "type":"state" }`, "other order, unknown member")
	add(`{"type":"successor"}`, "unknown type: to be skipped")
	add(`{"type":"state","title":"a","title":"b","renditions":[{"name":"tv","codecs":[],"stripes":1,"bitrate":0}]}`, "a member twice")
	add(`{"type":"state","title":"a","renditions":[{"name":"tv","codecs":[],"stripes":0,"bitrate":0}]}`, "no stripe")
	add(`{"type":"state","title":"a","renditions":[{"name":"catalog","codecs":[],"stripes":1,"bitrate":0}]}`, "a rendition named catalog")
	add(`{"type":"state","title":"a","renditions":[{"name":"tv","codecs":[],"stripes":1,"bitrate":0}],"guide":[{"start":1}]}`, "a programme without title")
	add(`{"type":"anchor","logs":[{"log":"tv","size":0,"root":"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`, "size 0")
	add(`{"type":"takedown","epoch":"aaaaaaaaaaaaaaaa","log":"tv","from":5,"to":5,"reason":""}`, "no records")
	add(`{"type":"anchor","logs":[]} {}`, "something after it")
	requireVerdicts(t, v.Entries, 6)
	checkGolden(t, "catalog.json", v)
}

func TestGoldenForks(t *testing.T) {
	type head struct {
		Size            uint64
		Root, Signature string
	}
	type fork struct {
		Origin          string
		Key             string
		A, B            head
		Frontier, Cover []string
		Valid           bool
		Why             string
	}
	var v struct {
		Comment string
		Forks   []fork
	}
	v.Comment = "docs/feed.md, Forks. Key is the epoch key of keys.json."
	hexes := func(hashes []merkle.Hash) []string {
		list := []string{}
		for _, h := range hashes {
			list = append(list, hex.EncodeToString(h[:]))
		}
		return list
	}
	hexHead := func(h Head) head {
		return head{h.Size, hex.EncodeToString(h.Root[:]), hex.EncodeToString(h.Signature[:])}
	}
	key := publicKey(seedKey("epoch"))
	add := func(p ForkProof, why string) {
		v.Forks = append(v.Forks, fork{p.Origin, key.String(), hexHead(p.A), hexHead(p.B), hexes(p.Frontier), hexes(p.Cover), p.Verify(key) == nil, why})
	}
	add(testFork(t, 5, 5, 4), "equal sizes")
	add(testFork(t, 5, 8, 4), "unequal sizes")
	add(testFork(t, 4, 8, 0), "unequal sizes")
	add(testFork(t, 5, 8, 8), "no fork: the second continues the first")
	short := testFork(t, 5, 8, 4)
	short.Cover = short.Cover[1:]
	add(short, "a hash less")
	unsigned := testFork(t, 5, 8, 4)
	unsigned.A.Signature[9] ^= 1
	add(unsigned, "not signed")
	if i := slices.IndexFunc(v.Forks, func(f fork) bool { return !f.Valid }); i != 3 {
		t.Errorf("got %d valid proofs, want the first 3", i)
	}
	checkGolden(t, "forks.json", v)
}
