package feed_test

import (
	"context"
	"crypto/sha256"
	"errors"
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
	}
	before := s.edge
	s.edge.Append(r.Leaf())
	s.prev = r
	head := feed.SignHead(s.channel.Writer.Key(), s.origin, s.edge.Size(), s.edge.Root())
	return feed.Block{Index: i, Record: r, Signature: head.Signature, Payload: payload}, before
}

var broken = []struct {
	name   string
	change func(*feed.Record)
}{
	{"offset", func(r *feed.Record) { r.Offset++ }},
	{"wall goes back", func(r *feed.Record) { r.Wall -= 5 }},
	{"segment", func(r *feed.Record) { r.Segment += 2 }},
	{"back", func(r *feed.Record) { r.Back += 3 }},
}

// Neighbours come in either order; the fault shows when both are there, and blames the signer.
func TestBrokenRuleCondemnsTheEpochFromThere(t *testing.T) {
	for _, c := range broken {
		for _, late := range []bool{false, true} {
			s := newSigner(t)
			_, log := s.channel.Viewer(t, feed.Config{}, feedtest.Rendition)
			var blocks []feed.Block
			var frontiers []merkle.Frontier
			for i := range 12 {
				change := c.change
				if i != 8 {
					change = nil
				}
				b, f := s.sign(change)
				blocks, frontiers = append(blocks, b), append(frontiers, f)
			}
			order := indices(0, 12)
			if late {
				order[7], order[8] = 8, 7
			}
			for _, i := range order {
				_, err := log.Put(blocks[i], frontiers[i])
				if refused := i >= 8 && (i > 8 || !late); refused != errors.Is(err, feed.ErrRule) {
					t.Errorf("%s, late %v: block %d: got %v, want refused %v", c.name, late, i, err, refused)
				}
			}
			fault := log.Fault()
			if fault == nil || fault.Index != 8 || len(fault.Blocks) != 2 || fault.Blocks[0].Index != 7 {
				t.Fatalf("%s, late %v: got fault %v, want one at 8 with blocks 7 and 8 as proof", c.name, late, fault)
			}
			if log.Epoch().Fault() != fault {
				t.Error("the epoch does not know of the fault")
			}
			assertReads(t, s.channel, log, 8)
		}
	}
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
	if log.Has(6) || !log.Has(5) {
		t.Errorf("Has: got 5 %v, 6 %v, want what is below the fault only", log.Has(5), log.Has(6))
	}
	if _, err := log.Block(6); !errors.Is(err, feed.ErrNotHeld) {
		t.Errorf("block 6: got %v, want ErrNotHeld", err)
	}
	if _, err := log.Frontier(7); !errors.Is(err, feed.ErrNotHeld) {
		t.Errorf("frontier 7: got %v, want ErrNotHeld", err)
	}
	if got := log.Head(); got.Size != 7 {
		t.Errorf("got head %d, want 7", got.Size)
	}
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
	if _, err := log.Put(one, f1); err != nil {
		t.Errorf("a good block before the fork: got %v", err)
	}
	if fault := log.Fault(); fault == nil || fault.Index != 1 || !errors.Is(fault, feed.ErrFork) {
		t.Errorf("got fault %v, want a fork at 1", fault)
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
