package feedtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A Channel is a broadcaster for tests: a station, its replica and a writer, with one rendition named Rendition.
type Channel struct {
	Station *feed.Station
	Replica *feed.Replica
	Writer  *feed.Writer
	Log     *feed.LogWriter
}

// Rendition is the name of the rendition of a Channel.
const Rendition = "main"

// NewChannel opens a channel in memory, or as cfg says. Its first state names one rendition of so many stripes. It ends with the test.
func NewChannel(t testing.TB, cfg feed.Config, stripes int) *Channel {
	t.Helper()
	station, err := feed.OpenStation(t.TempDir(), cfg.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { station.Close() })
	return Broadcast(t, station, cfg, stripes)
}

// Broadcast opens an epoch of a station's channel: what a start of the streamer does.
func Broadcast(t testing.TB, station *feed.Station, cfg feed.Config, stripes int) *Channel {
	t.Helper()
	replica, err := feed.Open(station.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.Close() })
	c := &Channel{Station: station, Replica: replica}
	if err := c.Restart(stripes); err != nil {
		t.Fatal(err)
	}
	return c
}

// Restart opens the next epoch in the same replica.
func (c *Channel) Restart(stripes int) (err error) {
	if c.Writer, err = feed.NewWriter(feed.WriterConfig{Replica: c.Replica, Station: c.Station}); err != nil {
		return err
	}
	rendition := feed.Rendition{Name: Rendition, Codecs: []string{"avc1.64001f"}, Stripes: stripes, Bitrate: 4_000_000}
	if err := c.Writer.SetState(feed.State{Title: "Test", Renditions: []feed.Rendition{rendition}}); err != nil {
		return err
	}
	c.Log, err = c.Writer.Log(Rendition)
	return err
}

// Append signs n blocks of that payload size; the first begins a segment. The payloads differ.
func (c *Channel) Append(t testing.TB, n, size int) []feed.Block {
	t.Helper()
	blocks := make([]feed.Block, n)
	for k := range blocks {
		var flags feed.Flags
		if k == 0 {
			flags = feed.SegmentFirst | feed.RandomAccess
		}
		b, err := c.Log.Append(feed.Entry{Kind: feed.Media, Flags: flags, Payload: Payload(c.Log.Log().Head().Size, size)})
		if err != nil {
			t.Fatal(err)
		}
		blocks[k] = b
	}
	return blocks
}

// Payload returns bytes that differ from one seed to the next.
func Payload(seed uint64, size int) []byte {
	p := bytes.Repeat(binary.BigEndian.AppendUint64(nil, seed*0x9e3779b97f4a7c15), size/8+1)
	return p[:size]
}

// Viewer returns a replica that knows the notes of the channel's current epoch, and its log of that name.
func (c *Channel) Viewer(t testing.TB, cfg feed.Config, log string) (*feed.Replica, *feed.Log) {
	t.Helper()
	viewer, err := feed.Open(c.Replica.Root(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { viewer.Close() })
	epoch, err := viewer.AddNotes(c.Replica.Notes())
	if err != nil {
		t.Fatal(err)
	}
	l, err := epoch.Log(log)
	if err != nil {
		t.Fatal(err)
	}
	return viewer, l
}

// Copy puts blocks of one log into another, in the order given, each with its frontier.
func Copy(from, to *feed.Log, indices ...uint64) error {
	for _, i := range indices {
		b, f, err := Take(from, i)
		if err != nil {
			return err
		}
		if _, err := to.Put(b, f); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
	}
	return nil
}

// Take returns a block with what proves it.
func Take(l *feed.Log, i uint64) (feed.Block, merkle.Frontier, error) {
	b, err := l.Block(i)
	if err != nil {
		return feed.Block{}, merkle.Frontier{}, err
	}
	f, err := l.Frontier(i)
	return b, f, err
}
