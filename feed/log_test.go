package feed_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/feed/merkle"
)

func TestViewerHoldsWhatTheStreamerSigned(t *testing.T) {
	for _, c := range []struct {
		name  string
		order func(n int) []uint64
	}{
		{"in order", func(n int) []uint64 { return indices(0, n) }},
		{"backwards", func(n int) []uint64 { o := indices(0, n); slices.Reverse(o); return o }},
		{"stripe by stripe", func(n int) []uint64 {
			var o []uint64
			for stripe := range 8 {
				for i := stripe; i < n; i += 8 {
					o = append(o, uint64(i))
				}
			}
			return o
		}},
		{"in any order", func(n int) []uint64 {
			o := indices(0, n)
			rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { o[i], o[j] = o[j], o[i] })
			return o
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 100
			channel := feedtest.NewChannel(t, feed.Config{}, 8)
			for range n / 10 {
				channel.Append(t, 10, 100)
			}
			source := channel.Log.Log()
			_, log := channel.Viewer(t, feed.Config{}, feedtest.Rendition)
			if err := feedtest.Copy(source, log, c.order(n)...); err != nil {
				t.Fatal(err)
			}
			if got, want := log.Head(), source.Head(); got != want {
				t.Errorf("got head %v, want %v", got, want)
			}
			assertSame(t, log, source, 0, n)
		})
	}
}

// assertSame checks that log holds the blocks [from, to) of source, and can prove each of them onward.
func assertSame(t *testing.T, log, source *feed.Log, from, to uint64) {
	t.Helper()
	for i := from; i < to; i++ {
		got, gotF, err := feedtest.Take(log, i)
		if err != nil {
			t.Errorf("block %d: %v", i, err)
			continue
		}
		want, wantF, err := feedtest.Take(source, i)
		if err != nil {
			t.Fatal(err)
		}
		if got.Record != want.Record || got.Signature != want.Signature || !slices.Equal(got.Payload, want.Payload) {
			t.Errorf("block %d is another than the one signed", i)
		}
		if gotF != wantF {
			t.Errorf("frontier %d is another than the one signed", i)
		}
	}
}

func indices(from, to int) []uint64 {
	var o []uint64
	for i := from; i < to; i++ {
		o = append(o, uint64(i))
	}
	return o
}

func TestPutTwiceIsNotFresh(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	b := channel.Append(t, 1, 100)[0]
	_, log := channel.Viewer(t, feed.Config{}, feedtest.Rendition)
	for _, want := range []bool{true, false} {
		fresh, err := log.Put(b, merkle.Frontier{})
		if fresh != want || err != nil {
			t.Errorf("got %v, %v, want %v", fresh, err, want)
		}
	}
}

func TestPutRefusesWhatWasNotSigned(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	channel.Append(t, 20, 100)
	good, frontier, err := feedtest.Take(channel.Log.Log(), 13)
	if err != nil {
		t.Fatal(err)
	}
	peaks := slices.Clone(frontier.Peaks())
	peaks[1][5] ^= 1
	forged, err := merkle.NewFrontier(13, peaks)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := feedtest.Take(channel.Log.Log(), 12)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(b *feed.Block, f *merkle.Frontier)
		want   error
	}{
		{"payload", func(b *feed.Block, f *merkle.Frontier) { b.Payload = slices.Clone(b.Payload); b.Payload[7] ^= 1 }, feed.ErrPayload},
		{"no payload", func(b *feed.Block, f *merkle.Frontier) { b.Payload = nil }, feed.ErrPayload},
		{"record", func(b *feed.Block, f *merkle.Frontier) { b.Record.Wall++ }, feed.ErrSignature},
		{"signature", func(b *feed.Block, f *merkle.Frontier) { b.Signature[3] ^= 1 }, feed.ErrSignature},
		{"peak", func(b *feed.Block, f *merkle.Frontier) { *f = forged }, feed.ErrSignature},
		{"frontier of another size", func(b *feed.Block, f *merkle.Frontier) { *f = other }, feed.ErrSignature},
		{"another place", func(b *feed.Block, f *merkle.Frontier) { *f = other; b.Index = 12 }, feed.ErrSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, log := channel.Viewer(t, feed.Config{}, feedtest.Rendition)
			b, f := good, frontier
			c.change(&b, &f)
			if fresh, err := log.Put(b, f); fresh || !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", fresh, err, c.want)
			}
			if log.Has(b.Index) || log.Head().Size != 0 {
				t.Error("the block was taken in")
			}
		})
	}
	t.Run("another log", func(t *testing.T) {
		_, log := channel.Viewer(t, feed.Config{}, "other")
		if _, err := log.Put(good, frontier); !errors.Is(err, feed.ErrSignature) {
			t.Errorf("got %v, want ErrSignature", err)
		}
	})
}

func TestTailIsBounded(t *testing.T) {
	const size, limit = 1000, 100_000
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	viewer, log := channel.Viewer(t, feed.Config{TailBytes: limit}, feedtest.Rendition)
	for range 30 {
		for _, b := range channel.Append(t, 10, size) {
			if err := feedtest.Copy(channel.Log.Log(), log, b.Index); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := 0
	for i := range uint64(300) {
		if log.Has(i) {
			held++
		}
	}
	if held == 0 || held > limit/size {
		t.Errorf("holds %d blocks of %d bytes, want at most %d", held, size, limit/size)
	}
	if base := log.Base(); base != 300-uint64(held) {
		t.Errorf("got base %d, want %d", base, 300-held)
	}
	b, f, err := feedtest.Take(channel.Log.Log(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := log.Put(b, f); fresh || err != nil {
		t.Errorf("a block older than the tail: got %v, %v, want false and no error", fresh, err)
	}
	_ = viewer
}

func TestMissingNamesTheHoles(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	channel.Append(t, 20, 10)
	_, log := channel.Viewer(t, feed.Config{}, feedtest.Rendition)
	if err := feedtest.Copy(channel.Log.Log(), log, 3, 4, 8, 9, 15); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to uint64
		max      int
		want     []feed.Range
	}{
		{0, 16, 9, []feed.Range{{0, 3}, {5, 8}, {10, 15}}},
		{0, 16, 2, []feed.Range{{0, 3}, {5, 8}}},
		{3, 5, 9, nil},
		{4, 7, 9, []feed.Range{{5, 7}}},
		{16, 18, 1, []feed.Range{{16, 18}}},
		{9, 9, 9, nil},
	} {
		if got := log.Missing(c.from, c.to, c.max); !slices.Equal(got, c.want) {
			t.Errorf("Missing(%d, %d, %d): got %v, want %v", c.from, c.to, c.max, got, c.want)
		}
	}
}

func TestSegments(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	for range 4 {
		channel.Append(t, 5, 10)
	}
	log := channel.Log.Log()
	if first, ok := log.NewestSegment(); first != 15 || !ok {
		t.Errorf("got newest segment %d, %v, want 15", first, ok)
	}
	for _, c := range [][2]uint64{{0, 0}, {4, 0}, {5, 5}, {13, 10}, {99, 99}} {
		if got := log.SegmentStart(c[0]); got != c[1] {
			t.Errorf("SegmentStart(%d): got %d, want %d", c[0], got, c[1])
		}
	}
	_, viewer := channel.Viewer(t, feed.Config{}, feedtest.Rendition)
	if first, ok := viewer.NewestSegment(); ok {
		t.Errorf("empty log: got segment %d", first)
	}
	// The first of the newest segment is missing: the one before is the newest that can be joined at.
	if err := feedtest.Copy(log, viewer, 10, 11, 16, 17); err != nil {
		t.Fatal(err)
	}
	if first, ok := viewer.NewestSegment(); first != 10 || !ok {
		t.Errorf("got newest segment %d, %v, want 10", first, ok)
	}
}

func TestChangedWakesOnce(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	log, replica := channel.Log.Log(), channel.Replica
	one, two, all := log.Changed(), log.Changed(), replica.Changed()
	if one != two {
		t.Error("two waiters of one change got two channels")
	}
	select {
	case <-one:
		t.Fatal("changed before anything happened")
	default:
	}
	channel.Append(t, 1, 10)
	for k, c := range []<-chan struct{}{one, all} {
		select {
		case <-c:
		default:
			t.Errorf("waiter %d was not woken", k)
		}
	}
}

func TestEpochHasAtMostMaxLogs(t *testing.T) {
	channel := feedtest.NewChannel(t, feed.Config{}, 1)
	epoch := channel.Replica.Current()
	for k := len(epoch.Logs()); k < feed.MaxLogs; k++ {
		if _, err := epoch.Log(fmt.Sprint("log", k)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := epoch.Log("more"); err == nil {
		t.Error("got no error for one log too many")
	}
	if _, err := epoch.Log("../up"); err == nil {
		t.Error("got no error for a name that is none")
	}
}
