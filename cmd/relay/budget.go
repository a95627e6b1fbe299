package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"tailcast/feed"
	"tailcast/node"
)

// leastRate is what a relay can still do something with, in bits per second.
const leastRate = 1000

// slowly is how many seconds lie between two looks at the disk.
const slowly = 10

// look is what a relay does every second: it counts what was sent, and divides what may be.
func (r *relay) look() {
	list := r.list()
	for _, m := range list {
		r.monthly.Add(m.sent())
		m.measure()
	}
	r.obey(r.monthly.Status())
	r.share(list)
	if r.ticks++; r.ticks%slowly == 0 {
		r.save()
		for i, w := range r.divideDisk(list) {
			list[i].setWindow(w)
		}
	}
}

// share gives each member its part of what may be sent. Who gets less is told first, so that the sum is never above the cap.
func (r *relay) share(list []*member) {
	caps := r.divideUp(list)
	for i, m := range list {
		if caps[i] < m.load.cap {
			m.setUp(caps[i])
		}
	}
	for i, m := range list {
		m.setUp(caps[i])
	}
}

// divideUp returns the cap of each member; 0 is none.
func (r *relay) divideUp(list []*member) []uint64 {
	total := r.limit(r.monthly.Status())
	r.mu.Lock()
	r.allowed = total
	r.mu.Unlock()
	if total == 0 {
		return make([]uint64, len(list))
	}
	loads := make([]load, len(list))
	for i, m := range list {
		loads[i] = m.load
	}
	caps := shareUp(total, loads)
	for i := range caps {
		caps[i] = max(caps[i], 1) // 0 would be no cap at all
	}
	return caps
}

// limit is what all members together may send, in bits per second; 0: as much as they can. The pace of the month alone is no cap: a swarm takes its
// cap for what the line carries, so that there is always --max-up, too.
func (r *relay) limit(month node.MonthlyStatus) uint64 {
	if month.Limit == 0 {
		return r.limits.up
	}
	return min(r.limits.up, max(month.Pace, leastRate))
}

// obey stops all when the allowance of the month is used up, and goes on in the next.
func (r *relay) obey(month node.MonthlyStatus) {
	reason := ""
	if month.UsedUp || month.Limit > 0 && month.Pace < leastRate {
		reason = fmt.Sprintf("the %s of this month are used up: seeding goes on at %s UTC", amount(month.Limit), month.Resets.Format("15:04 on 2 January"))
	}
	r.mu.Lock()
	before := r.paused
	r.paused = reason
	r.mu.Unlock()
	if before == reason {
		return
	}
	for _, m := range r.list() {
		if reason == "" {
			m.channel.Resume()
		} else {
			m.channel.Pause(reason)
		}
	}
	if reason == "" {
		r.log.Info("a new month: seeding goes on")
		return
	}
	r.log.Warn("seeding nothing", "reason", reason)
}

// save keeps the count of the month, and says once that it cannot.
func (r *relay) save() {
	err := r.monthly.Save()
	if err != nil && !r.broken {
		r.log.Error("a restart would forget what was sent", "err", err)
	}
	r.broken = err != nil
}

// leastDisk is what a channel needs: the file of payload that is being written, and one that is whole.
const leastDisk = 128 << 20

// room checks that all channels find room on the part of the disk that is ours. It returns what others than these hold of it.
func (r *relay) room(wanted []feed.Link) (leftover int64, err error) {
	if r.limits.disk == 0 {
		return 0, nil
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		root, err := feed.DecodePublicKey(e.Name())
		if err != nil || slices.ContainsFunc(wanted, func(l feed.Link) bool { return l.Root == root }) {
			continue
		}
		held, err := payloadBytes(r.folder(root))
		if err != nil {
			return 0, err
		}
		leftover += held
	}
	need := int64(len(wanted)) * leastDisk
	switch {
	case r.limits.disk < need:
		return 0, fmt.Errorf("--disk: %s are too little for %s: each needs %s", amount(uint64(r.limits.disk)), count(len(wanted), "channel"), amount(leastDisk))
	case r.limits.disk < need+leftover:
		return 0, fmt.Errorf("--disk: of %s, channels that are not seeded any more hold %s: remove their folders in %s", amount(uint64(r.limits.disk)), amount(uint64(leftover)), r.dir)
	}
	return leftover, nil
}

// payloadBytes counts what the payload files of a channel hold. The folder need not exist.
func payloadBytes(folder string) (held int64, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) != "payload" {
			return err
		}
		if info, err := d.Info(); err == nil { // else it has just left
			held += info.Size()
		}
		return nil
	})
	return held, err
}

// divideDisk returns the window of each member.
func (r *relay) divideDisk(list []*member) []feed.Retention {
	windows := make([]feed.Retention, len(list))
	for i := range windows {
		windows[i] = r.history.Window
	}
	if r.limits.disk == 0 {
		return windows
	}
	held := make([]uint64, len(list))
	for i, m := range list {
		held[i] = uint64(m.held)
	}
	r.mu.Lock()
	total := r.limits.disk - r.leftover
	r.mu.Unlock()
	for i, part := range shareDisk(uint64(total), held) {
		windows[i].Bytes = int64(part)
		if most := r.history.Window.Bytes; most > 0 {
			windows[i].Bytes = min(most, int64(part))
		}
	}
	return windows
}
