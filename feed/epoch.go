package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Epoch is one run of one streamer, as far as this node knows it: its notes and its logs.
type Epoch struct {
	replica *Replica
	note    EpochNote
	dir     string // of its files; empty if the Replica is in memory only
	files   Files  // nil without dir
	retired bool   // owned by the disk goroutine: the files are closed

	condemned chan struct{} // closed when fault is first set

	// mu guards the rest.
	mu      sync.Mutex
	notes   Notes // the channel note may be renewed while the epoch runs
	logs    map[string]*Log
	state   State
	stateAt uint64      // one more than the index of the state in the catalog
	fault   *Fault      // the first with a proof, or just the first
	anchors []*anchored // the newest of the catalog, in order, at most keptAnchors
	unsaved bool        // the notes are not on disk yet, or a newer channel note came
	channel ChannelNote
}

// newEpoch makes an epoch whose blocks are in those files, in memory only if they are nil.
func newEpoch(r *Replica, files Files, channel ChannelNote, note EpochNote, notes Notes) *Epoch {
	e := &Epoch{replica: r, note: note, channel: channel, notes: cloneNotes(notes), logs: make(map[string]*Log), unsaved: true, condemned: make(chan struct{})}
	if files != nil && !r.cfg.NoHistory {
		e.dir, e.files = epochDir(&note), files
	}
	for _, name := range r.rememberedLogs(e) {
		_, _ = e.Log(name) // an impossible name has nothing to remember
	}
	return e
}

// epochDir returns the folder of an epoch.
func epochDir(n *EpochNote) string { return folderOf(n).path() }

const (
	epochsDir     = "epochs"
	epochNoteFile = "epoch.note"
)

func cloneNotes(n Notes) Notes { return Notes{bytes.Clone(n.Channel), bytes.Clone(n.Epoch)} }

// readOnly reports whether blocks that are added stay in memory.
func (e *Epoch) readOnly() bool {
	_, only := e.files.(*archive)
	return only
}

// ID returns the id of the epoch.
func (e *Epoch) ID() EpochID { return e.note.Key.EpochID() }

// Note returns what the epoch note says.
func (e *Epoch) Note() EpochNote { return e.note }

// Notes returns the signed notes, to be passed on. They are read-only.
func (e *Epoch) Notes() Notes {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.notes
}

// Channel returns the newest channel note known that allows this epoch.
func (e *Epoch) Channel() ChannelNote {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.channel
}

// Expired reports whether no channel note known allows this epoch any longer: nothing of it may be called live then.
func (e *Epoch) Expired(now time.Time) bool {
	channel := e.Channel()
	return channel.Expired(now)
}

// Log returns the log of that name, which it makes if this node has nothing of it yet. An epoch has at most MaxLogs.
func (e *Epoch) Log(name string) (*Log, error) {
	if err := CheckLogName(name); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.logs[name]; l != nil {
		return l, nil
	}
	if len(e.logs) == MaxLogs {
		return nil, fmt.Errorf("epoch %v has %d logs, and cannot have one more named %s", e.ID(), MaxLogs, name)
	}
	l := e.newLog(name)
	e.logs[name] = l
	return l, nil
}

func (e *Epoch) newLog(name string) *Log {
	l := &Log{epoch: e, name: name, origin: Origin(e.note.Root, e.ID(), name)}
	l.tail.limit = e.replica.cfg.TailBytes
	if e.dir != "" {
		l.store = newStore(e.files, e.dir+"/"+name, e.replica.cfg.payloadSize)
	}
	if h := e.replica.remembered(e, name); h.Verify(e.note.Key, l.origin) {
		l.head = h
	}
	if f := e.fault; f != nil && f.Origin == l.origin {
		l.fault = f
	}
	return l
}

// Logs returns the logs, in order of name.
func (e *Epoch) Logs() []*Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	logs := make([]*Log, 0, len(e.logs))
	for _, l := range e.logs {
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b *Log) int { return strings.Compare(a.name, b.name) })
	return logs
}

// State returns the newest state verified in the catalog, and whether there is one. It is read-only.
func (e *Epoch) State() (State, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state, e.stateAt > 0
}

// learn takes note of a verified entry of the catalog.
func (e *Epoch) learn(b *Block) {
	entry, err := ParseCatalogEntry(b.Payload)
	state, ok := entry.(State)
	if err != nil || !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b.Index >= e.stateAt {
		e.state, e.stateAt = state, b.Index+1
	}
}

// renew takes over a channel note of the same generation that lasts longer. It returns whether it did.
func (e *Epoch) renew(channel ChannelNote, signed []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !channel.NotAfter.After(e.channel.NotAfter) {
		return false
	}
	e.channel, e.notes.Channel, e.unsaved = channel, bytes.Clone(signed), true
	return true
}

// save writes the notes, before the first row that needs them. Called by the disk goroutine.
func (e *Epoch) save() error {
	e.mu.Lock()
	notes, unsaved := e.notes, e.unsaved
	e.unsaved = false
	e.mu.Unlock()
	if !unsaved {
		return nil
	}
	files := e.files
	err := files.WriteFile(e.dir+"/"+channelNoteFile, notes.Channel)
	if err == nil {
		err = files.WriteFile(e.dir+"/"+epochNoteFile, notes.Epoch)
	}
	// A crash between the two leaves a folder without an epoch note and without logs, which the next start skips.
	if err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.unsaved = true
	}
	return err
}

const (
	// shrinkAfter is how long an epoch keeps all its blocks in memory after a higher one came: players may be in its last segment.
	shrinkAfter = 10 * time.Second
	// restBytes is what it keeps of each log then, if there is no disk that has the blocks.
	restBytes = 4 << 20
)

// shrink gives memory back: the blocks of an epoch that is not current are on disk, or a few remain.
func (e *Epoch) shrink(limit int) {
	for _, l := range e.Logs() {
		l.mu.Lock()
		l.tail.shrink(limit)
		l.mu.Unlock()
	}
}

// lookup returns the log of that name, nil if this node has nothing of it.
func (e *Epoch) lookup(name string) *Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs[name]
}
