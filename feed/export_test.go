package feed

import (
	"context"
	"crypto/ed25519"
	"time"

	"tailcast/feed/merkle"
)

// OSFiles is the Files of the operating system, for its contract test.
func OSFiles(dir string) Files { return osFiles{dir} }

// Sizes of the disk layout, for tests that damage it.
const (
	RowSize   = rowSize
	ChunkRows = chunkRows
)

// LookEvery is how often a writer looks into the station's folder.
const LookEvery = lookEvery

// Key is the key of the epoch, for tests of signers that break the rules.
func (w *Writer) Key() ed25519.PrivateKey { return w.key }

// ReplicaOf returns the replica that holds a log.
func ReplicaOf(l *Log) *Replica { return l.epoch.replica }

// ParseKey reads a key file.
func ParseKey(text []byte) (ed25519.PrivateKey, error) { return ParsePrivateKey(text) }

// NextGeneration signs a channel note of the next generation, as key tools will.
func NextGeneration(s *Station) (ChannelNote, error) {
	err := s.sign(ChannelNote{Generation: s.Note().Generation + 1})
	return s.Note(), err
}

// Memory returns how many bytes of blocks a log holds in memory.
func (l *Log) Memory() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.bytes
}

// WithPayloadFiles returns cfg with payload files of another size, a power of two. Only tests read such folders.
func WithPayloadFiles(cfg Config, size uint64) Config {
	cfg.payloadSize = size
	return cfg
}

// WriterAt returns a writer that goes on with a log after the block prev, whose successor has the frontier edge, with the key of its epoch. A process that signs
// logs can do so only from their beginning.
func WriterAt(l *Log, key ed25519.PrivateKey, edge merkle.Frontier, prev Record) *LogWriter {
	w := &Writer{cfg: WriterConfig{Replica: l.epoch.replica, Now: time.Now}, epoch: l.epoch, key: key}
	w.clock.start(time.Now())
	return &LogWriter{writer: w, log: l, edge: edge, prev: prev}
}

// PrunedRows returns below which row retention has removed the payloads of a log.
func PrunedRows(l *Log) uint64 { return l.pruned().To }

// BaseOf returns the index of the first row of file records.
func BaseOf(l *Log) uint64 {
	base, _, _ := l.store.span()
	return base
}

// Unsynced returns how many rows of a log were written since the last sync.
func Unsynced(l *Log) (n int) {
	_ = l.epoch.replica.disk.wait(context.Background(), func() { n = len(l.store.unsynced) })
	return n
}

// CondemnWithoutProof condemns a log for a rule that is broken by what is no longer held.
func CondemnWithoutProof(l *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.condemn(l.newFault(0, ErrRule, errNotContinued, nil))
}

// NewArchive returns files that are only read, of which few are open.
func NewArchive(files Files) Files { return &archive{Files: files} }
