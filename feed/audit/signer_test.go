package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A signer makes folders of its own, right or wrong.
type signer struct {
	root, station ed25519.PrivateKey
	folder        fstest.MapFS
}

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) feed.PublicKey {
	return feed.PublicKey(k.Public().(ed25519.PublicKey))
}

func newSigner() *signer {
	return &signer{key("root"), key("station"), fstest.MapFS{}}
}

// A signedEpoch is an epoch of a signer.
type signedEpoch struct {
	dir string
	key ed25519.PrivateKey
	*signer
}

// epoch signs the notes of an epoch.
func (s *signer) epoch(t testing.TB, number uint64, last *feed.LastEpoch, notAfter time.Time) *signedEpoch {
	t.Helper()
	k := key(fmt.Sprint("epoch", number))
	channel, err1 := feed.SignChannelNote(s.root, feed.ChannelNote{Generation: 1, NotAfter: notAfter, Stations: []feed.PublicKey{public(s.station)}})
	note, err2 := feed.SignEpochNote(s.station, k, feed.EpochNote{Root: public(s.root), Generation: 1, Number: number, Last: last})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	e := &signedEpoch{fmt.Sprintf("epochs/1-%d-%v", number, public(k).EpochID()), k, s}
	e.put("channel.note", channel)
	e.put("epoch.note", note)
	return e
}

func (e *signedEpoch) put(name string, b []byte) {
	e.folder[e.dir+"/"+name] = &fstest.MapFile{Data: b, Mode: 0o600}
}

// A signedLog is a log of a signer, which it writes down as it grows.
type signedLog struct {
	*signedEpoch
	name    string
	edge    merkle.Frontier
	prev    *feed.Record
	rows    []byte
	payload []byte
}

func (e *signedEpoch) log(name string) *signedLog { return &signedLog{signedEpoch: e, name: name} }

// add signs one more record, which change may spoil.
func (l *signedLog) add(kind feed.Kind, flags feed.Flags, payload string, change func(*feed.Record)) {
	r := feed.Record{Kind: kind, Flags: flags, Length: uint32(len(payload)), Wall: 1_795_000_000_000_000, Hash: sha256.Sum256([]byte(payload))}
	if p := l.prev; p != nil {
		r.Offset, r.Wall = p.Offset+uint64(p.Length), p.Wall+40_000
		r.Segment, r.Back = p.Segment, p.Back+1
		if flags&feed.SegmentFirst != 0 {
			r.Segment, r.Back = p.Segment+1, 0
		}
	}
	if change != nil {
		change(&r)
	}
	l.edge.Append(r.Leaf())
	h := feed.SignHead(l.key, feed.Origin(public(l.root), public(l.key).EpochID(), l.name), l.edge.Size(), l.edge.Root())
	l.rows = append(r.Append(l.rows), h.Signature[:]...)
	l.payload = append(l.payload, payload...)
	l.prev = &r
	l.put(l.name+"/records", l.rows)
	l.put(l.name+"/payload/00000000000000000000", l.payload)
}

// media signs n records of media; the first begins a segment.
func (l *signedLog) media(n int) *signedLog {
	for k := range n {
		flags := feed.Flags(0)
		if k == 0 {
			flags = feed.SegmentFirst
		}
		l.add(feed.Media, flags, fmt.Sprintf("payload %d", l.edge.Size()), nil)
	}
	return l
}

func (l *signedLog) head() feed.LogHead {
	return feed.LogHead{Log: l.name, Size: l.edge.Size(), Root: l.edge.Root()}
}

// anchor signs a catalog that names heads.
func (e *signedEpoch) anchor(t testing.TB, heads ...feed.LogHead) *signedLog {
	t.Helper()
	c := e.log(feed.CatalogLog)
	for k, entry := range []feed.CatalogEntry{
		feed.State{Title: "tv", Renditions: []feed.Rendition{{Name: "tv", Stripes: 1}}}, feed.LogAnchor{Logs: heads},
	} {
		payload, err := entry.Payload()
		if err != nil {
			t.Fatal(err)
		}
		c.add(feed.Event, []feed.Flags{feed.SegmentFirst | feed.RandomAccess, 0}[k], string(payload), nil)
	}
	return c
}
