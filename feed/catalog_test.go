package feed

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tailcast/feed/merkle"
)

func testState() State {
	return State{Title: "Télé <1> & \"co\"", Renditions: []Rendition{
		{Name: "1080p", Codecs: []string{"avc1.64001f", "mp4a.40.2"}, Stripes: 16, Bitrate: 4_000_000},
		{Name: "radio", Stripes: 1},
	}}
}

func testGuide() []Programme {
	return []Programme{
		{time.Date(2026, 7, 1, 20, 15, 0, 0, time.UTC), 45 * time.Minute, "Tatort: Schnee", "Zwei Tote\nund ein Hund", "deu"},
		{Start: time.Date(2026, 7, 1, 21, 0, 0, 0, time.UTC), Title: "News"},
	}
}

// testEntries holds an entry of each type with its JSON.
func testEntries() map[string]CatalogEntry {
	root := merkle.Hash{1, 2, 3}
	return map[string]CatalogEntry{
		`{"type":"state","title":"Télé <1> & \"co\"","renditions":[` +
			`{"name":"1080p","codecs":["avc1.64001f","mp4a.40.2"],"stripes":16,"bitrate":4000000},` +
			`{"name":"radio","codecs":[],"stripes":1,"bitrate":0}]}`: testState(),
		`{"type":"state","title":"a","renditions":[{"name":"tv","codecs":[],"stripes":1,"bitrate":0}],"guide":[` +
			`{"start":1782936900,"duration":2700,"title":"Tatort: Schnee","text":"Zwei Tote\nund ein Hund","language":"deu"},` +
			`{"start":1782939600,"duration":0,"title":"News","text":"","language":""}]}`: State{
			Title: "a", Renditions: []Rendition{{Name: "tv", Stripes: 1}}, Guide: testGuide(),
		},
		`{"type":"anchor","logs":[{"log":"1080p","size":5077,"root":"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`: LogAnchor{Logs: []LogHead{{"1080p", 5077, root}}},
		`{"type":"anchor","logs":[]}`: LogAnchor{},
		`{"type":"takedown","epoch":"aaaaaaaaaaaaaaaa","log":"tv","from":5,"to":9,"reason":"music"}`: Takedown{Log: "tv", From: 5, To: 9, Reason: "music"},
	}
}

func TestCatalogEntries(t *testing.T) {
	for text, entry := range testEntries() {
		payload, err := entry.Payload()
		if err != nil || string(payload) != text {
			t.Errorf("got %s, %v, want %s", payload, err, text)
		}
		got, err := ParseCatalogEntry([]byte(text))
		if err != nil || !reflect.DeepEqual(got, entry) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, entry)
		}
	}
}

// What later versions add is skipped, wherever it is.
func TestUnknownMembersAreSkipped(t *testing.T) {
	got, err := ParseCatalogEntry([]byte(`{ "new": {"a":[1e9]}, "renditions": [ {"stripes":1,"bitrate":0,"codecs":[],"x":null,"name":"tv"} ],
		"type":"state", "title":"a", "Title":"b", "TYPE":7 }`))
	if want := (State{Title: "a", Renditions: []Rendition{{Name: "tv", Stripes: 1}}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := ParseCatalogEntry([]byte(`{"type":"successor"}`)); !errors.Is(err, ErrUnknownEntry) {
		t.Errorf("got %v, want ErrUnknownEntry", err)
	}
}

func TestWrongCatalogEntries(t *testing.T) {
	state := `{"type":"state","title":"a","renditions":[{"name":"tv","codecs":["x"],"stripes":1,"bitrate":0}]}`
	guide := `{"type":"state","title":"a","renditions":[{"name":"tv","codecs":[],"stripes":1,"bitrate":0}],"guide":[` +
		`{"start":1,"duration":2,"title":"t","text":"x","language":"deu"}]}`
	anchor := `{"type":"anchor","logs":[{"log":"tv","size":1,"root":"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`
	takedown := `{"type":"takedown","epoch":"aaaaaaaaaaaaaaaa","log":"tv","from":5,"to":9,"reason":"music"}`
	for _, text := range []string{state, guide, anchor, takedown} {
		if _, err := ParseCatalogEntry([]byte(text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for _, tt := range []struct{ text, old, new, says string }{
		{state, state, "", "not JSON"},
		{state, state, "[]", "not a JSON object"},
		{state, state, "null", "not a JSON object"},
		{state, state, state + state, "not JSON"},
		{state, state, "{}", `no member "type"`},
		{state, `"a"`, "\"\xff\"", "not UTF-8"},
		{state, `"a"`, "7", "title"},
		{state, `"a"`, "null", "title"},
		{state, `"a"`, `"` + strings.Repeat("x", 257) + `"`, "257 bytes"},
		{state, `"title"`, `"Title"`, `no member "title"`},
		{state, `"title":"a"`, `"title":"a","title":"b"`, "twice"},
		{state, `"title":"a"`, `"title":"a","\u0074itle":"b"`, "twice"},
		{state, `{"name"`, `{"name":"a","name"`, "twice"},
		{state, `"tv"`, `"tv/3"`, "name a log"},
		{state, `"tv"`, `"catalog"`, "catalog"},
		{state, `"stripes":1`, `"stripes":0`, "stripes"},
		{state, `"stripes":1`, `"stripes":33`, "stripes"},
		{state, `"stripes":1`, `"stripes":1.0`, "stripes"},
		{state, `"stripes":1`, `"stripes":1e0`, "stripes"},
		{state, `"stripes":1`, `"stripes":"1"`, "stripes"},
		{state, `"bitrate":0`, `"bitrate":-1`, "bitrate"},
		{state, `"bitrate":0`, `"bitrate":9007199254740992`, "2^53-1"},
		{state, `["x"]`, `["x",null]`, "null"},
		{state, `["x"]`, `"x"`, "codecs"},
		{state, `["x"]`, `[` + strings.Repeat(`"x",`, 32) + `"x"]`, "at most 32"},
		{state, `"x"`, `"` + strings.Repeat("x", 65) + `"`, "codec"},
		{state, `[{`, `[null,{`, "not a JSON object"},
		{state, `[{"name":"tv","codecs":["x"],"stripes":1,"bitrate":0}]`, "[]", "0 renditions"},
		{state, `[{`, `[` + strings.Repeat("{},", 16) + "{", "at most 16"},
		{state, `}]}`, `},{"name":"tv","codecs":[],"stripes":1,"bitrate":0}]}`, "twice"},
		{state, `"a"`, `"a","x":"` + strings.Repeat("x", MaxCatalogEntry) + `"`, "at most 16384"},
		{state, `"a"`, `"a","x":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000), ""},
		{guide, `[{"start"`, `["x",{"start"`, "not a JSON object"},
		{guide, `"guide":[`, `"guide":null,"x":[`, `no member "guide"`},
		{guide, `[{"start"`, `[` + strings.Repeat("{},", 8) + `{"start"`, "at most 8"},
		{guide, `"start":1,`, ``, "start"},
		{guide, `"start":1`, `"start":-1`, "start"},
		{guide, `"start":1`, `"start":4294967296`, "2^32-1"},
		{guide, `"duration":2`, `"duration":4294967296`, "2^32-1"},
		{guide, `"t"`, `"` + strings.Repeat("t", 257) + `"`, "title of 257 bytes"},
		{guide, `"x"`, `"` + strings.Repeat("x", 1025) + `"`, "text of 1025 bytes"},
		{guide, `"deu"`, `"deut"`, "language of 4 bytes"},
		{anchor, `"size":1`, `"size":0`, "size 0"},
		{anchor, `"size":1`, `"size":1099511627776`, "size"},
		{anchor, "AAA=", "AAB=", "base64"},
		{anchor, "AAA=", "AAA", "base64"},
		{anchor, "AQID", "AQ\\nID", "base64"},
		{anchor, `}]}`, `},{"log":"tv","size":1,"root":"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`, "order of name"},
		{takedown, `"to":9`, `"to":5`, "none"},
		{takedown, `"aaaaaaaaaaaaaaaa"`, `"aaaaaaaaaaaaaaa"`, "16"},
		{takedown, `"music"`, `"` + strings.Repeat("x", 1025) + `"`, "reason"},
	} {
		text := strings.Replace(tt.text, tt.old, tt.new, 1)
		if text == tt.text {
			t.Fatalf("%q is not in the text", tt.old)
		}
		_, err := ParseCatalogEntry([]byte(text))
		if tt.says == "" { // only that it does not hurt
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%.200s: got %v, want it to say %q", text, err, tt.says)
		}
	}
}

// TestPictureSizeIsAHint: a state says how large pictures are, or not; readers before that was known must agree with us on what is a state.
func TestPictureSizeIsAHint(t *testing.T) {
	s := testState()
	plain, _ := s.Payload()
	s.Renditions[0].Width, s.Renditions[0].Height = 1920, 1080
	b, err := s.Payload()
	if err != nil || !strings.Contains(string(b), `,"width":1920,"height":1080}`) || strings.Contains(string(plain), "width") {
		t.Fatalf("wrote %s and %s, %v", plain, b, err)
	}
	for value, want := range map[string]int{"1920": 1920, "65536": 0, "-1": 0, `"1920"`: 0, "null": 0, "1.5": 0, "[]": 0} {
		e, err := ParseCatalogEntry([]byte(strings.Replace(string(b), "1920", value, 1)))
		if err != nil || e.(State).Renditions[0].Width != want {
			t.Errorf("width %s: got %+v and %v, want %d", value, e, err, want)
		}
	}
}

func TestWrongEntriesAreNotWritten(t *testing.T) {
	for name, e := range map[string]CatalogEntry{
		"no rendition":  State{Title: "a"},
		"text":          State{Title: "\xff", Renditions: testState().Renditions},
		"programme":     State{Title: "a", Renditions: testState().Renditions, Guide: []Programme{{Title: "before 1970", Start: time.Unix(-1, 0)}}},
		"guide":         State{Title: "a", Renditions: testState().Renditions, Guide: make([]Programme, MaxGuide+1)},
		"size 0":        LogAnchor{Logs: []LogHead{{Log: "tv"}}},
		"empty range":   Takedown{Log: "tv", From: 5, To: 5},
		"order of name": LogAnchor{Logs: []LogHead{{"b", 1, merkle.Hash{}}, {"a", 1, merkle.Hash{}}}},
	} {
		if b, err := e.Payload(); err == nil {
			t.Errorf("%s: wrote %s", name, b)
		}
	}
}

// The largest entries fit.
func TestLargestEntries(t *testing.T) {
	s := State{Title: strings.Repeat("t", MaxTitle)}
	var a LogAnchor
	for i := range MaxLogs {
		a.Logs = append(a.Logs, LogHead{fmt.Sprintf("%032d", i), merkle.MaxSize, merkle.Hash{}})
		if i > 0 {
			r := Rendition{Name: fmt.Sprintf("%032d", i), Stripes: MaxStripes, Bitrate: MaxNumber}
			for range 8 {
				r.Codecs = append(r.Codecs, strings.Repeat("c", MaxCodec))
			}
			s.Renditions = append(s.Renditions, r)
		}
	}
	for _, e := range []CatalogEntry{s, a} {
		b, err := e.Payload()
		if err != nil {
			t.Errorf("%T: %v", e, err)
		}
		if _, err := ParseCatalogEntry(b); err != nil {
			t.Errorf("%T: %v", e, err)
		}
	}
}

func FuzzParseCatalogEntry(f *testing.F) {
	for text := range testEntries() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"type":"state","title":"\ud800","renditions":[{"name":"tv","codecs":null,"stripes":1e2,"bitrate":0}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := ParseCatalogEntry(payload)
		if err != nil {
			return
		}
		again, err := e.Payload()
		if err != nil {
			t.Fatalf("%q is read and cannot be written: %v", payload, err)
		}
		if same, err := ParseCatalogEntry(again); err != nil || !reflect.DeepEqual(same, e) {
			t.Errorf("%q gives %+v, which gives %s, %v", payload, e, again, err)
		}
	})
}
