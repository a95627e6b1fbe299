package feed_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// A past is a channel of several epochs, and the disk of a viewer who holds some of it.
type past struct {
	root feed.PublicKey
	disk *feedtest.Disk
	seen []feed.Block // of all epochs, as signed
}

// A run is what is aired in one epoch.
type run struct {
	step    time.Duration // by which the clock is wrong
	records []aired
}

type aired struct {
	first  bool // begins a segment
	held   bool // by the viewer
	length int
	pause  time.Duration // after it
}

// drawRuns draws up to seven epochs. The clock may be set before each; records may be of the same microsecond; the viewer gets a part.
func drawRuns(rt *rapid.T) []run {
	runs := make([]run, rapid.IntRange(1, 7).Draw(rt, "epochs"))
	for k := range runs {
		runs[k].step = time.Duration(rapid.IntRange(-60, 60).Draw(rt, "step")) * time.Second
		runs[k].records = make([]aired, rapid.IntRange(0, 80).Draw(rt, "records"))
		holds := rapid.Bool().Draw(rt, "holds the first")
		for i := range runs[k].records {
			holds = holds != (rapid.IntRange(0, 9).Draw(rt, "hole") == 0)
			runs[k].records[i] = aired{
				first: rapid.IntRange(0, 4).Draw(rt, "segment") == 0, held: holds, length: rapid.IntRange(1, 40).Draw(rt, "length"),
				pause: time.Duration(rapid.SampledFrom([]int{0, 1, 1000, 3_000_000}).Draw(rt, "pause")) * time.Microsecond,
			}
		}
	}
	return runs
}

// drawPast airs what was drawn.
func drawPast(t *testing.T, rt *rapid.T) *past {
	runs := drawRuns(rt)
	p := &past{disk: feedtest.NewDisk()}
	synctest.Test(t, func(t *testing.T) {
		c := feedtest.NewChannel(t, feed.Config{}, 1)
		p.root = c.Replica.Root()
		viewer, _ := c.Viewer(t, feed.Config{Files: p.disk}, feedtest.Rendition)
		for _, r := range runs {
			p.air(t, c, viewer, &r)
		}
		if err := viewer.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return p
}

// air signs one epoch, and gives the viewer some of it.
func (p *past) air(t *testing.T, c *feedtest.Channel, viewer *feed.Replica, r *run) {
	w, err := feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station, Now: func() time.Time { return time.Now().Add(r.step) }})
	if err != nil {
		t.Fatal(err)
	}
	lw, err := w.Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	var held []uint64
	for i, a := range r.records {
		e := feed.Entry{Kind: feed.Media, Payload: feedtest.Payload(uint64(i), a.length)}
		if a.first {
			e.Flags = feed.SegmentFirst
		}
		b, err := lw.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		p.seen = append(p.seen, b)
		if a.held {
			held = append(held, b.Index)
		}
		time.Sleep(a.pause)
	}
	e, err := viewer.AddNotes(c.Replica.Notes())
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Log(feedtest.Rendition)
	if err != nil {
		t.Fatal(err)
	}
	if err := feedtest.Copy(lw.Log(), l, held...); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
}

// A spot is a block of an epoch.
type spot struct {
	epoch feed.EpochID
	index uint64
}

// An epochModel is what a plain reading of everything finds of an epoch.
type epochModel struct {
	id   feed.EpochID
	held []feed.Block
}

// model reads every index of every epoch.
func model(rt *rapid.T, r *feed.Replica) (all []epochModel) {
	for _, id := range r.EpochIDs() {
		e, err := r.OpenEpoch(id)
		if err != nil {
			rt.Fatal(err)
		}
		m := epochModel{id: id}
		l, err := e.Log(feedtest.Rendition)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range uint64(100) {
			if b, err := l.Block(i); err == nil {
				m.held = append(m.held, b)
			}
		}
		all = append(all, m)
	}
	return all
}

func begins(b feed.Block) bool { return b.Record.Flags&feed.SegmentFirst != 0 }

// onAir is the definition: the last segment, of those whose first record is held, that began by t.
func (m *epochModel) onAir(t int64) (at int, ok bool) {
	for k, b := range m.held {
		if begins(b) && b.Record.Wall <= t {
			at, ok = k, true
		}
	}
	return at, ok
}

// read is what a reader hands out from place k on: what continues, and whole segments after holes.
func (m *epochModel) read(k int) (spots []spot) {
	for at := k; at < len(m.held); at++ {
		b := m.held[at]
		continues := len(spots) > 0 && spots[len(spots)-1].index+1 == b.Index
		if continues || begins(b) {
			spots = append(spots, spot{m.id, b.Index})
		}
	}
	return spots
}

// expected is what a reader from t on hands out.
func expected(all []epochModel, t int64) (spots []spot) {
	from, k := 0, 0
	for e := range all {
		if m := &all[e]; len(m.held) > 0 && m.held[0].Record.Wall <= t {
			if at, ok := m.onAir(t); ok {
				from, k = e, at
			}
		}
	}
	for e := from; e < len(all); e++ {
		spots = append(spots, all[e].read(k)...)
		k = 0
	}
	return spots
}

func readAll(rt *rapid.T, rd *feed.Reader) (spots []spot) {
	for {
		item, err := rd.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return spots
		}
		if err != nil {
			rt.Fatal(err)
		}
		spots = append(spots, spot{item.Epoch.ID(), item.Block.Index})
	}
}

// Whatever is held, whatever rots and however clocks are set: a reader from any time on hands out exactly what the definition says.
func TestOpenAtProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPast(t, rt)
		p.rot(rt)
		changes := p.disk.Changes()
		reference := p.open(rt)
		all := model(rt, reference)
		at := p.time(rt)
		r := p.open(rt)
		rd, err := r.OpenAt(feedtest.Rendition, time.UnixMicro(at), 0)
		want := expected(all, at)
		if len(want) == 0 {
			if !errors.Is(err, feed.ErrNotHeld) {
				rt.Fatalf("got %v, want ErrNotHeld, since nothing is held", err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if got := readAll(rt, rd); !slices.Equal(got, want) {
			rt.Fatalf("at %d:\ngot  %v\nwant %v", at, got, want)
		}
		if n := p.disk.Changes() - changes; n != 0 {
			rt.Fatalf("reading changed the disk %d times", n)
		}
	})
}

// Lookups within a log agree with a scan.
func TestLookupsProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPast(t, rt)
		p.rot(rt)
		all := model(rt, p.open(rt))
		r := p.open(rt)
		at := p.time(rt)
		offset := rapid.Uint64Range(0, 3000).Draw(rt, "offset")
		for _, m := range all {
			e, err := r.OpenEpoch(m.id)
			if err != nil {
				rt.Fatal(err)
			}
			l, err := e.Log(feedtest.Rendition)
			if err != nil {
				rt.Fatal(err)
			}
			same := func(what string, b feed.Block, err error, k int) {
				if err != nil && !errors.Is(err, feed.ErrNotHeld) || (err == nil) != (k >= 0) || err == nil && b.Index != m.held[k].Index {
					rt.Fatalf("%s in epoch %v: got %d, %v, want number %d of those held", what, m.id, b.Index, err, k)
				}
			}
			b, err := l.AtTime(time.UnixMicro(at))
			same("AtTime", b, err, slices.IndexFunc(m.held, func(b feed.Block) bool { return b.Record.Wall >= at }))
			b, err = l.AtOffset(offset)
			same("AtOffset", b, err, slices.IndexFunc(m.held, func(b feed.Block) bool {
				return b.Record.Offset <= offset && offset < b.Record.Offset+uint64(b.Record.Length)
			}))
			b, err = l.OnAir(time.UnixMicro(at))
			k, ok := m.onAir(at)
			if !ok {
				k = -1
			}
			same("OnAir", b, err, k)
		}
	})
}

// rot changes a byte of a row or two.
func (p *past) rot(rt *rapid.T) {
	var records []string
	for _, name := range p.disk.Names() {
		if len(name) > 8 && name[len(name)-8:] == "/records" {
			records = append(records, name)
		}
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(rt, "rotten") {
		if len(records) > 0 {
			name := rapid.SampledFrom(records).Draw(rt, "log")
			row := rapid.Int64Range(0, 79).Draw(rt, "row")
			p.disk.Corrupt(name, row*feed.RowSize+rapid.Int64Range(0, feed.RowSize-1).Draw(rt, "byte"), 1<<rapid.IntRange(0, 7).Draw(rt, "bit"))
		}
	}
}

func (p *past) open(rt *rapid.T) *feed.Replica {
	r, err := feed.Open(p.root, feed.Config{Files: p.disk, ReadOnly: true})
	if err != nil {
		rt.Fatal(err)
	}
	return r
}

// time draws one near something that was signed, or far from all.
func (p *past) time(rt *rapid.T) int64 {
	if len(p.seen) == 0 {
		return 0
	}
	b := rapid.SampledFrom(p.seen).Draw(rt, "near")
	return max(0, b.Record.Wall+rapid.SampledFrom([]int64{0, -1, 1, 5_000_000, -1e12, 1e12}).Draw(rt, "off"))
}
