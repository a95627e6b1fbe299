package e2e

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/ingest/mpegts"
	"tailcast/quicwire"
	"tailcast/segmenter"
	"tailcast/swarm"
)

// ahead is a streamer inside the test whose clock is so far ahead, and the link to it. To a viewer that hears of no other clock it is all the same
// whether that one is fast or its own is slow; and what puts a clock wrong from outside a process, Go does not ask: it reads the kernel's page.
func ahead(t *testing.T, by time.Duration) string {
	t.Helper()
	now := func() time.Time { return time.Now().Add(by) }
	station, err := feed.OpenStation(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := feed.Open(station.Root(), feed.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := openEndpoint("127.0.0.1:0", now)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := feed.NewWriter(feed.WriterConfig{Replica: replica, Station: station, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s := swarm.New(swarm.Config{Endpoint: endpoint, Replica: replica, Role: quicwire.Streamer, Now: now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var all errgroup.Group
	all.Go(func() error { return s.Run(ctx) })
	all.Go(func() error { return writer.Run(ctx) })
	all.Go(func() error { return airClip(ctx, writer, now) })
	t.Cleanup(func() {
		cancel()
		if err := all.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the streamer in the test: %v", err)
		}
		if err := errors.Join(endpoint.Close(), replica.Close(), station.Close()); err != nil {
			t.Error(err)
		}
	})
	return feed.Link{Root: station.Root(), Anchors: []feed.Anchor{{Addr: endpoint.Addr().String()}}}.String()
}

// airClip signs the clip again and again, until ctx ends.
func airClip(ctx context.Context, w *feed.Writer, now func() time.Time) error {
	const name = "main"
	state := feed.State{Title: "Big Buck Bunny", Renditions: []feed.Rendition{{Name: name, Codecs: []string{"avc1.4d401e", "mp4a.40.2"}, Stripes: 1}}}
	if err := w.SetState(state); err != nil {
		return err
	}
	log, err := w.Log(name)
	if err != nil {
		return err
	}
	cutter := segmenter.New(segmenter.Config{Now: now}, func(b segmenter.Block) error {
		e := feed.Entry{Kind: feed.Media, DTS: b.DTS, Duration: b.Duration, Payload: b.Payload}
		if b.SegmentFirst {
			e.Flags |= feed.SegmentFirst
		}
		if b.RandomAccess {
			e.Flags |= feed.RandomAccess
		}
		_, err := log.Append(e)
		return err
	})
	return (&mpegts.File{Path: clipFile, Loop: true}).Run(ctx, cutter)
}
