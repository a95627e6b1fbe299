package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tailcast/feed"
	"tailcast/feed/clip"
	"tailcast/node"
)

// An output is where the stream of the first channel is copied to besides the page.
type output struct {
	io.WriteCloser
	path  string // of the stream; empty: verified blocks, as a clip
	proof bool   // of a recording that goes on without it
}

// outputs opens them.
func (o *options) outputs() (outs []output, err error) {
	if o.player != "" && players[o.player] == nil {
		return nil, node.Usagef("--player %s: want mpv, vlc or browser", o.player)
	}
	if o.stdout {
		outs = append(outs, output{os.Stdout, "/live.ts?join=last", false})
	}
	if o.record == "" {
		return outs, nil
	}
	kind := strings.ToLower(filepath.Ext(o.record))
	path := map[string]string{".mp4": "/live.mp4?join=last", ".clip": ""}
	stream, special := path[kind]
	if !special {
		stream = "/live.ts?join=last"
	}
	f, err := create(o.record)
	if err != nil {
		return nil, err
	}
	outs = append(outs, output{f, stream, false})
	if kind == ".clip" || o.noProof {
		return outs, nil
	}
	name := strings.TrimSuffix(o.record, filepath.Ext(o.record)) + ".clip"
	proof, err := create(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return append(outs, output{proof, "", true}), nil
}

func closeOutputs(outs []output) (err error) {
	for _, out := range outs {
		err = errors.Join(err, out.Close())
	}
	return err
}

// A recording is a file of this run. One that got nothing is none: it goes when it is closed, and the next run finds its name free.
type recording struct {
	file  *os.File
	begun bool
}

// create makes a file that is not there yet.
func create(name string) (*recording, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, node.Usagef("--record: %v", err)
	}
	return &recording{file: f}, nil
}

func (r *recording) Write(b []byte) (n int, err error) {
	n, err = r.file.Write(b)
	r.begun = r.begun || n > 0
	return n, err
}

// discard makes Close remove a file, whatever is in it.
func (o *output) discard() {
	if r, ok := o.WriteCloser.(*recording); ok {
		r.begun = false
	}
}

func (r *recording) Close() error {
	err := r.file.Close()
	if !r.begun {
		err = errors.Join(err, os.Remove(r.file.Name()))
	}
	return err
}

// prove writes what is verified as a clip, until ctx ends.
func prove(ctx context.Context, r *feed.Replica, rendition string, out output, log *slog.Logger) error {
	n, err := clip.Record(ctx, out, r, rendition)
	if err != nil {
		out.discard() // without its end it is no clip
	}
	err = errors.Join(err, out.Close())
	switch {
	case err == nil:
		log.Info("recorded with proof: see viewer verify", "blocks", n)
		return ctx.Err()
	case errors.Is(err, clip.ErrNothing):
		return ctx.Err()
	case out.proof && ctx.Err() == nil:
		log.Warn("the recording goes on without proof; what there was of it cannot be verified, and is removed", "err", err)
		return nil
	}
	return fmt.Errorf("cannot write the clip, which is removed since a part of it cannot be verified: %w", err)
}

// awaitChosen waits until it is known which rendition is watched; "" if ctx has ended.
func awaitChosen(ctx context.Context, n *node.Channel) string {
	tick := time.NewTicker(chosenEvery)
	defer tick.Stop()
	for {
		if name := n.Chosen(); name != "" {
			return name
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ""
		}
	}
}

// chosenEvery is how often that is looked at.
const chosenEvery = 50 * time.Millisecond

// retryTime is how long to wait before a stream that has ended is asked for again.
const retryTime = time.Second

// copyStream reads our own stream, as any player would, until ctx ends or out does not take it.
func copyStream(ctx context.Context, url string, out io.WriteCloser) (err error) {
	defer func() { err = errors.Join(err, out.Close()) }()
	for {
		if err := copyOnce(ctx, url, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryTime):
		}
	}
}

// sink remembers whether it was the writing side that failed.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(b []byte) (n int, err error) {
	n, s.err = s.Writer.Write(b)
	return n, s.err
}

// copyOnce copies until the stream ends. A refusal that lasts is an error: waiting would be for ever.
func copyOnce(ctx context.Context, url string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return ctx.Err() // not listening yet, or ending
	}
	defer r.Body.Close()
	switch r.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return ctx.Err() // nothing to play yet
	default: // nothing that time mends
		text, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10))
		return fmt.Errorf("cannot copy the stream: %s answers %s: %s", url, r.Status, bytes.TrimSpace(text))
	}
	to := &sink{Writer: out}
	if _, err := io.Copy(to, r.Body); to.err != nil {
		return fmt.Errorf("cannot write the stream: %w", err)
	}
	return ctx.Err()
}
