package feed

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// parsers holds every exported function that reads bytes of strangers, with a text that it takes.
func parsers(t *testing.T) map[string]parserCase {
	t.Helper()
	c, e, r := testChannelNote(), testEpochNote(), testRecord()
	entry, err := testState().Payload()
	if err != nil {
		t.Fatal(err)
	}
	key := publicKey(seedKey("root"))
	return map[string]parserCase{
		"ParseLink":         {testLink().String(), maxLink, func(s string, _ []byte) error { _, err := ParseLink(s); return err }},
		"ParseAnchor":       {"tv.example:4433~" + key.String(), maxAnchor, func(s string, _ []byte) error { _, err := ParseAnchor(s); return err }},
		"ParseOrigin":       {testOrigin("tv"), MaxOrigin, func(s string, _ []byte) error { _, _, _, err := ParseOrigin(s); return err }},
		"CheckLogName":      {"tv", MaxLogName, func(s string, _ []byte) error { return CheckLogName(s) }},
		"ParsePublicKey":    {string(key[:]), KeySize, func(_ string, b []byte) error { _, err := ParsePublicKey(b); return err }},
		"DecodePublicKey":   {key.String(), len(key.String()), func(s string, _ []byte) error { _, err := DecodePublicKey(s); return err }},
		"ParseEpochID":      {key.EpochID().String(), 16, func(s string, _ []byte) error { _, err := ParseEpochID(s); return err }},
		"OpenChannelNote":   {string(signedChannelNote(t, c)), MaxNote, func(_ string, b []byte) error { _, err := OpenChannelNote(c.Root, b); return err }},
		"OpenEpochNote":     {string(signedEpochNote(t, e)), MaxNote, func(_ string, b []byte) error { _, err := OpenEpochNote(c, b); return err }},
		"ParseRecord":       {string(r.Append(nil)), RecordSize, func(_ string, b []byte) error { _, err := ParseRecord(b); return err }},
		"ParseCatalogEntry": {string(entry), MaxCatalogEntry, func(_ string, b []byte) error { _, err := ParseCatalogEntry(b); return err }},
		"ParseFault":        {testFault(t), MaxFaultProof, func(_ string, b []byte) error { _, err := ParseFault(b); return err }},
		"ParsePrivateKey":   {string(MarshalPrivateKey(seedKey("root"))), MaxNote, func(_ string, b []byte) error { _, err := ParsePrivateKey(b); return err }},
		"ReadBackup":        {testBackup(t), MaxBackup, func(_ string, b []byte) error { _, err := ReadBackup(b); return err }},
	}
}

type parserCase struct {
	good  string
	limit int // length of the longest text that the format allows
	read  func(s string, b []byte) error
}

// testFault returns the proof of a fork.
func testFault(t *testing.T) string {
	t.Helper()
	p := testFork(t, 5, 8, 4)
	b, err := EncodeFault(&p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testBackup returns a backup of a station.
func testBackup(t *testing.T) string {
	t.Helper()
	signed := signedChannelNote(t, testChannelNote())
	b := backup{publicKey(seedKey("root")), []backupFile{{channelNoteFile, signed}, {stationKeyFile, MarshalPrivateKey(seedKey("station"))}}}
	return string(b.text())
}

// reads matches the names of functions that read something, from bytes or text.
var reads = regexp.MustCompile(`^(Parse|Decode|Read|Check|Open)[A-Z]`)

// parserNames reads from the source which exported functions there are that read bytes or texts.
func parserNames(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && reads.MatchString(fn.Name.Name) && takesText(fn) {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// takesText reports whether a function takes bytes or a string that is not the path of a folder.
func takesText(fn *ast.FuncDecl) bool {
	for _, p := range fn.Type.Params.List {
		if id, ok := p.Type.(*ast.Ident); ok && id.Name == "string" && len(p.Names) > 0 && p.Names[0].Name != "dir" {
			return true
		}
		if a, ok := p.Type.(*ast.ArrayType); ok {
			if id, ok := a.Elt.(*ast.Ident); ok && id.Name == "byte" {
				return true
			}
		}
	}
	return false
}

// hostile returns texts that cost most where somebody splits, decodes or nests without looking at the length, up to n bytes each, after
// all of a good one, half of it, or nothing.
func hostile(good string, n int) (list []string) {
	units := []string{
		"\x00", "a", "\n", "\n\n", "/", "&a=h:1", "%00", "[", `{"a":`, `"a",`, `{"type":"state","title":"`, `{},`, "1", "station x\n",
		"— tailcast/1/a AAAA\n", "head a 1 AAAA\n", "-----BEGIN PRIVATE KEY-----\n", "AAAA\n", "\xff", "é",
	}
	for _, unit := range units {
		for _, head := range []string{"", good[:len(good)/2], good, "[", `{"type":"anchor","logs":[`} {
			text := head + strings.Repeat(unit, max(0, n-len(head))/len(unit))
			list = append(list, text)
		}
	}
	// Lengths and sizes, wherever they may be, as large as they get.
	for i := range min(len(good), 300) {
		for _, width := range []int{1, 4, 8} {
			if i+width <= len(good) {
				list = append(list, good[:i]+strings.Repeat("\xff", width)+good[i+width:])
			}
		}
	}
	// Members that all differ, as many as fit.
	var b strings.Builder
	b.WriteString(`{"type":"state"`)
	for i := 0; b.Len() < n-12; i++ {
		b.WriteString(`,"` + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + `":[]`)
	}
	return append(list, b.String()+"}")
}

// Whatever a stranger writes, and however much: a parser looks at the length first, and allocates a small multiple of what its format allows.
func TestParsersAreBounded(t *testing.T) {
	cases, names, much := parsers(t), parserNames(t), 1<<20
	if testing.Short() {
		much = 1 << 16
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(cases)); !slices.Equal(got, names) {
		t.Fatalf("the package has the parsers\n%q, this test tries\n%q", names, got)
	}
	for name, p := range cases {
		if err := p.read(p.good, []byte(p.good)); err != nil {
			t.Errorf("%s: its good text: %v", name, err)
		}
		bound := uint64(8<<10 + 64*p.limit)
		for _, n := range []int{p.limit, much} {
			for _, s := range hostile(p.good, n) {
				b := []byte(s)
				if got := allocated(func() { _ = p.read(s, b) }); got > bound {
					t.Errorf("%s: allocated %d bytes for %d bytes %.60q, want at most %d", name, got, len(s), s, bound)
				}
			}
		}
	}
}

// allocated returns how many bytes fn allocates. Nothing else runs: tests that are parallel wait for those that are not.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
