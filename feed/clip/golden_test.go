package clip

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

var update = flag.Bool("update", false, "write the golden clips anew: version 1 is frozen, so look at the difference")

const golden = "../testdata/v1"

const goldenLink = "tailcast:c6ag6pza7s6gsegw46jml4t5px76utyskkx57jjh25bkq2hnq6bx7fab"

func goldenRoot(t testing.TB) *feed.PublicKey {
	t.Helper()
	link, err := feed.ParseLink(goldenLink)
	if err != nil {
		t.Fatal(err)
	}
	return &link.Root
}

// A testWitness cosigns. Its seed is SHA-256("witness"), as of all keys of the vectors.
type testWitness struct {
	name string
	key  ed25519.PrivateKey
}

func newTestWitness(name string) testWitness {
	seed := sha256.Sum256([]byte(name))
	return testWitness{"tailcast.example/" + name, ed25519.NewKeyFromSeed(seed[:])}
}

func (w testWitness) id() []byte {
	sum := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.key.Public().(ed25519.PublicKey)...))
	return sum[:4]
}

func (w testWitness) vkey() string {
	key := append([]byte{4}, w.key.Public().(ed25519.PublicKey)...)
	return fmt.Sprintf("%s+%x+%s", w.name, w.id(), base64.StdEncoding.EncodeToString(key))
}

// line returns the signature line of a cosignature of text.
func (w testWitness) line(text string, at uint64) string {
	sig := ed25519.Sign(w.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	b := append(binary.BigEndian.AppendUint64(w.id(), at), sig...)
	return "— " + w.name + " " + base64.StdEncoding.EncodeToString(b) + "\n"
}

// cosign returns a head as a signed note with a cosignature.
func (w testWitness) cosign(h feed.Head, origin string, key feed.PublicKey, at uint64) []byte {
	text := feed.AppendHeadText(nil, origin, h.Size, h.Root)
	return append(h.Note(origin, key), w.line(string(text), at)...)
}

func witnesses(t testing.TB, list ...testWitness) (known []*Witness) {
	t.Helper()
	for _, w := range list {
		k, err := ParseWitness(w.vkey())
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, k)
	}
	return known
}

// openGolden opens the folder of the vectors.
func openGolden(t testing.TB) *feed.Replica {
	t.Helper()
	r, err := feed.Open(*goldenRoot(t), feed.Config{Dir: filepath.Join(golden, "channel"), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A run is blocks [from, to) of log tv of an epoch of the vectors: 0 or 1.
type run struct {
	epoch    int
	from, to uint64
}

// cutRuns writes a clip of those runs, by the code that cuts. Without anchors if bare is set.
func cutRuns(t testing.TB, r *feed.Replica, co *cosigned, bare bool, runs ...run) []byte {
	t.Helper()
	var b bytes.Buffer
	k := &cutter{name: "tv", out: NewWriter(&b, r.Root()), cosigned: co}
	for _, run := range runs {
		e, err := r.OpenEpoch(r.EpochIDs()[run.epoch])
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.Log("tv")
		if err != nil {
			t.Fatal(err)
		}
		for i := run.from; i < run.to; i++ {
			block, err := l.Block(i)
			if err == nil {
				err = k.block(&block, e)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if bare {
			k.out.Seal(nil)
			k.epoch = nil
		}
	}
	if err := k.end(); err != nil {
		t.Fatal(err)
	}
	if err := k.out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// goldenCosigned returns the head of the newer epoch's catalog, cosigned by two witnesses.
func goldenCosigned(t testing.TB, r *feed.Replica) []byte {
	t.Helper()
	e := r.Current()
	l, err := e.Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	head, key, text := l.Head(), e.Note().Key, []byte(nil)
	text = feed.AppendHeadText(text, l.Origin(), head.Size, head.Root)
	other := newTestWitness("other-witness").line(string(text), 1794999000)
	return append(newTestWitness("witness").cosign(head, l.Origin(), key, 1795003200), other...)
}

// goldenClips returns the clips of the vectors, by name.
func goldenClips(t testing.TB) map[string][]byte {
	t.Helper()
	r := openGolden(t)
	co, err := parseCosigned(goldenCosigned(t, r))
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"bare":     cutRuns(t, r, nil, true, run{1, 4, 7}),
		"epochs":   cutRuns(t, r, nil, true, run{0, 0, 2}, run{1, 0, 4}),
		"holes":    cutRuns(t, r, nil, true, run{1, 1, 2}, run{1, 4, 5}),
		"anchored": cutRuns(t, r, nil, false, run{0, 0, 2}, run{1, 0, 4}),
		"cosigned": cutRuns(t, r, co, false, run{1, 0, 4}),
		"imposter": cutRuns(t, r, signerAsWitness(t, r), false, run{1, 0, 4}),
	}
}

// What clips.json says of a clip.
type goldenClip struct {
	File      string
	Valid     bool
	Why       string
	Witnesses []string     `json:",omitempty"` // verifier keys to check it with
	Parts     []goldenPart `json:",omitempty"`
}

type goldenPart struct {
	Epoch     string
	From, To  uint64
	Continues bool
	Size      uint64   `json:",omitempty"` // anchored
	Catalog   uint64   `json:",omitempty"`
	Cosigned  []string `json:",omitempty"` // name, time, and whether it was checked
}

func describe(r *Report) (parts []goldenPart) {
	for _, p := range r.Parts {
		g := goldenPart{Epoch: p.Epoch.Key.EpochID().String(), From: p.From, To: p.To, Continues: p.Continues}
		if p.Anchor != nil {
			g.Size, g.Catalog = p.Anchor.Size, p.Anchor.Catalog.Size
			for _, w := range p.Anchor.Witnesses {
				g.Cosigned = append(g.Cosigned, fmt.Sprintf("%s %s %v", w.Name, w.Time.Format(time.RFC3339), w.Checked))
			}
		}
		parts = append(parts, g)
	}
	return parts
}

// The clips of version 1, and what they prove.
func TestGoldenClips(t *testing.T) {
	clips := goldenClips(t)
	witness := newTestWitness("witness").vkey()
	imposter := newTestWitness("imposter")
	imposter.name = newTestWitness("witness").name
	var v struct {
		Comment string
		Clips   []goldenClip
	}
	v.Comment = "docs/feed.md, Clips. Of the channel of channel/; the witness's seed is SHA-256(\"witness\"). Cosigned: name, time, whether it was checked."
	for _, c := range []goldenClip{
		{File: "bare", Valid: true, Why: "one part"},
		{File: "epochs", Valid: true, Why: "two epochs; the second names the end of the first"},
		{File: "holes", Valid: true, Why: "two parts of one epoch"},
		{File: "anchored", Valid: true, Why: "two epochs, each with an anchor"},
		{File: "cosigned", Valid: true, Why: "two cosignatures, one of a witness that is known", Witnesses: []string{witness}},
		{File: "cosigned", Valid: true, Why: "two cosignatures of nobody who is known"},
		{File: "cosigned", Valid: true, Why: "another key of that name has another key id", Witnesses: []string{imposter.vkey()}},
		{File: "imposter", Valid: true, Why: "a line under the name and key id of the log itself, whose good signature is in the same note, dates nothing", Witnesses: []string{witness}},
	} {
		report, err := Verify(bytes.NewReader(clips[c.File]), Options{Root: goldenRoot(t), Witnesses: parseAll(t, c.Witnesses)})
		if err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		c.Parts = describe(report)
		c.File += ".clip"
		v.Clips = append(v.Clips, c)
	}
	for name, content := range wrongClips(t) {
		clips[name] = content
	}
	for _, w := range wrongList {
		v.Clips = append(v.Clips, goldenClip{File: w.file + ".clip", Why: w.why, Witnesses: []string{witness}})
		if _, err := Verify(bytes.NewReader(clips[w.file]), Options{Root: goldenRoot(t), Witnesses: parseAll(t, []string{witness})}); err == nil {
			t.Errorf("%s: accepted, want %s", w.file, w.why)
		} else {
			t.Logf("%s: %v", w.file, err)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	checkFile(t, "clips.json", b.Bytes())
	for name, content := range clips {
		checkFile(t, "clips/"+name+".clip", content)
	}
}

func parseAll(t testing.TB, keys []string) (list []*Witness) {
	t.Helper()
	for _, k := range keys {
		w, err := ParseWitness(k)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, w)
	}
	return list
}

func checkFile(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join(golden, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: this code makes another, but version 1 is frozen", path)
	}
}

// wrongList names what is wrong with each of wrongClips.
var wrongList = []struct{ file, why string }{
	{"wrong-order", "the earlier epoch comes last"},
	{"wrong-overlap", "two parts of one epoch without a hole between them"},
	{"wrong-notes", "the epoch note of the other epoch"},
	{"wrong-log", "a name under which the records were not signed"},
	{"wrong-log-change", "the second part is of another log"},
	{"wrong-anchor", "an anchor that does not name the log with that size"},
	{"wrong-anchor-early", "an anchored size before the end of the part"},
	{"wrong-cosignature", "a cosignature of another head under the name of the witness"},
	{"wrong-cosigned-twice", "a witness cosigned twice"},
	{"wrong-witness-time", "a time beyond the year 9999"},
	{"wrong-empty", "no part"},
	{"wrong-empty-part", "a part without records"},
	{"wrong-checksum", "another checksum"},
	{"wrong-tail", "a byte after the checksum"},
	{"wrong-version", "of version 2"},
	{"wrong-link", "a link in upper case"},
}

// wrongClips returns clips with right checksums (but for one) that must be refused.
func wrongClips(t testing.TB) map[string][]byte {
	t.Helper()
	r := openGolden(t)
	witness := newTestWitness("witness")
	catalog, err := r.Current().Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	head := catalog.Head()
	text := string(feed.AppendHeadText(nil, catalog.Origin(), head.Size, head.Root))
	lied := witness.line(strings.Replace(text, "\n3\n", "\n2\n", 1), 1795003200)
	cosignedBy := func(lines string) []byte {
		co := &cosigned{origin: catalog.Origin(), size: head.Size, root: head.Root.String(), lines: []byte(lines)}
		return cutRuns(t, r, co, false, run{1, 0, 4})
	}
	anchored := func(change func(*Proof)) []byte { return cutProof(t, r, change) }
	bare := cutRuns(t, r, nil, true, run{1, 4, 7})
	bad := map[string][]byte{
		"wrong-order":          cutRuns(t, r, nil, true, run{1, 0, 4}, run{0, 0, 2}),
		"wrong-overlap":        cutRuns(t, r, nil, true, run{1, 1, 2}, run{1, 2, 3}),
		"wrong-notes":          cutAs(t, r, "tv", 0, "tv", 1),
		"wrong-log":            cutAs(t, r, "tw", 1, "tv", 1),
		"wrong-log-change":     twoLogs(t, r),
		"wrong-anchor":         anchored(func(p *Proof) { p.Size, p.Cover, p.Signature = 6, coverOf(t, r, 4, 6), signatureOf(t, r, 6) }),
		"wrong-anchor-early":   anchored(func(p *Proof) { p.Size = 3; p.Cover = nil; p.Signature = signatureOf(t, r, 3) }),
		"wrong-cosignature":    cosignedBy(lied),
		"wrong-cosigned-twice": cosignedBy(witness.line(text, 1795003200) + witness.line(text, 1795003201)),
		"wrong-witness-time":   cosignedBy(witness.line(text, 253402300800)),
		"wrong-empty":          resum(append(bare[:len(title)+66:len(title)+66], 0)),
		"wrong-checksum":       append(bytes.Clone(bare[:len(bare)-1]), bare[len(bare)-1]^1),
		"wrong-tail":           append(bytes.Clone(bare), 0),
		"wrong-version":        resum(append([]byte("tailcast clip 2\n"), bare[len(title):len(bare)-32]...)),
		"wrong-link":           resum(bytes.Replace(bare[:len(bare)-32], []byte("tailcast:c"), []byte("tailcast:C"), 1)),
	}
	i := bytes.Index(bare, []byte{tagBlock, 1, byte(feed.Media)})
	bad["wrong-empty-part"] = resum(append(bytes.Clone(bare[:i]), 0, 0))
	return bad
}

// resum puts the right checksum behind a clip.
func resum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(bytes.Clone(b), sum[:]...)
}

// tvLog returns log tv of the newer epoch of the vectors.
func tvLog(t testing.TB, r *feed.Replica) *feed.Log {
	t.Helper()
	l, err := r.Current().Log("tv")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func signatureOf(t testing.TB, r *feed.Replica, size uint64) feed.Signature {
	t.Helper()
	h, ok := tvLog(t, r).HeadAt(size)
	if !ok {
		t.Fatalf("no head of size %d", size)
	}
	return h.Signature
}

func coverOf(t testing.TB, r *feed.Replica, from, to uint64) []merkle.Hash {
	t.Helper()
	cover, err := tvLog(t, r).Cover(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return cover
}

// cutAs writes blocks [0, 2) of a log under another name, and under the notes of an epoch.
func cutAs(t testing.TB, r *feed.Replica, name string, notesOf int, log string, epoch int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, r.Root())
	writeRun(t, r, w, name, notesOf, log, epoch)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeRun(t testing.TB, r *feed.Replica, w *Writer, name string, notesOf int, log string, epoch int) {
	t.Helper()
	ids := r.EpochIDs()
	named, err1 := r.OpenEpoch(ids[notesOf])
	e, err2 := r.OpenEpoch(ids[epoch])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	l, err := e.Log(log)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.Frontier(0)
	if err != nil {
		t.Fatal(err)
	}
	w.Begin(named.Notes(), name, &f)
	for i := range uint64(2) {
		block, err := l.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		w.Block(&block)
	}
	w.Seal(nil)
}

// twoLogs writes a part of one epoch's tv, and one of the next one's catalog.
func twoLogs(t testing.TB, r *feed.Replica) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, r.Root())
	writeRun(t, r, w, "tv", 0, "tv", 0)
	writeRun(t, r, w, feed.CatalogLog, 1, feed.CatalogLog, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// cutProof writes blocks [0, 4) of the newer epoch, with a proof that change spoilt.
func cutProof(t testing.TB, r *feed.Replica, change func(*Proof)) []byte {
	t.Helper()
	var b bytes.Buffer
	k := &cutter{name: "tv", out: NewWriter(&b, r.Root())}
	for i := range uint64(4) {
		block, err := tvLog(t, r).Block(i)
		if err == nil {
			err = k.block(&block, r.Current())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := k.proof()
	if err != nil || p == nil {
		t.Fatalf("got proof %v, %v", p, err)
	}
	change(p)
	k.out.Seal(p)
	if err := k.out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
