package clip

import (
	"context"
	"errors"
	"io"
	"time"

	"tailcast/feed"
)

// recordPatience is how long a recording waits for a block that is late. What comes later still is missing from it, as a hole between two parts.
const recordPatience = 5 * time.Second

// Record writes a clip of what arrives, from the newest segment on, until ctx ends; then it completes it, which takes no longer than a cut's end.
// Before that the file is no clip. Nothing but the blocks in memory is needed: a node that keeps no history can record. log names the rendition; if
// empty, the first of the newest STATE. The error is not ctx's.
func Record(ctx context.Context, w io.Writer, r *feed.Replica, log string) (blocks int, err error) {
	if log, err = awaitLog(ctx, r, log); err != nil {
		return 0, err
	}
	k := &cutter{name: log, out: NewWriter(w, r.Root())}
	reader := r.Follow(log, feed.JoinLast, recordPatience)
	for err == nil {
		var item feed.Item
		if item, err = reader.Next(ctx); err != nil {
			break
		}
		err = k.block(&item.Block, item.Epoch)
	}
	if ctx.Err() == nil && !errors.Is(err, io.EOF) {
		return k.blocks, err
	}
	if k.blocks == 0 {
		return 0, ErrNothing
	}
	if err := k.end(); err != nil {
		return k.blocks, err
	}
	return k.blocks, k.out.Close()
}

// awaitLog waits until it is known which log is meant.
func awaitLog(ctx context.Context, r *feed.Replica, log string) (string, error) {
	for log == "" {
		changed := r.Changed()
		if e := r.Current(); e != nil {
			if state, ok := e.State(); ok {
				return state.Renditions[0].Name, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ErrNothing
		}
	}
	return log, feed.CheckLogName(log)
}
