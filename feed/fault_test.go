package feed_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// A signer signs whatever records it is given, rules or not.
type signer struct {
	channel *feedtest.Channel
	origin  string
	edge    merkle.Frontier
	prev    feed.Record
}

func newSigner(t *testing.T) *signer {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	return &signer{channel: c, origin: c.Log.Log().Origin()}
}

// sign makes the next block: a correct one, then changed.
func (s *signer) sign(change func(*feed.Record)) (feed.Block, merkle.Frontier) {
	i := s.edge.Size()
	payload := feedtest.Payload(i, 50)
	r := feed.Record{
		Kind: feed.Media, Length: 50, Wall: s.prev.Wall + 1, Segment: s.prev.Segment, Back: s.prev.Back + 1,
		Offset: s.prev.Offset + uint64(s.prev.Length), Hash: sha256.Sum256(payload),
	}
	if i == 0 {
		r.Flags, r.Back = feed.SegmentFirst, 0
	} else if i%5 == 0 {
		r.Flags, r.Back, r.Segment = feed.SegmentFirst, 0, r.Segment+1
	}
	if change != nil {
		change(&r)
		payload = feedtest.Payload(i, int(r.Length))
		r.Hash = sha256.Sum256(payload)
	}
	before := s.edge
	s.edge.Append(r.Leaf())
	s.prev = r
	head := feed.SignHead(s.channel.Writer.Key(), s.origin, s.edge.Size(), s.edge.Root())
	return feed.Block{Index: i, Record: r, Signature: head.Signature, Payload: payload}, before
}

// broken has every rule of docs/feed.md, section 7: what is changed in the record at that index, by which the one at bad is against the rules.
var broken = map[string]struct {
	at, bad int
	change  func(*feed.Record)
}{
	"kind 0":                          {8, 8, func(r *feed.Record) { r.Kind = 0 }},
	"length over 65536":               {8, 8, func(r *feed.Record) { r.Length = feed.MaxPayload + 1 }},
	"heartbeat with a payload":        {8, 8, func(r *feed.Record) { r.Kind = feed.Heartbeat }},
	"end with a payload":              {8, 8, func(r *feed.Record) { r.Kind = feed.End }},
	"wall clock before 1970":          {8, 8, func(r *feed.Record) { r.Wall = -1 }},
	"segment first, but back":         {8, 8, func(r *feed.Record) { r.Flags |= feed.SegmentFirst }},
	"back 0, but not segment first":   {8, 8, func(r *feed.Record) { r.Back = 0 }},
	"content key without encryption":  {8, 8, func(r *feed.Record) { r.ContentKey = 4 }},
	"offset beyond any log":           {8, 8, func(r *feed.Record) { r.Offset = 1 << 60 }},
	"first record with an offset":     {0, 0, func(r *feed.Record) { r.Offset = 1 }},
	"first record in segment 1":       {0, 0, func(r *feed.Record) { r.Segment = 1 }},
	"first record without its flag":   {0, 0, func(r *feed.Record) { r.Flags, r.Back = 0, 1 }},
	"something after the end":         {7, 8, func(r *feed.Record) { r.Kind, r.Length = feed.End, 0 }},
	"offset too high":                 {8, 8, func(r *feed.Record) { r.Offset++ }},
	"offset too low":                  {8, 8, func(r *feed.Record) { r.Offset-- }},
	"wall clock goes back":            {8, 8, func(r *feed.Record) { r.Wall -= 5 }},
	"segment skipped":                 {10, 10, func(r *feed.Record) { r.Segment++ }},
	"segment repeated":                {10, 10, func(r *feed.Record) { r.Segment-- }},
	"segment changed within":          {8, 8, func(r *feed.Record) { r.Segment++ }},
	"back skipped":                    {8, 8, func(r *feed.Record) { r.Back += 3 }},
	"back repeated":                   {8, 8, func(r *feed.Record) { r.Back-- }},
	"a segment without its first":     {10, 10, func(r *feed.Record) { r.Flags, r.Back = 0, 2 }},
	"a first that does not begin one": {8, 8, func(r *feed.Record) { r.Flags, r.Back = feed.SegmentFirst, 0 }},
}

// Whatever the rule, the order and the place of the neighbour, the fault shows when both records are there, blames the signer, and can be
// proved to others, also after a restart.
func TestEveryRuleIsChecked(t *testing.T) {
	for name, c := range broken {
		for _, late := range []bool{false, true} {
			for _, restart := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, late %v, restart %v", name, late, restart), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { checkRule(t, c.at, c.bad, c.change, late, restart) })
				})
			}
		}
	}
}

func checkRule(t *testing.T, at, bad int, change func(*feed.Record), late, restart bool) {
	s := newSigner(t)
	var blocks []feed.Block
	var frontiers []merkle.Frontier
	for i := range bad + 3 {
		f := change
		if i != at {
			f = nil
		}
		b, before := s.sign(f)
		blocks, frontiers = append(blocks, b), append(frontiers, before)
	}
	order := indices(0, bad+1)
	if late && bad > 0 {
		order[bad-1], order[bad] = order[bad], order[bad-1]
	} else if late {
		order = []uint64{1, 0}
	}
	disk := feedtest.NewDisk()
	viewer, log := s.channel.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
	again := func() {
		if err := viewer.Close(); err != nil {
			t.Fatal(err)
		}
		viewer, log = s.channel.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
	}
	var errs []error
	for k, i := range order {
		if restart && k == len(order)-1 {
			again()
		}
		_, err := log.Put(blocks[i], frontiers[i])
		errs = append(errs, err)
	}
	for k, err := range errs {
		if err != nil && !errors.As(err, new(*feed.Fault)) {
			t.Errorf("block %d: got %v, which blames the sender", order[k], err)
		}
	}
	wantFault(t, log, feed.KindRule, uint64(bad), feed.ErrRule)
	again()
	wantFault(t, log, feed.KindRule, uint64(bad), feed.ErrRule)
	for i := bad; i < bad+3; i++ {
		if _, err := log.Put(blocks[i], frontiers[i]); !errors.Is(err, feed.ErrRule) || log.Has(uint64(i)) {
			t.Errorf("block %d after a restart: got %v, want it refused", i, err)
		}
	}
	if bad == 0 {
		return
	}
	if _, err := log.Put(blocks[bad-1], frontiers[bad-1]); err != nil || !log.Has(uint64(bad-1)) {
		t.Errorf("block %d, before the fault: got %v", bad-1, err)
	}
}

// wantFault checks what condemned a log, that everybody can be shown it, and that it is what the epoch says.
func wantFault(t *testing.T, log *feed.Log, kind feed.FaultKind, index uint64, cause error) {
	t.Helper()
	f := log.Fault()
	if f == nil || f.Index != index || f.Kind() != kind || !errors.Is(f, cause) || log.Epoch().Fault() != f {
		t.Fatalf("got fault %v, want a %v at %d, that of the epoch (%v)", f, kind, index, log.Epoch().Fault())
	}
	if f.Proof == nil {
		t.Fatalf("there is no proof of %v", f)
	}
	b, err := feed.EncodeFault(f.Proof)
	if err != nil {
		t.Fatal(err)
	}
	p, err := feed.ParseFault(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(log.Epoch().Note().Key); err != nil {
		t.Errorf("the proof of %v: %v", f, err)
	}
}

// A record that breaks a rule takes the records after it with it, and leaves those before.
func TestBrokenRuleEndsTheLogThere(t *testing.T) {
	s := newSigner(t)
	_, log := s.channel.Viewer(t, feed.Config{}, feedtest.Rendition)
	for i := range 12 {
		var change func(*feed.Record)
		if i == 8 {
			change = func(r *feed.Record) { r.Back++ }
		}
		b, f := s.sign(change)
		if _, err := log.Put(b, f); errors.Is(err, feed.ErrRule) != (i >= 8) {
			t.Errorf("block %d: got %v", i, err)
		}
	}
	assertReads(t, s.channel, log, 8)
}

// assertReads checks that a Reader hands out the blocks [5, to) and then waits.
func assertReads(t *testing.T, c *feedtest.Channel, log *feed.Log, to uint64) {
	t.Helper()
	viewer := feed.ReplicaOf(log)
	rd := viewer.Follow(feedtest.Rendition, feed.JoinLast, time.Millisecond)
	for i := uint64(5); i < to; i++ {
		item, err := rd.Next(context.Background())
		if err != nil || item.Block.Index != i {
			t.Fatalf("got block %d, %v, want %d", item.Block.Index, err, i)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if item, err := rd.Next(ctx); err == nil {
		t.Errorf("got block %d, want none from the fault on", item.Block.Index)
	}
}

func TestForkCondemnsTheEpoch(t *testing.T) {
	s := newSigner(t)
	_, log := s.channel.Viewer(t, feed.Config{}, feedtest.Rendition)
	for range 6 {
		b, f := s.sign(nil)
		if _, err := log.Put(b, f); err != nil {
			t.Fatal(err)
		}
	}
	twin := *s
	one, f := s.sign(nil)
	if _, err := log.Put(one, f); err != nil {
		t.Fatal(err)
	}
	two, f := twin.sign(func(r *feed.Record) { r.DTS = 7 })
	if _, err := log.Put(two, f); !errors.Is(err, feed.ErrFork) {
		t.Errorf("another record of the same index: got %v, want ErrFork", err)
	}
	three, f := twin.sign(nil)
	if _, err := log.Put(three, f); !errors.Is(err, feed.ErrFork) {
		t.Errorf("a continuation of another history: got %v, want ErrFork", err)
	}
	if !log.Has(6) || log.Has(7) {
		t.Errorf("Has: got 6 %v, 7 %v, want what was verified before the fork showed, and nothing more", log.Has(6), log.Has(7))
	}
	if b, err := log.Block(6); err != nil || b.Record != one.Record {
		t.Errorf("block 6: got %v, want the first history as it was", err)
	}
	if _, err := log.Frontier(7); err != nil {
		t.Errorf("frontier 7: %v", err)
	}
	if got := log.Head(); got.Size != 7 {
		t.Errorf("got head %d, want 7", got.Size)
	}
	wantFault(t, log, feed.KindFork, 7, feed.ErrFork)
}

func TestForkIsSeenFromItsContinuation(t *testing.T) {
	s := newSigner(t)
	_, log := s.channel.Viewer(t, feed.Config{}, feedtest.Rendition)
	twin := *s
	twin.sign(func(r *feed.Record) { r.DTS = 7 })
	one, f1 := s.sign(nil)
	two, f2 := twin.sign(nil)
	if _, err := log.Put(two, f2); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Put(one, f1); !errors.Is(err, feed.ErrFork) {
		t.Errorf("a block of another history: got %v, want ErrFork", err)
	}
	wantFault(t, log, feed.KindFork, 2, feed.ErrFork)
	if !log.Has(1) || log.Has(0) {
		t.Error("what was verified first is gone, or what contradicts it is there")
	}
}

// Whichever block of two histories is only on disk since an earlier run: the fork shows, is proved, and is known after one more restart.
func TestForkAgainstRowsOnDisk(t *testing.T) {
	for name, c := range map[string]struct{ held, comes uint64 }{
		"the same index":   {8, 8},
		"the next one":     {7, 8},
		"the one before":   {8, 7},
		"the next segment": {9, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newSigner(t)
				for range 3 {
					a.sign(nil)
				}
				b := *a
				var blocks [2][]feed.Block
				var frontiers [2][]merkle.Frontier
				for side, s := range []*signer{a, &b} {
					blocks[side], frontiers[side] = make([]feed.Block, 3), make([]merkle.Frontier, 3)
					for range 9 {
						block, f := s.sign(func(r *feed.Record) { r.DTS = int64(side) })
						blocks[side], frontiers[side] = append(blocks[side], block), append(frontiers[side], f)
					}
				}
				disk := feedtest.NewDisk()
				viewer, log := a.channel.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
				if _, err := log.Put(blocks[0][c.held], frontiers[0][c.held]); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := viewer.Close(); err != nil {
						t.Fatal(err)
					}
					viewer, log = a.channel.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
					if _, err := log.Put(blocks[1][c.comes], frontiers[1][c.comes]); log.Fault() == nil && !errors.Is(err, feed.ErrFork) {
						t.Errorf("got %v, want ErrFork", err)
					}
					wantFault(t, log, feed.KindFork, c.held+1, feed.ErrFork)
				}
				if got, err := log.Block(c.held); err != nil || got.Record != blocks[0][c.held].Record {
					t.Errorf("what was held: got %v", err)
				}
			})
		})
	}
}

// A rule can be broken against a row that is on disk only, since an earlier run.
func TestBrokenRuleAgainstARowOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		disk := feedtest.NewDisk()
		viewer, log := s.channel.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
		for range 6 {
			b, f := s.sign(nil)
			if _, err := log.Put(b, f); err != nil {
				t.Fatal(err)
			}
		}
		if err := viewer.Close(); err != nil {
			t.Fatal(err)
		}
		_, log = s.channel.Viewer(t, feed.Config{Files: disk}, feedtest.Rendition)
		b, f := s.sign(func(r *feed.Record) { r.Offset += 9 })
		if _, err := log.Put(b, f); !errors.Is(err, feed.ErrRule) {
			t.Errorf("got %v, want ErrRule", err)
		}
	})
}
