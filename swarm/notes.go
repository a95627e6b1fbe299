package swarm

import (
	"bytes"
	"errors"
	"maps"
	"sync"
	"time"

	"tailcast/feed"
)

// notes takes in what peers show of epochs, and so knows which epochs it did not hear of from them: those of our own Writer.
type notes struct {
	replica *feed.Replica
	now     func() time.Time

	mu      sync.Mutex            // guards all below
	heard   map[feed.EpochID]bool // from peers, first; those that the Replica holds, or is about to
	adding  int                   // calls of add that have noted an epoch which the Replica may not hold yet
	found   *feed.Epoch           // what an earlier run left; not ours unless it grows
	records uint64                // that found had then
}

func (n *notes) start(r *feed.Replica, now func() time.Time) {
	n.replica, n.now, n.heard, n.found = r, now, make(map[feed.EpochID]bool), r.Current()
	n.records = records(n.found)
}

// records returns how many records an epoch has, in all logs together.
func records(e *feed.Epoch) (sum uint64) {
	if e == nil {
		return 0
	}
	for _, l := range e.Logs() {
		sum += l.Head().Size
	}
	return sum
}

// newest returns the newest epoch known, nil if none is, and whether it is signed in this process.
func (n *notes) newest() (e *feed.Epoch, own bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e = n.replica.Current()
	if e == nil || n.heard[e.ID()] {
		return e, false
	}
	return e, e != n.found || records(e) > n.records
}

// take takes in the notes of a peer and returns their epoch. Old ones are no fault of the peer's, and expired ones neither; any other
// error is.
func (n *notes) take(in feed.Notes) (e Epoch, expired bool, err error) {
	if len(in.Channel) == 0 && len(in.Epoch) == 0 {
		return Epoch{}, false, nil
	}
	known, err := n.add(in)
	switch {
	case err == nil:
		return epochOf(known), false, nil
	case errors.Is(err, feed.ErrExpired):
		return Epoch{}, true, nil
	case errors.Is(err, feed.ErrOlderEpoch), errors.Is(err, feed.ErrOlderGeneration):
		e, err = openNotes(n.replica.Root(), in)
		return e, false, err
	}
	return Epoch{}, false, err
}

// add adds notes to the Replica, and remembers if they are news: before they can be seen there, so that no epoch is known before it is
// known whose it is. Nothing is verified under the lock, which loop needs.
func (n *notes) add(in feed.Notes) (*feed.Epoch, error) {
	if e := n.known(in); e != nil {
		return e, nil
	}
	e, err := openNotes(n.replica.Root(), in)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.adding++
	if n.replica.Epoch(e.ID) == nil {
		n.heard[e.ID] = true
	}
	n.mu.Unlock()
	defer n.forget()
	return n.replica.AddNotes(in)
}

// forget ends an add: what the Replica refused or has given up need not be remembered, or whoever has a station key fills our memory.
func (n *notes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.adding--; n.adding > 0 {
		return
	}
	maps.DeleteFunc(n.heard, func(id feed.EpochID, _ bool) bool { return n.replica.Epoch(id) == nil })
}

// known returns the epoch whose notes these are, byte by byte, if they have not expired: most peers show what we have.
func (n *notes) known(in feed.Notes) *feed.Epoch {
	for _, e := range n.replica.Epochs() {
		have, channel := e.Notes(), e.Channel()
		if bytes.Equal(have.Epoch, in.Epoch) && bytes.Equal(have.Channel, in.Channel) && !channel.Expired(n.now()) {
			return e
		}
	}
	return nil
}

// openNotes returns the epoch of notes that the Replica does not want.
func openNotes(root feed.PublicKey, in feed.Notes) (Epoch, error) {
	channel, err := feed.OpenChannelNote(root, in.Channel)
	if err != nil {
		return Epoch{}, err
	}
	note, err := feed.OpenEpochNote(channel, in.Epoch)
	return noteEpoch(note), err
}

// epochOf returns what Mesh knows of an epoch; zero for nil.
func epochOf(e *feed.Epoch) Epoch {
	if e == nil {
		return Epoch{}
	}
	return noteEpoch(e.Note())
}

func noteEpoch(n feed.EpochNote) Epoch {
	return Epoch{Generation: n.Generation, Number: n.Number, ID: n.Key.EpochID()}
}
