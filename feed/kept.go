package feed

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// keptFor is how long an answer to where the past begins serves: to find it, epochs are opened on disk, and pages ask twice a second.
const keptFor = 5 * time.Second

// beginnings remembers where the past of each log begins. The zero value is ready.
type beginnings struct {
	mu    sync.Mutex // guards found; held while one is found out, which others wait for
	found map[string]beginning
}

type beginning struct {
	at   time.Time // when it was found out
	from time.Time
}

// get returns what is remembered, if that is young, else what find says; what is old is forgotten. That nothing is held is not remembered: the first
// block changes it.
func (b *beginnings) get(log string, now time.Time, find func() (time.Time, bool)) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.found, func(_ string, f beginning) bool { return now.Sub(f.at) >= keptFor || now.Before(f.at) })
	if f, ok := b.found[log]; ok {
		return f.from, true
	}
	from, ok := find()
	if ok && b.found == nil {
		b.found = map[string]beginning{}
	}
	if ok {
		b.found[log] = beginning{now, from}
	}
	return from, ok
}

// Kept returns the wall clocks of the first segment of a log that is held with its payload, and of the last record; false if nothing is held. What
// retention has removed may be among it for five seconds.
func (r *Replica) Kept(log string) (from, to time.Time, ok bool) {
	from, ok = r.kept.get(log, r.cfg.Now(), func() (time.Time, bool) {
		rd := &Reader{replica: r, name: log}
		if !rd.forward(folder{}) {
			return time.Time{}, false
		}
		first, _ := rd.log.lookup(rd.next)
		return time.UnixMicro(first.Record.Wall), true
	})
	if !ok {
		return from, to, false
	}
	for _, d := range slices.Backward(r.folders()) {
		e := r.open(d)
		if e == nil {
			continue
		}
		if last, ok := e.last(log); ok {
			return from, time.UnixMicro(last), true
		}
	}
	return from, from, true
}
