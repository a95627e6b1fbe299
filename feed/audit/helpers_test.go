package audit

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"testing/fstest"

	"tailcast/feed"
)

// locked lets several workers use one check.
func locked(check func(feed.PublicKey, string, *feed.Head) bool) func(feed.PublicKey, string, *feed.Head) bool {
	var mu sync.Mutex
	return func(key feed.PublicKey, origin string, h *feed.Head) bool {
		mu.Lock()
		defer mu.Unlock()
		return check(key, origin, h)
	}
}

// mutate writes change into the file of that number, in order of name, at some byte, and cuts it.
func mutate(m fstest.MapFS, file, at int, change []byte, cut int) {
	names := slices.Sorted(maps.Keys(m))
	f := m[names[file%len(names)]]
	if at %= len(f.Data) + 1; len(change) <= 1<<16 {
		f.Data = append(f.Data[:at:at], append(bytes.Clone(change), f.Data[min(len(f.Data), at+len(change)):]...)...)
	}
	f.Data = f.Data[:min(cut, len(f.Data))]
}
