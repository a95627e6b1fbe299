package node

import (
	"maps"
	"sync"
	"time"

	"tailcast/feed"
)

// keptFor is how long an answer to where the past begins serves: to find it, epochs are opened on disk.
const keptFor = 5 * time.Second

// keeping remembers what of each rendition can be watched again. The zero value is ready.
type keeping struct {
	mu    sync.Mutex // guards all below
	found map[string]found
}

// found is what was found out of one rendition.
type found struct {
	at   time.Time
	kept *Kept
}

// now says what of a rendition can be watched again; log is it in the epoch that is shown. Nil: nothing.
func (k *keeping) now(r *feed.Replica, log *feed.Log, name string) *Kept {
	kept := k.find(name, time.Now(), func() *Kept {
		from, to, ok := r.Kept(name)
		if !ok {
			return nil
		}
		return &Kept{from.UTC(), to.UTC()}
	})
	if kept == nil {
		return nil
	}
	out := *kept
	if b, err := log.Block(max(log.Head().Size, 1) - 1); err == nil {
		out.To = time.UnixMicro(b.Record.Wall).UTC()
	}
	return &out
}

// find returns what is remembered, if that is young, else what search finds; what is old is forgotten. That nothing is kept is not remembered: the first
// block changes it.
func (k *keeping) find(name string, now time.Time, search func() *Kept) *Kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.found, func(_ string, f found) bool { return now.Sub(f.at) >= keptFor })
	if f, ok := k.found[name]; ok {
		return f.kept
	}
	kept := search()
	if kept != nil {
		if k.found == nil {
			k.found = map[string]found{}
		}
		k.found[name] = found{now, kept}
	}
	return kept
}
