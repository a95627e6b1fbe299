package node

import (
	"errors"
	"fmt"
	"log/slog"

	"tailcast/feed"
)

// tailBytes is what a node keeps of each log in memory: 20 s at 6 Mbit/s. What is older comes from disk.
const tailBytes = 16 << 20

// OpenReplica opens what the node keeps of the channel in dir; in memory if dir is empty. Without history no blocks are kept on disk,
// only what guards against going back to an older epoch.
func OpenReplica(root feed.PublicKey, dir string, h History, log *slog.Logger) (*feed.Replica, error) {
	r, err := feed.Open(root, feed.Config{Dir: dir, NoHistory: !h.Keep, Retention: h.Window, Logger: log, TailBytes: tailBytes})
	return r, DataError(err)
}

// DataError is Configuration, and for a directory that is in use names the flag that helps.
func DataError(err error) error {
	if errors.Is(err, feed.ErrLocked) {
		err = fmt.Errorf("%w: see --data", err)
	}
	return Configuration(err)
}
