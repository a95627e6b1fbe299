package audit

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

var later = time.Date(2027, 2, 21, 6, 0, 0, 0, time.UTC)

// quick waits for no writer.
var quick = Options{settle: time.Nanosecond}

// What a signer does against the rules is found, and so is what others say of his logs that is not true.
func TestSignersFaults(t *testing.T) {
	wrongRoot := func(h feed.LogHead) feed.LogHead { h.Root[0] ^= 1; return h }
	rule := func(change func(*feed.Record)) func(*testing.T, *signer) {
		return func(t *testing.T, s *signer) {
			l := s.epoch(t, 7, nil, later).log("tv").media(3)
			l.add(feed.Media, 0, "wrong", change)
		}
	}
	for what, c := range map[string]struct {
		make func(*testing.T, *signer)
		want string // "": nothing is wrong
	}{
		"right":        {rule(nil), ""},
		"offset":       {rule(func(r *feed.Record) { r.Offset++ }), "record 3: record breaks the rule that offset"},
		"wall":         {rule(func(r *feed.Record) { r.Wall -= 1e6 }), "wall clock"},
		"back":         {rule(func(r *feed.Record) { r.Back++ }), "back counts"},
		"segment":      {rule(func(r *feed.Record) { r.Segment++ }), "segment counts"},
		"kind":         {rule(func(r *feed.Record) { r.Kind = 0 }), "kind 0"},
		"length":       {rule(func(r *feed.Record) { r.Length = feed.MaxPayload + 1 }), "65537 bytes"},
		"other length": {rule(func(r *feed.Record) { r.Length = 4 }), "payload does not match"},
		"first record": {func(t *testing.T, s *signer) {
			l := s.epoch(t, 7, nil, later).log("tv")
			l.add(feed.Media, feed.SegmentFirst|feed.RandomAccess, "wrong", func(r *feed.Record) { r.Offset = 5 })
		}, "record 0: record breaks the rule that the first record has offset 0"},
		"right across a hole": {acrossHole(nil), ""},
		"wall across a hole":  {acrossHole(func(r *feed.Record) { r.Wall -= 1e9 }), "record 5: record breaks the rule that wall clock does not go back"},
		"after the end": {func(t *testing.T, s *signer) {
			l := s.epoch(t, 7, nil, later).log("tv").media(2)
			l.add(feed.End, 0, "", nil)
			l.media(1)
		}, "nothing follows an end"},
		"anchor": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			h := e.log("tv").media(5).head()
			e.anchor(t, wrongRoot(h))
		}, "the anchor in record 1 of the catalog names another root of size 5"},
		"right anchor": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			h := e.log("tv").media(5).head()
			e.anchor(t, h)
		}, ""},
		"last": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			h := e.log("tv").media(5).head()
			s.epoch(t, 8, &feed.LastEpoch{Generation: 1, Number: 7, ID: public(e.key).EpochID(), Heads: []feed.LogHead{wrongRoot(h)}}, later).log("tv").media(1)
		}, "it names another root of size 5"},
		"last, another number": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			e.log("tv").media(5)
			s.epoch(t, 8, &feed.LastEpoch{Generation: 1, Number: 6, ID: public(e.key).EpochID()}, later)
		}, "with another number"},
		"folder's name": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			e.log("tv").media(1)
			for name, f := range s.folder {
				delete(s.folder, name)
				s.folder[strings.Replace(name, "1-7-", "1-8-", 1)] = f
			}
		}, "the folder should be named"},
		"too many logs": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			for k := range feed.MaxLogs + 1 {
				e.log(string(rune('a' + k))).media(1)
			}
		}, "17 logs"},
		"another file": {func(t *testing.T, s *signer) {
			e := s.epoch(t, 7, nil, later)
			e.log("tv").media(1)
			e.put("tv/index", nil)
		}, "not a file of the format"},
		"a catalog that is none": {func(t *testing.T, s *signer) {
			s.epoch(t, 7, nil, later).log(feed.CatalogLog).add(feed.Event, feed.SegmentFirst, `{"type":"anchor"}`, nil)
		}, "catalog entry"},
		"nothing": {func(*testing.T, *signer) {}, "there is no epoch"},
		"a start that had nothing to say": {func(t *testing.T, s *signer) {
			s.epoch(t, 7, nil, later).log("tv").media(1)
			s.folder["epochs/1-9-aaaaaaaaaaaaaaaa/channel.note"] = &fstest.MapFile{Data: []byte("x")}
		}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSigner()
			c.make(t, s)
			_, err := Verify(s.folder, quick)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrRefuted) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A stored proof that the signer said two things is reported; what he signed stays proved.
// acrossHole makes a log whose record 4 is not held, and whose record 5 is proved by a hash in its place.
func acrossHole(change func(*feed.Record)) func(*testing.T, *signer) {
	return func(t *testing.T, s *signer) {
		e := s.epoch(t, 7, nil, later)
		l := e.log("tv").media(5)
		l.add(feed.Media, 0, "after the hole", change)
		missing := l.rows[4*rowSize : 5*rowSize]
		leaf := merkle.LeafHash(missing[:feed.RecordSize])
		r, err := feed.ParseRecord(missing[:feed.RecordSize])
		if err != nil {
			t.Fatal(err)
		}
		clear(l.payload[r.Offset:][:r.Length])
		clear(missing)
		e.put("tv/records", l.rows)
		e.put("tv/nodes", append(make([]byte, 5*merkle.HashSize), leaf[:]...))
	}
}

func TestStoredFault(t *testing.T) {
	s := newSigner()
	e := s.epoch(t, 7, nil, later)
	a := e.log("tv").media(5)
	other := e.log("tv")
	other.add(feed.Media, feed.SegmentFirst, "another", nil)
	first := feed.Head{Size: 1, Root: other.edge.Root(), Signature: feed.Signature(other.rows[feed.RecordSize:])}
	again := e.log("tv").media(1)
	second := feed.Head{Size: 1, Root: again.edge.Root(), Signature: feed.Signature(again.rows[feed.RecordSize:])}
	if string(first.Root[:]) > string(second.Root[:]) {
		first, second = second, first
	}
	proof, err := feed.EncodeFault(&feed.ForkProof{Origin: feed.Origin(public(s.root), public(e.key).EpochID(), "tv"), A: first, B: second})
	if err != nil {
		t.Fatal(err)
	}
	a.put("tv/records", a.rows)
	a.put("tv/payload/00000000000000000000", a.payload)
	e.put("fault.proof", proof)
	r, err := Verify(s.folder, quick)
	if err != nil || !strings.Contains(r.Epochs[0].Fault, "fork") || r.Epochs[0].Logs[0].Records != 5 {
		t.Errorf("got %+v, %v; want five records and a fork", r, err)
	}
	proof[40] ^= 1
	if _, err := Verify(s.folder, quick); !errors.Is(err, ErrRefuted) {
		t.Errorf("another proof: got %v", err)
	}
}

// A note that had expired is reported, not refused.
func TestExpiredNote(t *testing.T) {
	s := newSigner()
	s.epoch(t, 7, nil, time.UnixMicro(1_795_000_000_000_000).Add(-time.Minute)).log("tv").media(2)
	r, err := Verify(s.folder, quick)
	if err != nil || !r.Epochs[0].Expired {
		t.Errorf("got %+v, %v; want it expired", r, err)
	}
}

// The default finds a wrong record by the last signature of the run, and then says which record it is.
func TestWrongRecordIsLocated(t *testing.T) {
	for _, every := range []bool{false, true} {
		s := newSigner()
		l := s.epoch(t, 7, nil, later).log("tv").media(100)
		l.rows[37*rowSize+27]++ // a duration that nobody signed
		_, err := Verify(s.folder, Options{settle: time.Nanosecond, EveryHead: every})
		if !errors.Is(err, feed.ErrSignature) || !strings.Contains(err.Error(), "record 37,") {
			t.Errorf("every head %v: got %v, want record 37", every, err)
		}
		l.rows[37*rowSize+27]--
		l.rows[50*rowSize+100]++ // a signature
		if _, err := Verify(s.folder, Options{settle: time.Nanosecond, EveryHead: every}); (err != nil) != every {
			t.Errorf("every head %v: signature of record 50 is wrong: got %v", every, err)
		}
	}
}

// Payloads that were removed are reported, with their times; what stands in their place is not believed.
func TestPruned(t *testing.T) {
	s := newSigner()
	e := s.epoch(t, 7, nil, later)
	e.log("tv").media(5)
	delete(s.folder, e.dir+"/tv/payload/00000000000000000000")
	r, err := Verify(s.folder, quick)
	if err != nil {
		t.Fatal(err)
	}
	l := r.Epochs[0].Logs[0]
	if p := l.Pruned; l.Records != 5 || l.Bytes != 0 || p.Count != 1 || p.Records != 5 || p.List[0].From != 0 || p.List[0].To != 5 ||
		p.List[0].Stop.Sub(p.List[0].Begin) != 4*40*time.Millisecond {
		t.Errorf("got %+v, want the payloads of [0, 5) gone", l)
	}
	e.put("tv/payload/00000000000000000000", []byte("payload"))
	if _, err := Verify(s.folder, quick); !errors.Is(err, ErrRefuted) {
		t.Errorf("something else in their place: got %v", err)
	}
}

// A busy folder is one to which somebody writes: each look at a file finds it changed.
type busy struct {
	fs.FS
	at *time.Time
}

func (b busy) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(b.FS, name)
	*b.at = b.at.Add(time.Second)
	return changed{info, *b.at}, err
}

type changed struct {
	fs.FileInfo
	at time.Time
}

func (c changed) ModTime() time.Time { return c.at }

// What a writer has not finished is no flaw while he is at it, and one afterwards; what is wrong is wrong also then.
func TestWhileItIsWritten(t *testing.T) {
	s := newSigner()
	e := s.epoch(t, 7, nil, later)
	l := e.log("tv").media(10)
	clear(l.rows[4*rowSize : 5*rowSize]) // a block that has not come, and the hashes in its place are not written yet
	b := busy{s.folder, new(time.Time)}
	r, err := Verify(b, quick)
	if err != nil || r.Epochs[0].Logs[0].Unproved != 5 || r.Epochs[0].Logs[0].Records != 4 {
		t.Fatalf("got %+v, %v; want 4 records proved, and 5 not yet", r, err)
	}
	if _, err := Verify(s.folder, quick); !errors.Is(err, ErrRefuted) || !strings.Contains(err.Error(), "record 5 cannot be proved") {
		t.Errorf("nobody writes: got %v", err)
	}
	e.put("tv/records", l.rows[:4*rowSize+20])
	if _, err := Verify(b, quick); err != nil {
		t.Errorf("a row half written: got %v", err)
	}
	if _, err := Verify(s.folder, quick); !errors.Is(err, ErrRefuted) {
		t.Errorf("nobody writes, half a row: got %v", err)
	}
	l.payload[3]++
	if _, err := Verify(b, quick); !errors.Is(err, ErrRefuted) {
		t.Errorf("a wrong payload while it is written: got %v", err)
	}
}

func TestSpans(t *testing.T) {
	var s Spans
	at := func(n uint64) time.Time { return time.Unix(int64(n), 0) }
	for i := range uint64(3 * maxSpans) {
		s.add(10*i, 10*i+1, at(i), at(i))
		s.add(10*i+1, 10*i+3, at(i), at(i+1))
	}
	if s.Count != 3*maxSpans || len(s.List) != maxSpans || s.Records != 9*maxSpans || s.List[1] != (Span{10, 13, at(1), at(2)}) {
		t.Errorf("got %d spans, %d of them listed, %d records, %+v", s.Count, len(s.List), s.Records, s.List[1])
	}
}

// The frontier that is written here once more is the one of merkle.
func TestEdge(t *testing.T) {
	var e edge
	var f merkle.Frontier
	tr := tree{is: make([]merkle.Hash, 2*chunkRows)}
	for i := range uint64(9000) {
		if e.root() != f.Root() || e.size != f.Size() {
			t.Fatalf("root of size %d: got %v, want %v", i, e.root(), f.Root())
		}
		leaf := merkle.LeafHash([]byte{byte(i), byte(i >> 8)})
		tr.append(&e, leaf)
		f.Append(leaf)
	}
}

// What is cut off, or left out as a whole, nobody can prove; but whatever signed statement here speaks of it is told.
func TestWhatIsKnownToBeMissing(t *testing.T) {
	s := newSigner()
	e := s.epoch(t, 7, nil, later)
	tv, radio := e.log("tv").media(5), e.log("radio").media(4)
	e.anchor(t, radio.head(), tv.head())
	late := tv.media(2).head()
	s.epoch(t, 8, &feed.LastEpoch{Generation: 1, Number: 7, ID: public(e.key).EpochID(), Heads: []feed.LogHead{late}}, later).log("tv").media(1)
	for name, f := range s.folder {
		if strings.Contains(name, "/radio/") {
			delete(s.folder, name)
		} else if name == e.dir+"/tv/records" {
			f.Data = f.Data[:3*rowSize]
		}
	}
	report, err := Verify(s.folder, quick)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]Log)
	for _, l := range report.Epochs[0].Logs {
		got[l.Name] = l
	}
	if l := got["tv"]; l.To != 3 || l.Known != 7 || l.Left != int64(4*len("payload 0")) {
		t.Errorf("tv: got blocks up to %d of %d known, and %d bytes that no record speaks of; want 3, 7, 36", l.To, l.Known, l.Left)
	}
	if l := got["radio"]; l.Records != 0 || l.Known != 4 {
		t.Errorf("radio: got %+v, want none of 4 known", l)
	}
	if c := report.Epochs[0].Anchors; c.Checked != 0 || c.All != 2 {
		t.Errorf("got %d of %d statements of the catalog checked, want 0 of 2", c.Checked, c.All)
	}
	if l := report.Epochs[1].Logs[0]; l.Known > l.To {
		t.Errorf("the last epoch: got %d known, and blocks up to %d", l.Known, l.To)
	}
}

// Whoever made the folder chose the names in it. What he wrote there must not read as what the program says.
func TestNamesAreShownAsNames(t *testing.T) {
	bad := "x\n\x1b[1Aproved    folder"
	for _, place := range []func(e *signedEpoch) string{
		func(*signedEpoch) string { return bad },
		func(*signedEpoch) string { return "epochs/" + bad + "/channel.note" },
		func(e *signedEpoch) string { return e.dir + "/" + bad },
		func(e *signedEpoch) string { return e.dir + "/tv/" + bad },
		func(e *signedEpoch) string { return e.dir + "/tv/payload/" + bad },
	} {
		s := newSigner()
		e := s.epoch(t, 7, nil, later)
		e.log("tv").media(1)
		s.folder[place(e)] = &fstest.MapFile{Data: []byte("x"), Mode: 0o600}
		if _, err := Verify(s.folder, quick); !errors.Is(err, ErrRefuted) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: got %q", place(e), err)
		}
	}
}
