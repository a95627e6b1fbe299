package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/feed/feedtest"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// rendition is the name of the log.
const rendition = "main"

// streamer signs a stream and serves it, until its parent says that it is enough.
func streamer(s spec, in *json.Decoder, out *json.Encoder) error {
	b, err := newBroadcast(s)
	if err != nil {
		return err
	}
	defer b.close()
	begin := time.Now().Add(100 * time.Millisecond)
	link := feed.Link{Root: b.replica.Root(), Anchors: []feed.Anchor{{Addr: b.endpoint.Addr().String()}}}
	var w window
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var all errgroup.Group
	all.Go(func() error { return b.swarm.Run(ctx) })
	all.Go(func() error { return b.writer.Run(ctx) })
	all.Go(func() error { return b.sign(ctx, s.Stream, begin) })
	if err := errors.Join(out.Encode(ready{link.String(), begin}), in.Decode(&w)); err != nil {
		return err
	}
	r := measureWindow(untilEOF(in), w, s.Profile, []*swarm.Swarm{b.swarm})
	stop()
	err = all.Wait()
	b.close()
	r.Late = lateWithin(b.late, w)
	r.Left = goroutinesLeft()
	return errors.Join(err, out.Encode(r))
}

// A broadcast is a streamer with a channel of its own.
type broadcast struct {
	station  *feed.Station
	replica  *feed.Replica
	writer   *feed.Writer
	log      *feed.LogWriter
	endpoint *quicwire.Endpoint
	swarm    *swarm.Swarm
	late     []lateness // owned by sign until it returns
}

func newBroadcast(s spec) (b *broadcast, err error) {
	b = &broadcast{}
	if b.station, err = feed.OpenStation(filepath.Join(s.Dir, "station"), nil); err != nil {
		return nil, err
	}
	if b.replica, err = feed.Open(b.station.Root(), feed.Config{Dir: filepath.Join(s.Dir, "channel")}); err != nil {
		return nil, err
	}
	if b.writer, err = feed.NewWriter(feed.WriterConfig{Replica: b.replica, Station: b.station}); err != nil {
		return nil, err
	}
	state := feed.State{Title: "Benchmark", Renditions: []feed.Rendition{{
		Name: rendition, Codecs: []string{"avc1.64001f"}, Stripes: s.Stream.Stripes, Bitrate: s.Stream.Rate,
	}}}
	if err := b.writer.SetState(state); err != nil {
		return nil, err
	}
	if b.log, err = b.writer.Log(rendition); err != nil {
		return nil, err
	}
	if b.endpoint, err = newEndpoint(s.Viewers); err != nil {
		return nil, err
	}
	cfg := swarm.Config{Endpoint: b.endpoint, Replica: b.replica, Role: quicwire.Streamer, Copies: s.Copies}
	if s.Idle {
		cfg.MaxPeers = s.Viewers + 1
	}
	b.swarm = swarm.New(cfg)
	return b, nil
}

// newEndpoint opens a socket on a free port, with room for so many sessions, and more.
func newEndpoint(sessions int) (*quicwire.Endpoint, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	return quicwire.New(quicwire.Config{Conn: conn, MaxSessions: max(256, sessions+16)})
}

func (b *broadcast) close() {
	b.endpoint.Close()
	b.replica.Close()
	b.station.Close()
}

// A lateness says how much later than due a block was signed: mostly how long this process waits for a processor.
type lateness struct {
	due  time.Time
	late time.Duration
}

// lateWithin returns the delays of the blocks that were due in w.
func lateWithin(all []lateness, w window) (late []time.Duration) {
	for _, l := range all {
		if w.contains(l.due) {
			late = append(late, l.late)
		}
	}
	return late
}

// sign signs blocks when they are due. If it comes too late, it catches up.
func (b *broadcast) sign(ctx context.Context, s stream, begin time.Time) error {
	for i := uint64(0); ; i++ {
		due := s.due(begin, i)
		if !sleep(ctx, due) {
			return nil
		}
		var flags feed.Flags
		if s.first(i) {
			flags = feed.SegmentFirst | feed.RandomAccess
		}
		e := feed.Entry{Kind: feed.Media, Flags: flags, DTS: int64(i) * 90 * s.gap().Milliseconds(), Payload: feedtest.Payload(i, s.Block)}
		block, err := b.log.Append(e)
		switch {
		case errors.Is(err, feed.ErrEnded):
			return nil // the writer is faster at ending
		case err != nil:
			return err
		case block.Index != i:
			return fmt.Errorf("block %d is number %d of the stream", block.Index, i)
		}
		b.late = append(b.late, lateness{due, time.Since(due)})
	}
}
