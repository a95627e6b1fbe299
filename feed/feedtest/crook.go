package feedtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A Crook is a broadcaster that signs whatever it is told, rules or not, with keys made of names.
type Crook struct {
	Root    feed.PublicKey
	channel []byte // its channel note
}

func crookKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("crook's " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// NewCrook makes a channel whose note lasts a day.
func NewCrook(t testing.TB) *Crook {
	t.Helper()
	c := &Crook{Root: publicKey(crookKey("root"))}
	note := feed.ChannelNote{
		Root: c.Root, Generation: 1, NotAfter: time.Now().Add(24 * time.Hour).Truncate(time.Second),
		Stations: []feed.PublicKey{publicKey(crookKey("station"))},
	}
	var err error
	if c.channel, err = feed.SignChannelNote(crookKey("root"), note); err != nil {
		t.Fatal(err)
	}
	return c
}

// A Branch is one history of an epoch: its logs, in a replica of its own.
type Branch struct {
	t       testing.TB
	crook   *Crook
	number  uint64
	Notes   feed.Notes
	Replica *feed.Replica
	logs    map[string]*branchLog
}

type branchLog struct {
	edge merkle.Frontier
	prev feed.Record
	all  []Signed
}

// A Signed is a block with what proves it.
type Signed struct {
	feed.Block
	Before merkle.Frontier
}

// Epoch begins the epoch of that number, whose catalog names one rendition of so many stripes.
func (c *Crook) Epoch(t testing.TB, number uint64, stripes int) *Branch {
	t.Helper()
	note := feed.EpochNote{Root: c.Root, Generation: 1, Number: number}
	b := &Branch{t: t, crook: c, number: number, logs: make(map[string]*branchLog)}
	signed, err := feed.SignEpochNote(crookKey("station"), b.Key(), note)
	if err != nil {
		t.Fatal(err)
	}
	b.Notes = feed.Notes{Channel: c.channel, Epoch: signed}
	b.open()
	state, err := feed.State{Title: "Test", Renditions: []feed.Rendition{{Name: Rendition, Stripes: stripes}}}.Payload()
	if err != nil {
		t.Fatal(err)
	}
	b.Put(feed.CatalogLog, b.Sign(feed.CatalogLog, feed.Event, state, nil))
	return b
}

func (b *Branch) open() {
	b.t.Helper()
	var err error
	if b.Replica, err = feed.Open(b.crook.Root, feed.Config{}); err == nil {
		_, err = b.Replica.AddNotes(b.Notes)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.Replica.Close() })
}

// Key returns the key of the epoch.
func (b *Branch) Key() ed25519.PrivateKey {
	return crookKey("epoch " + time.UnixMilli(int64(b.number)).UTC().String())
}

// Split returns another branch of the same epoch, which is the same so far.
func (b *Branch) Split() *Branch {
	b.t.Helper()
	o := &Branch{t: b.t, crook: b.crook, number: b.number, Notes: b.Notes, logs: make(map[string]*branchLog)}
	o.open()
	for name, l := range b.logs {
		for _, s := range l.all {
			o.Put(name, s)
		}
	}
	return o
}

// Log returns what the branch's replica holds of a log.
func (b *Branch) Log(name string) *feed.Log {
	b.t.Helper()
	l, err := b.Replica.Current().Log(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// Sign makes the next block of a log: one that keeps the rules, then changed.
func (b *Branch) Sign(log string, kind feed.Kind, payload []byte, change func(*feed.Record)) Signed {
	l := b.log(log)
	i := l.edge.Size()
	r := feed.Record{
		Kind: kind, Length: uint32(len(payload)), Wall: max(time.Now().UnixMicro(), l.prev.Wall), Segment: l.prev.Segment, Back: l.prev.Back + 1,
		Offset: l.prev.Offset + uint64(l.prev.Length), Hash: sha256.Sum256(payload),
	}
	if i == 0 {
		r.Flags, r.Back = feed.SegmentFirst|feed.RandomAccess, 0
	}
	if change != nil {
		change(&r)
	}
	after := l.edge
	after.Append(r.Leaf())
	origin := feed.Origin(b.crook.Root, publicKey(b.Key()).EpochID(), log)
	head := feed.SignHead(b.Key(), origin, after.Size(), after.Root())
	return Signed{feed.Block{Index: i, Record: r, Signature: head.Signature, Payload: payload}, l.edge}
}

func (b *Branch) log(name string) *branchLog {
	if b.logs[name] == nil {
		b.logs[name] = new(branchLog)
	}
	return b.logs[name]
}

// Put appends a block that was signed for this place to the branch, and shows it to its replica, whatever that thinks of it.
func (b *Branch) Put(log string, s Signed) {
	l := b.log(log)
	l.edge.Append(s.Record.Leaf())
	l.prev, l.all = s.Record, append(l.all, s)
	_, _ = b.Log(log).Put(s.Block, s.Before)
}

// All returns the blocks of a log.
func (b *Branch) All(log string) []Signed { return b.log(log).all }

// Air signs n blocks of the rendition in both or all branches: the same blocks, unless mark tells the branches apart.
func (b *Branch) Air(n int, mark int64) {
	for range n {
		b.Put(Rendition, b.Sign(Rendition, feed.Media, Payload(b.log(Rendition).edge.Size(), 200), func(r *feed.Record) { r.DTS = mark }))
	}
}

// Segment begins a segment of the rendition with its next block.
func (b *Branch) Segment(mark int64) {
	b.Put(Rendition, b.Sign(Rendition, feed.Media, Payload(b.log(Rendition).edge.Size(), 200), func(r *feed.Record) {
		if r.Flags&feed.SegmentFirst == 0 {
			r.Flags, r.Segment, r.Back = feed.SegmentFirst|feed.RandomAccess, r.Segment+1, 0
		}
		r.DTS = mark
	}))
}

// Beat signs a heartbeat in the catalog.
func (b *Branch) Beat() { b.Put(feed.CatalogLog, b.Sign(feed.CatalogLog, feed.Heartbeat, nil, nil)) }
