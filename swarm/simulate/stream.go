package simulate

import (
	"encoding/binary"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// An epoch is one run of a source. All that is signed in it lasts until the World ends.
type epoch struct {
	number  int // its place in World.epochs
	name    swarm.Epoch
	catalog *log
	media   *log
	over    bool
}

// A log is what the source has signed.
type log struct {
	number  int // its place in World.logs
	epoch   *epoch
	id      quicwire.LogID
	stripes int
	blocks  []signed
	ring    int // for how many blocks nodes remember when they were signed; a power of two
}

// A signed is a block.
type signed struct {
	at   time.Duration
	size int32  // bytes of payload
	back uint32 // blocks since the first of its segment
}

// first reports whether a segment begins with block i.
func (l *log) first(i uint64) bool { return l.blocks[i].back == 0 }

const (
	rendition    = "tv"
	segmentEvery = time.Second
	stateSize    = 300 // bytes of the catalog's first record
	firstNumber  = 1000
	memory       = 8 // seconds of blocks that nodes remember at least
)

// openEpoch begins an epoch. Those that are opened later win, unless old is set: then this one is below all others.
func (w *World) openEpoch(old bool) *epoch {
	n := len(w.epochs)
	e := &epoch{number: n, name: swarm.Epoch{Generation: 1, Number: uint64(firstNumber + n)}}
	if old {
		e.name.Number = uint64(1 + n)
	}
	binary.BigEndian.PutUint64(e.name.ID[:8], uint64(n+1))
	a := w.cfg.Stream
	rate := a.Rate / 8 / float64(a.Block)
	e.catalog = w.openLog(e, feed.CatalogLog, 1, 1)
	e.media = w.openLog(e, rendition, a.Stripes, max(2*rate, a.Frames))
	w.epochs = append(w.epochs, e)
	return e
}

// openLog makes a log of so many blocks a second.
func (w *World) openLog(e *epoch, name string, stripes int, rate float64) *log {
	l := &log{number: len(w.logs), epoch: e, id: quicwire.LogID{Epoch: e.name.ID, Name: name}, stripes: stripes, ring: 64}
	for float64(l.ring) < memory*rate {
		l.ring *= 2
	}
	w.logs = append(w.logs, l)
	return l
}

// find returns the log of an id; nil if there is none.
func (w *World) find(id *quicwire.LogID) *log {
	n := binary.BigEndian.Uint64(id.Epoch[:8])
	if n == 0 || n > uint64(len(w.epochs)) {
		return nil
	}
	switch e := w.epochs[n-1]; id.Name {
	case feed.CatalogLog:
		return e.catalog
	case rendition:
		return e.media
	}
	return nil
}

// notes returns what stands for an epoch's notes. Real ones have about 700 bytes together.
func (e *epoch) notes() feed.Notes {
	b := make([]byte, 700)
	binary.BigEndian.PutUint64(b, uint64(e.number+1))
	return feed.Notes{Epoch: b}
}

// epochOf returns the epoch of notes; nil if there are none.
func (w *World) epochOf(n feed.Notes) *epoch {
	if len(n.Epoch) < 8 {
		return nil
	}
	return w.epochs[binary.BigEndian.Uint64(n.Epoch)-1]
}

// sign lets the source of an epoch sign a block now.
func (w *World) sign(l *log, size int) {
	b := signed{at: w.now(), size: int32(size)}
	if n := len(l.blocks); n > 0 && (l == l.epoch.catalog || b.at < w.segmentOf(l, n-1)+segmentEvery) {
		b.back = l.blocks[n-1].back + 1
	}
	l.blocks = append(l.blocks, b)
	n := w.nodes[w.publisher(l.epoch)]
	i := uint64(len(l.blocks) - 1)
	n.hold(l, i, b.at)
	if l == l.epoch.media && l.epoch.live() {
		w.measure.signed(b.at, size)
	}
	w.tell(n, swarm.BlockIn{
		Log: l.id, Index: i, Kind: l.kind(i), Back: b.back, Size: size, Wall: w.wall(b.at), Fresh: true,
	})
}

// segmentOf returns when the segment of a block began.
func (w *World) segmentOf(l *log, i int) time.Duration { return l.blocks[i-int(l.blocks[i].back)].at }

func (l *log) kind(i uint64) feed.Kind {
	switch {
	case l == l.epoch.media:
		return feed.Media
	case i == 0:
		return feed.Event
	}
	return feed.Heartbeat
}

// publisher returns the node that signs an epoch.
func (w *World) publisher(e *epoch) int32 { return w.signers[e.number] }

// air goes on air: an epoch opens, and a stream begins.
func (w *World) air(n *node, old bool) {
	e := w.openEpoch(old)
	w.signers = append(w.signers, n.index)
	n.learn(e)
	n.signs = e
	w.tell(n, swarm.Publishing{Epoch: e.name})
	w.tell(n, swarm.EpochKnown{Epoch: e.name})
	w.sign(e.catalog, stateSize)
	w.later(time.Second, event{kind: evBeat, ref: int32(e.number)})
	w.later(0, event{kind: evSign, ref: int32(e.number)})
}

// beat signs the record that the catalog gets each second.
func (w *World) beat(e *epoch) {
	if e.over {
		return
	}
	w.sign(e.catalog, 0)
	w.later(time.Second, event{kind: evBeat, ref: int32(e.number)})
}

// signNext signs what is due: a block, or those of a picture.
func (w *World) signNext(e *epoch) {
	if e.over {
		return
	}
	a := &w.cfg.Stream
	if a.Frames == 0 {
		w.sign(e.media, a.Block)
		w.later(time.Duration(float64(a.Block)*8/a.Rate*float64(time.Second)), event{kind: evSign, ref: int32(e.number)})
		return
	}
	w.picture(e)
	w.later(time.Duration(float64(time.Second)/a.Frames), event{kind: evSign, ref: int32(e.number)})
}

// picture signs the blocks of one picture, much as the segmenter cuts it: at the block size, and at the end of the picture if half a block
// is full (three eighths, there).
func (w *World) picture(e *epoch) {
	a := &w.cfg.Stream
	usual := a.Rate / 8 / (a.Frames - 1 + a.Peak)
	size := usual * (0.7 + 0.6*w.rand.Float64())
	if n := len(e.media.blocks); n == 0 || w.now() >= w.segmentOf(e.media, n-1)+segmentEvery {
		size = usual * a.Peak
	}
	w.carry += int(size)
	for w.carry >= a.Block {
		w.sign(e.media, a.Block)
		w.carry -= a.Block
	}
	if w.carry >= a.Block/2 {
		w.sign(e.media, w.carry)
		w.carry = 0
	}
}
