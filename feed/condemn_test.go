package feed_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

// A reader is a viewer's replica of a crook's epoch.
type reader struct {
	t       *testing.T
	branch  *feedtest.Branch
	cfg     feed.Config
	replica *feed.Replica
	epoch   *feed.Epoch
}

func newReader(t *testing.T, b *feedtest.Branch, cfg feed.Config) *reader {
	t.Helper()
	r := &reader{t: t, branch: b, cfg: cfg}
	r.open()
	t.Cleanup(func() { r.replica.Close() })
	return r
}

func (r *reader) open() {
	r.t.Helper()
	var err error
	if r.replica, err = feed.Open(r.branch.Replica.Root(), r.cfg); err == nil {
		r.epoch, err = r.replica.AddNotes(r.branch.Notes)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// restart closes the replica and opens it again.
func (r *reader) restart() {
	r.t.Helper()
	if err := r.replica.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

func (r *reader) log(name string) *feed.Log {
	r.t.Helper()
	l, err := r.epoch.Log(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *reader) put(log string, blocks ...feedtest.Signed) {
	r.t.Helper()
	for _, b := range blocks {
		if _, err := r.log(log).Put(b.Block, b.Before); err != nil {
			r.t.Fatalf("block %d of %s: %v", b.Index, log, err)
		}
	}
}

// anchoredBranch returns a branch, and the entry by which its catalog anchors a root for the first eight.
func anchoredBranch(t *testing.T, root func(merkle.Hash) merkle.Hash, pad int) (*feedtest.Branch, feedtest.Signed) {
	t.Helper()
	b := feedtest.NewCrook(t).Epoch(t, 1000, 1)
	b.Air(12, 0)
	head, _ := b.Log(feedtest.Rendition).HeadAt(8)
	payload, err := feed.LogAnchor{Logs: []feed.LogHead{{Log: feedtest.Rendition, Size: 8, Root: root(head.Root)}}}.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if pad > 0 {
		payload = append(payload[:len(payload)-1], fmt.Sprintf(`,"more":%q}`, strings.Repeat("x", pad))...)
	}
	return b, b.Sign(feed.CatalogLog, feed.Event, payload, nil)
}

func wrong(h merkle.Hash) merkle.Hash { h[3] ^= 1; return h }
func right(h merkle.Hash) merkle.Hash { return h }

// An anchor that names another history is found whichever of the two comes first, also with a restart between them, and is proved to others.
func TestAnchorsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name             string
		root             func(merkle.Hash) merkle.Hash
		pad              int
		first, restart   bool // the anchor comes first; something is only on disk when the other comes
		condemned, alone bool // alone: only block 7 of the log is held
	}{
		{"wrong, after the blocks", wrong, 0, false, false, true, false},
		{"wrong, before the blocks", wrong, 0, true, false, true, false},
		{"wrong, after the blocks and a restart", wrong, 0, false, true, true, false},
		{"wrong, before a restart and the blocks", wrong, 0, true, true, true, false},
		{"wrong, after one block", wrong, 0, false, false, true, true},
		{"wrong, before one block", wrong, 0, true, false, true, true},
		{"right, after the blocks", right, 0, false, false, false, false},
		{"right, before the blocks", right, 0, true, false, false, false},
		{"wrong, but too long for a proof", wrong, feed.MaxFaultProof, false, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, anchor := anchoredBranch(t, c.root, c.pad)
				r := newReader(t, b, feed.Config{Files: feedtest.NewDisk()})
				r.put(feed.CatalogLog, b.All(feed.CatalogLog)...)
				blocks := b.All(feedtest.Rendition)[:8]
				if c.alone {
					blocks = blocks[7:8]
				}
				steps := []func(){func() { r.put(feedtest.Rendition, blocks...) }, func() { r.put(feed.CatalogLog, anchor) }}
				if c.first {
					steps[0], steps[1] = steps[1], steps[0]
				}
				steps[0]()
				if r.epoch.Fault() != nil {
					t.Fatalf("one half alone is a fault: %v", r.epoch.Fault())
				}
				if c.restart {
					r.restart()
				}
				steps[1]()
				if (r.epoch.Fault() != nil) != c.condemned {
					t.Fatalf("got %v, want condemned %v", r.epoch.Fault(), c.condemned)
				}
				if !c.condemned {
					return
				}
				size := r.log(feedtest.Rendition).Head().Size
				for range 2 {
					wantFault(t, r.log(feedtest.Rendition), feed.KindAnchor, size, feed.ErrFork)
					if !r.log(feedtest.Rendition).Has(7) {
						t.Error("what was verified is gone")
					}
					r.restart()
				}
			})
		})
	}
}

// The anchors that are remembered are few, and the newest.
func TestOnlyTheNewestAnchorsAreRemembered(t *testing.T) {
	b := feedtest.NewCrook(t).Epoch(t, 1000, 1)
	b.Air(20, 0)
	for size := range uint64(10) {
		head, _ := b.Log(feedtest.Rendition).HeadAt(size + 1)
		if size == 2 || size == 8 {
			head.Root = wrong(head.Root)
		}
		payload, err := feed.LogAnchor{Logs: []feed.LogHead{{Log: feedtest.Rendition, Size: size + 1, Root: head.Root}}}.Payload()
		if err != nil {
			t.Fatal(err)
		}
		b.Put(feed.CatalogLog, b.Sign(feed.CatalogLog, feed.Event, payload, nil))
	}
	r := newReader(t, b, feed.Config{})
	r.put(feed.CatalogLog, b.All(feed.CatalogLog)...)
	for i, s := range b.All(feedtest.Rendition) {
		_, _ = r.log(feedtest.Rendition).Put(s.Block, s.Before)
		if f := r.epoch.Fault(); (f != nil) != (i >= 8) {
			t.Fatalf("after block %d: got %v, want a fault from block 8 on: the anchor of size 3 is long forgotten", i, f)
		}
	}
}

// forkOf returns a proof that two branches of an epoch fork, and those branches.
func forkOf(t *testing.T) (a, b *feedtest.Branch, p feed.FaultProof) {
	t.Helper()
	a = feedtest.NewCrook(t).Epoch(t, 1000, 1)
	a.Air(4, 0)
	b = a.Split()
	a.Air(4, 1)
	b.Air(2, 2)
	p, err := a.Log(feedtest.Rendition).Contradicts(b.Log(feedtest.Rendition).Head())
	if err != nil || p == nil {
		t.Fatalf("got %v, %v, want a proof", p, err)
	}
	return a, b, p
}

// Two nodes on different branches make the proof when one shows the other its head, whichever is further, and whatever of it is held.
func TestContradicts(t *testing.T) {
	a, b, _ := forkOf(t)
	one, other := a.Log(feedtest.Rendition), b.Log(feedtest.Rendition)
	for n := uint64(1); n <= 8; n++ {
		h, ok := one.HeadAt(n)
		if !ok {
			t.Fatalf("head %d is not held", n)
		}
		p, err := other.Contradicts(h)
		if err != nil || (p != nil) != (n == 5 || n == 6) {
			t.Errorf("head %d of one: got %v, %v, want a proof for the sizes that both passed after the fork", n, p, err)
		}
		if p != nil && p.Verify(one.Epoch().Note().Key) != nil {
			t.Errorf("head %d: the proof does not verify", n)
		}
	}
	h := other.Head()
	h.Root = wrong(h.Root)
	if _, err := one.Contradicts(h); !errors.Is(err, feed.ErrSignature) {
		t.Errorf("a head that nobody signed: got %v, want ErrSignature", err)
	}
	r := newReader(t, a, feed.Config{})
	r.put(feedtest.Rendition, a.All(feedtest.Rendition)[6]) // the head of size 6 is not here, but frontier(6)
	p, err := r.log(feedtest.Rendition).Contradicts(other.Head())
	if err != nil || p == nil || p.Verify(one.Epoch().Note().Key) != nil {
		t.Errorf("against the block after: got %v, %v, want a proof", p, err)
	}
	if p, err := r.log(feedtest.Rendition).Contradicts(h); p != nil || !errors.Is(err, feed.ErrSignature) {
		t.Errorf("got %v, %v", p, err)
	}
}

// A proof from outside condemns the epoch once, for all its logs, and leaves what was verified.
func TestAddFault(t *testing.T) {
	a, _, p := forkOf(t)
	r := newReader(t, a, feed.Config{Files: feedtest.NewDisk()})
	r.put(feedtest.Rendition, a.All(feedtest.Rendition)[:6]...)
	if fresh, err := r.epoch.AddFault(p); !fresh || err != nil {
		t.Fatalf("got %v, %v", fresh, err)
	}
	if fresh, err := r.epoch.AddFault(p); fresh || err != nil {
		t.Errorf("again: got %v, %v, want no news", fresh, err)
	}
	for range 2 {
		l := r.log(feedtest.Rendition)
		wantFault(t, l, feed.KindFork, 6, feed.ErrFork)
		for i, s := range a.All(feedtest.Rendition) {
			_, err := l.Put(s.Block, s.Before)
			if l.Has(uint64(i)) != (i < 6) || (err != nil) != (i >= 6) {
				t.Errorf("block %d: held %v, %v; want those of before, and no more", i, l.Has(uint64(i)), err)
			}
		}
		r.put(feed.CatalogLog, a.All(feed.CatalogLog)...)
		r.restart()
	}
	next := feedtest.NewCrook(t).Epoch(t, 2000, 1)
	e, err := r.replica.AddNotes(next.Notes)
	if err != nil || r.replica.Current() != e || e.Fault() != nil {
		t.Errorf("the next epoch: got %v, %v, want it current and not condemned", e, err)
	}
	if _, err := e.AddFault(p); !errors.Is(err, feed.ErrNoFault) || e.Fault() != nil {
		t.Errorf("the proof of another epoch: got %v, want ErrNoFault", err)
	}
}

// A log that is not known yet is born condemned, and the sixteenth log is no way around it.
func TestAddFaultOfALogThatIsNotHeld(t *testing.T) {
	a, _, p := forkOf(t)
	r := newReader(t, a, feed.Config{})
	for n := range feed.MaxLogs {
		r.log(fmt.Sprintf("log-%d", n))
	}
	if _, err := r.epoch.AddFault(p); err != nil || r.epoch.Fault() == nil {
		t.Errorf("got %v, want the epoch condemned", err)
	}
	r = newReader(t, a, feed.Config{})
	if _, err := r.epoch.AddFault(p); err != nil {
		t.Fatal(err)
	}
	s := a.All(feedtest.Rendition)[0]
	if _, err := r.log(feedtest.Rendition).Put(s.Block, s.Before); !errors.Is(err, feed.ErrFork) {
		t.Errorf("got %v, want nothing taken in of a forked log that was never followed", err)
	}
}

// What is stored as a proof is believed only if it is one; if not, it is put aside, and says so.
func TestDamagedFault(t *testing.T) {
	a, _, p := forkOf(t)
	disk := feedtest.NewDisk()
	var said bytes.Buffer
	r := newReader(t, a, feed.Config{Files: disk, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if _, err := r.epoch.AddFault(p); err != nil {
		t.Fatal(err)
	}
	folder := fmt.Sprintf("epochs/1-1000-%v/", r.epoch.ID())
	if err := r.replica.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := disk.ReadFile(folder+"fault.proof", feed.MaxFaultProof)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string][]byte{
		"a bit": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), "cut": good[:100], "empty": {}, "long": make([]byte, 3*feed.MaxFaultProof),
	} {
		said.Reset()
		if err := disk.WriteFile(folder+"fault.proof", damage); err != nil {
			t.Fatal(err)
		}
		r.open()
		if r.epoch.Fault() != nil || !strings.Contains(said.String(), "fault") {
			t.Errorf("%s: got %v, log %q, want it ignored aloud", name, r.epoch.Fault(), said.String())
		}
		if aside, err := disk.ReadFile(folder+"fault.damaged", feed.MaxFaultProof); name != "long" && (err != nil || !bytes.Equal(aside, damage)) {
			t.Errorf("%s: put aside: got %d bytes, %v, want the %d that were there", name, len(aside), err, len(damage))
		}
		if fresh, err := r.epoch.AddFault(p); !fresh || err != nil {
			t.Errorf("%s: the proof comes again: got %v, %v", name, fresh, err)
		}
		if err := r.replica.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.open()
	wantFault(t, r.log(feedtest.Rendition), feed.KindFork, 0, feed.ErrFork)
}

// A streamer whose epoch is condemned signs nothing more in it, and says what was proved; the next epoch goes on.
func TestWriterOfACondemnedEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		c.Append(t, 5, 100)
		done := make(chan error, 1)
		go func() { done <- c.Writer.Run(t.Context()) }()
		time.Sleep(300 * time.Millisecond)
		l, before := c.Log.Log(), c.Writer.Epoch()
		own, _ := l.HeadAt(4)
		twin := feed.SignHead(c.Writer.Key(), l.Origin(), 4, merkle.Hash{1}) // somebody else has the key
		if _, err := before.AddFault(&feed.ForkProof{Origin: l.Origin(), A: own, B: twin}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-done; !errors.Is(err, feed.ErrCondemned) || !strings.Contains(err.Error(), "signed two different histories of main") {
			t.Errorf("got %v, want ErrCondemned and why", err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("it went on for %v", waited)
		}
		catalog, _ := before.Log(feed.CatalogLog)
		size := catalog.Head().Size
		if _, err := c.Log.Append(feed.Entry{Kind: feed.Media}); !errors.Is(err, feed.ErrEnded) || catalog.Head().Size != size || l.Head().Size != 5 {
			t.Errorf("got %v, want nothing signed any more", err)
		}
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		c.Append(t, 5, 100)
		if e := c.Replica.Current(); e == before || e.Fault() != nil || c.Log.Log().Head().Size != 5 {
			t.Error("the next epoch does not go on")
		}
	})
}

// The newest row of an earlier run rots, and comes again from the other branch of a fork, where that record is the same. What follows is
// compared with the block that is held, not with the one that was: a proof made of halves of both would verify nowhere, and who passes it on
// would be taken for a liar.
func TestRottenEdgeComesBackFromAnotherBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := feedtest.NewCrook(t).Epoch(t, 1000, 1)
		a.Air(3, 0)
		b := a.Split()
		a.Air(1, 1)
		b.Air(1, 2)
		a.Air(3, 0)
		b.Air(3, 0)
		disk := feedtest.NewDisk()
		r := newReader(t, a, feed.Config{Files: disk})
		r.put(feedtest.Rendition, a.All(feedtest.Rendition)[5])
		r.restart()
		records := epochFolder(r.epoch) + "/" + feedtest.Rendition + "/records"
		if !disk.Corrupt(records, 5*feed.RowSize+40, 1) {
			t.Fatalf("no row 5 in %s", records)
		}
		l := r.log(feedtest.Rendition)
		if _, err := l.Block(5); !errors.Is(err, feed.ErrNotHeld) {
			t.Fatalf("the rotten block: got %v, want ErrNotHeld", err)
		}
		for _, s := range b.All(feedtest.Rendition)[5:] {
			if _, err := l.Put(s.Block, s.Before); err != nil {
				t.Errorf("block %d of the other branch: %v", s.Index, err)
			}
		}
		if f := r.epoch.Fault(); f != nil && f.Proof != nil && f.Proof.Verify(r.epoch.Note().Key) != nil {
			t.Errorf("got a proof that proves nothing: %v", f)
		}
	})
}

// Two histories show where they meet in memory: at one index, or side by side, whichever comes first.
func TestForkAgainstBlocksInMemory(t *testing.T) {
	a, b, _ := forkOf(t)
	blocks := [2][]feedtest.Signed{a.All(feedtest.Rendition), b.All(feedtest.Rendition)}
	for name, at := range map[string][2]int{"the same index": {5, 5}, "the next one": {4, 5}, "the one before": {5, 4}} {
		r := newReader(t, a, feed.Config{})
		r.put(feedtest.Rendition, blocks[0][at[0]])
		l, comes := r.log(feedtest.Rendition), blocks[1][at[1]]
		if _, err := l.Put(comes.Block, comes.Before); !errors.Is(err, feed.ErrFork) {
			t.Errorf("%s: got %v, want ErrFork", name, err)
		}
		wantFault(t, l, feed.KindFork, uint64(at[0])+1, feed.ErrFork)
	}
}

// What the key of an epoch signs in the name of another channel is no fault of this one.
func TestFaultOfAnotherChannel(t *testing.T) {
	a, _, _ := forkOf(t)
	r := newReader(t, a, feed.Config{})
	stranger := feedtest.NewChannel(t, feed.Config{}, 1).Replica.Root()
	origin := feed.Origin(stranger, r.epoch.ID(), feedtest.Rendition)
	p := &feed.ForkProof{
		Origin: origin, A: feed.SignHead(a.Key(), origin, 4, merkle.Hash{1}), B: feed.SignHead(a.Key(), origin, 4, merkle.Hash{2}),
	}
	if err := p.Verify(r.epoch.Note().Key); err != nil {
		t.Fatal(err)
	}
	if _, err := r.epoch.AddFault(p); !errors.Is(err, feed.ErrNoFault) || r.epoch.Fault() != nil {
		t.Errorf("got %v and fault %v, want ErrNoFault", err, r.epoch.Fault())
	}
}

// A fault that was found here without a proof is proved by whoever has one; that is news, and so passed on.
func TestProofOfAKnownFault(t *testing.T) {
	a, _, p := forkOf(t)
	r := newReader(t, a, feed.Config{})
	r.put(feedtest.Rendition, a.All(feedtest.Rendition)[0])
	feed.CondemnWithoutProof(r.log(feedtest.Rendition))
	if f := r.epoch.Fault(); f == nil || f.Proof != nil {
		t.Fatalf("got %v, want a fault without a proof", f)
	}
	if fresh, err := r.epoch.AddFault(p); !fresh || err != nil {
		t.Errorf("got %v, %v, want news", fresh, err)
	}
	if f := r.epoch.Fault(); f == nil || f.Proof == nil {
		t.Errorf("got %v, want the fault with its proof", f)
	}
}

// A row that rotted on disk contradicts what comes beside it or in its place. That is the disk's fault, not the signer's.
func TestRottenRowsFrameNobody(t *testing.T) {
	for name, c := range map[string]struct{ rots, comes int }{"the same index": {5, 5}, "the one before": {4, 5}, "the one after": {6, 5}} {
		for part, at := range map[string]int64{"DTS": 23, "offset": 47, "signature": 90} {
			t.Run(name+", "+part, func(t *testing.T) {
				a := feedtest.NewCrook(t).Epoch(t, 1000, 1)
				a.Air(9, 0)
				disk := feedtest.NewDisk()
				r := newReader(t, a, feed.Config{Files: disk})
				blocks := a.All(feedtest.Rendition)
				for i, b := range blocks {
					if i != c.comes || i == c.rots {
						r.put(feedtest.Rendition, b)
					}
				}
				r.restart()
				if !disk.Corrupt(epochFolder(r.epoch)+"/"+feedtest.Rendition+"/records", int64(c.rots)*feed.RowSize+at, 1) {
					t.Fatal("there is no such row")
				}
				r.put(feedtest.Rendition, blocks[c.comes])
				if f := r.epoch.Fault(); f != nil {
					t.Errorf("got %v, want nobody blamed", f)
				}
			})
		}
	}
}

// A crash can leave an anchor and the log that contradicts it, but not the proof of that: the next start finds it again.
func TestAnchorsAreCheckedAtTheStart(t *testing.T) {
	b, anchor := anchoredBranch(t, wrong, 0)
	disk := feedtest.NewDisk()
	r := newReader(t, b, feed.Config{Files: disk})
	r.put(feed.CatalogLog, b.All(feed.CatalogLog)...)
	r.put(feedtest.Rendition, b.All(feedtest.Rendition)[:8]...)
	r.put(feed.CatalogLog, anchor)
	if err := r.replica.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove(epochFolder(r.epoch) + "/fault.proof"); err != nil {
		t.Fatal(err)
	}
	r.open()
	wantFault(t, r.log(feedtest.Rendition), feed.KindAnchor, 8, feed.ErrFork)
}
