package main

import (
	"slices"
	"sync"
)

// An uplink is --up, which the channels that are followed share out evenly. One that rests sends nothing, and gets nothing.
type uplink struct {
	bits uint64 // per second. If zero, no cap

	mu    sync.Mutex // guards all below
	among []capped
}

// A capped is a *node.Channel, or a fake.
type capped interface{ SetUp(bitsPerSecond uint64) }

// share is what each of so many channels gets. It is not 0, which would be no cap.
func (u *uplink) share(channels int) uint64 {
	if u.bits == 0 {
		return 0
	}
	return max(1, u.bits/uint64(max(1, channels)))
}

// add gives c its share, before it sends: the others make room first.
func (u *uplink) add(c capped) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.among = append(u.among, c)
	u.tell()
}

// drop gives the share of c to the others.
func (u *uplink) drop(c capped) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at := slices.Index(u.among, c); at >= 0 {
		u.among = slices.Delete(u.among, at, at+1)
		u.tell()
	}
}

// tell tells all what they have now. The caller holds mu.
func (u *uplink) tell() {
	for _, c := range u.among {
		c.SetUp(u.share(len(u.among)))
	}
}

// A sharing has a share of an uplink while its channel is followed.
type sharing struct {
	followed
	up *uplink
}

// A followed is a *node.Channel, or a fake.
type followed interface {
	Pause(reason string)
	Resume()
	capped
}

func (s sharing) Pause(reason string) {
	s.followed.Pause(reason)
	s.up.drop(s.followed)
}

func (s sharing) Resume() {
	s.up.add(s.followed)
	s.followed.Resume()
}
