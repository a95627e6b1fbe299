// Package hls pulls a program from an HLS server (RFC 8216, and its second edition for low latency): it follows the playlists, fetches and
// decrypts segments, takes them apart, and delivers what is in them at an even pace, as if an encoder were there.
//
//	master playlist ─▶ variant ─▶ follower ─▶ pieces ─▶ demuxer ─▶ lane ─┐
//	                  sound    ─▶ follower ─▶ pieces ─▶ demuxer ─▶ lane ─┴─▶ merger ─▶ joiner ─▶ pacer ─▶ Sink
//
// A piece is a segment, or a part of one where the server offers low latency. Segments are MPEG-TS, fMP4 or packed audio; each says for itself
// what it is. Followers have a goroutine each and a queue of a few pieces; when it is full they wait, and are that much further behind.
//
// Playlists are parsed by gohlslib; what it does not tell (which segment an EXT-X-MAP belongs to, where a part that is not finished stands) is found
// out by asking it in portions, see parse.
package hls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/ingest"
	"tailcast/internal/pace"
)

// Config says what to pull.
type Config struct {
	// URL of the playlist. Its fragment, which no server sees, may choose among the variants: #variant=720p (by height, size or a part of the
	// URI) or #bandwidth=3M (the most bits a second). The best one is taken otherwise.
	URL     string
	Program uint16        // program_number to take of a TS with several. If zero, the first, or that of Service.
	Service string        // name of the programme to take
	Loop    bool          // begin a recording again at its end
	Client  *http.Client  // If nil, one that keeps cookies.
	Stats   *ingest.Stats // If nil, counted for nobody.
	Logger  *slog.Logger  // If nil, silent.
}

// Pull is the source.
type Pull struct {
	cfg    Config
	url    *url.URL
	choice choice
	log    *slog.Logger
	stats  *ingest.Stats
	client *client
}

// NewPull checks the URL.
func NewPull(cfg Config) (*Pull, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("couldn't pull HLS: %w", err)
	}
	p := &Pull{cfg: cfg, url: u, log: cfg.Logger, stats: cfg.Stats}
	if p.choice, err = parseChoice(u.Fragment); err != nil {
		return nil, fmt.Errorf("couldn't pull HLS from %s: %w", u.Redacted(), err)
	}
	u.Fragment = ""
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.stats == nil {
		p.stats = new(ingest.Stats)
	}
	p.client = newClient(cfg.Client)
	return p, nil
}

// firstDelay is the pause after trouble with a segment, doubled each time in a row.
const firstDelay = 250 * time.Millisecond

// refusal is trouble that waiting does not cure.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// errAgain says that a recording is to be begun again.
var errAgain = errors.New("the recording has ended")

// Run implements ingest.Source.
func (p *Pull) Run(ctx context.Context, sink ingest.Sink) error {
	defer p.client.close()
	pacer := pace.NewPacer(ctx, sink, 1)
	m := &merger{pull: p, pacer: pacer, join: pace.NewJoiner(pacer)}
	for {
		err := p.once(ctx, m)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errAgain):
			continue
		case err != nil:
			return fmt.Errorf("couldn't pull HLS from %s: %w", p.url.Redacted(), err)
		}
		return nil
	}
}

// once follows the playlists to their end.
func (p *Pull) once(ctx context.Context, m *merger) error {
	streams, err := p.streams(ctx)
	if err != nil {
		return err
	}
	outer, cancel := context.WithCancelCause(ctx)
	group, ctx := errgroup.WithContext(outer)
	main := newFollower(p, streams[0], nil)
	lanes := []*lane{newLane(p, main)}
	for _, s := range streams[1:] {
		lanes = append(lanes, newLane(p, newFollower(p, s, main)))
	}
	for i, l := range lanes {
		group.Go(func() error {
			defer close(l.follower.out)
			err := ingest.Guard(p.log, func() error { return l.follower.run(ctx) })
			if i == 0 && errors.Is(err, ingest.ErrPanic) {
				cancel(err) // before the merger takes what it has for all there is
			}
			if i > 0 && ctx.Err() == nil && err != nil { // the program goes on without this sound
				p.trouble("sound is left out", l.follower.stream.name, err)
				return nil
			}
			return err
		})
	}
	group.Go(func() error {
		err := ingest.Guard(p.log, func() error { return m.run(ctx, lanes) })
		cancel(err)
		return err
	})
	err = group.Wait()
	cancel(nil)
	if errors.Is(err, context.Canceled) && context.Cause(outer) != nil { // those who end for another do not hide why
		err = context.Cause(outer)
	}
	if errors.Is(err, context.Canceled) { // those that were not at their end when the first was
		err = nil
	}
	if err == nil && p.cfg.Loop && main.recording.Load() {
		if !m.took {
			return errors.New("the recording is too short to be looped")
		}
		return errAgain
	}
	return err
}

// trouble logs and remembers what went wrong.
func (p *Pull) trouble(msg, name string, err error) {
	p.stats.SetError(err)
	p.log.Warn(msg, "playlist", name, "error", err)
}
