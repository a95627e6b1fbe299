package clip

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// clipOf writes a clip of parts of one epoch that a crook signed.
func clipOf(t *testing.T, root feed.PublicKey, notes feed.Notes, parts ...feedtest.Signed) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, root)
	for k := range parts {
		w.Begin(notes, feedtest.Rendition, &parts[k].Before)
		w.Block(&parts[k].Block)
		w.Seal(nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is missing between two parts hides no rule: nothing goes back in an epoch, whoever signed it.
func TestNothingGoesBackAcrossAHole(t *testing.T) {
	for what, c := range map[string]struct {
		first, last func(r *feed.Record)
		want        string // "": nothing is wrong
	}{
		"right":   {nil, nil, ""},
		"wall":    {nil, func(r *feed.Record) { r.Wall -= 60e6 }, "wall clock"},
		"offset":  {nil, func(r *feed.Record) { r.Offset = 100 }, "offset"},
		"segment": {func(r *feed.Record) { r.Segment = 7 }, func(r *feed.Record) { r.Segment = 6 }, "segment"},
		"end":     {nil, nil, "end"},
	} {
		t.Run(what, func(t *testing.T) {
			crook := feedtest.NewCrook(t)
			e := crook.Epoch(t, 1000, 1)
			var blocks []feedtest.Signed
			for k, change := range []func(*feed.Record){nil, c.first, nil, c.last} {
				payload := feedtest.Payload(uint64(k), 200)
				kind := feed.Media
				if what == "end" && k == 1 {
					payload, kind, change = nil, feed.End, nil
				}
				s := e.Sign(feedtest.Rendition, kind, payload, change)
				e.Put(feedtest.Rendition, s)
				blocks = append(blocks, s)
			}
			_, err := Verify(bytes.NewReader(clipOf(t, crook.Root, e.Notes, blocks[1], blocks[3])), Options{})
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrRefuted) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A log has at most 2^40-1 records, also one of which a signer made up all but the last.
func TestClipAtTheEndOfALog(t *testing.T) {
	crook := feedtest.NewCrook(t)
	e := crook.Epoch(t, 1000, 1)
	for n, good := range map[uint64]bool{merkle.MaxSize - 1: true, merkle.MaxSize: false} {
		f, err := merkle.NewFrontier(n, make([]merkle.Hash, merkle.PeakCount(n)))
		if err != nil {
			t.Fatal(err)
		}
		s := e.Sign(feedtest.Rendition, feed.Heartbeat, nil, nil)
		s.Index, s.Before = n, f
		if good {
			f.Append(s.Record.Leaf())
			h := feed.SignHead(e.Key(), feed.Origin(crook.Root, e.Replica.Current().Note().Key.EpochID(), feedtest.Rendition), f.Size(), f.Root())
			s.Signature = h.Signature
		}
		_, err = Verify(bytes.NewReader(clipOf(t, crook.Root, e.Notes, s)), Options{})
		if good && err != nil || !good && (!errors.Is(err, ErrRefuted) || !strings.Contains(err.Error(), "more records")) {
			t.Errorf("record %d: got %v, accepted should be %v", n, err, good)
		}
	}
}
