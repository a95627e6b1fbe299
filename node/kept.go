package node

import (
	"sync"
	"time"

	"tailcast/feed"
)

// keptFor is how long an answer to where the past begins serves: to find it, epochs are opened on disk.
const keptFor = 5 * time.Second

// keeping remembers what of a rendition can be watched again. The zero value is ready.
type keeping struct {
	mu   sync.Mutex // guards all below
	at   time.Time
	name string
	kept *Kept // nil: nothing is
}

// now says what of a rendition can be watched again; log is it in the epoch that is shown. Nil: nothing.
func (k *keeping) now(r *feed.Replica, log *feed.Log, name string) *Kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); k.kept == nil || k.name != name || now.Sub(k.at) >= keptFor {
		k.at, k.name, k.kept = now, name, nil
		if from, to, ok := r.Kept(name); ok {
			k.kept = &Kept{from.UTC(), to.UTC()}
		}
	}
	if k.kept == nil {
		return nil
	}
	out := *k.kept
	if b, err := log.Block(max(log.Head().Size, 1) - 1); err == nil {
		out.To = time.UnixMicro(b.Record.Wall).UTC()
	}
	return &out
}
