package audit

import (
	"sync"

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
