package feed

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tailcast/feed/merkle"
)

// This file is the shape of what is being written: replica.go, epoch.go, log.go, reader.go, station.go, writer.go, freshness.go.

var errSkeleton = errors.New("not built yet")

// Errors of Open, AddNotes, Put, Block, Append. Put: ErrPayload and ErrSignature are the sender's fault, ErrRule and ErrFork the signer's.
var (
	ErrLocked          = errors.New("another process uses this directory")
	ErrExpired         = errors.New("channel note has expired")
	ErrOlderGeneration = errors.New("notes of an older generation")
	ErrOlderEpoch      = errors.New("notes of an older epoch")
	ErrPayload         = ErrPayloadHash
	ErrSignature       = errors.New("not signed by the key of the epoch")
	ErrRule            = errors.New("signed, but against the rules")
	ErrFork            = errors.New("signed twice, differently")
	ErrNotHeld         = errors.New("block not held here")
	ErrEnded           = errors.New("log has ended")
)

type Config struct {
	Dir       string
	Logger    *slog.Logger
	Now       func() time.Time
	TailBytes int
}

type Replica struct{}

func Open(root PublicKey, cfg Config) (*Replica, error)                         { return nil, errSkeleton }
func (r *Replica) Close() error                                                 { return nil }
func (r *Replica) Root() PublicKey                                              { return PublicKey{} }
func (r *Replica) AddNotes(n Notes) (*Epoch, error)                             { return nil, errSkeleton }
func (r *Replica) Notes() Notes                                                 { return Notes{} }
func (r *Replica) Current() *Epoch                                              { return nil }
func (r *Replica) Epochs() []*Epoch                                             { return nil }
func (r *Replica) Epoch(id EpochID) *Epoch                                      { return nil }
func (r *Replica) Changed() <-chan struct{}                                     { return nil }
func (r *Replica) DiskError() error                                             { return nil }
func (r *Replica) Sync(ctx context.Context) error                               { return nil }
func (r *Replica) Follow(log string, join Join, patience time.Duration) *Reader { return nil }

type Epoch struct{}

func (e *Epoch) ID() EpochID                   { return EpochID{} }
func (e *Epoch) Note() EpochNote               { return EpochNote{} }
func (e *Epoch) Notes() Notes                  { return Notes{} }
func (e *Epoch) Log(name string) (*Log, error) { return nil, errSkeleton }
func (e *Epoch) Logs() []*Log                  { return nil }
func (e *Epoch) Fault() error                  { return nil }
func (e *Epoch) State() (State, bool)          { return State{}, false }

// A Range is the indices [From, To).
type Range struct{ From, To uint64 }

type Log struct{}

func (l *Log) Name() string                                           { return "" }
func (l *Log) Epoch() *Epoch                                          { return nil }
func (l *Log) Origin() string                                         { return "" }
func (l *Log) Head() Head                                             { return Head{} }
func (l *Log) Base() uint64                                           { return 0 }
func (l *Log) Has(i uint64) bool                                      { return false }
func (l *Log) Missing(from, to uint64, max int) []Range               { return nil }
func (l *Log) Block(i uint64) (Block, error)                          { return Block{}, errSkeleton }
func (l *Log) Frontier(i uint64) (merkle.Frontier, error)             { return merkle.Frontier{}, errSkeleton }
func (l *Log) Put(b Block, f merkle.Frontier) (fresh bool, err error) { return false, errSkeleton }
func (l *Log) Changed() <-chan struct{}                               { return nil }
func (l *Log) SegmentStart(i uint64) uint64                           { return 0 }
func (l *Log) NewestSegment() (first uint64, ok bool)                 { return 0, false }

// A Join says where a Reader begins.
type Join int

const (
	JoinLast Join = iota // at the newest segment that is held
	JoinNext             // at the next segment that begins
)

type Reader struct{}

// An Item is what a Reader hands out.
type Item struct {
	Block   Block
	Epoch   *Epoch
	Reset   bool
	Skipped uint64
}

func (rd *Reader) Next(ctx context.Context) (Item, error) { return Item{}, errSkeleton }

type Station struct{}

func OpenStation(dir string, now func() time.Time) (*Station, error) { return nil, errSkeleton }
func (s *Station) Root() PublicKey                                   { return PublicKey{} }
func (s *Station) Note() ChannelNote                                 { return ChannelNote{} }
func (s *Station) Close() error                                      { return nil }

type WriterConfig struct {
	Replica *Replica
	Station *Station
	Highest uint64
	Logger  *slog.Logger
	Now     func() time.Time
}

type Writer struct{}

func NewWriter(cfg WriterConfig) (*Writer, error)     { return nil, errSkeleton }
func (w *Writer) Epoch() *Epoch                       { return nil }
func (w *Writer) Log(name string) (*LogWriter, error) { return nil, errSkeleton }
func (w *Writer) Run(ctx context.Context) error       { return errSkeleton }
func (w *Writer) DiskError() error                    { return nil }
func (w *Writer) SetState(s State) error              { return errSkeleton }

type LogWriter struct{}

// An Entry is what a LogWriter makes a block of.
type Entry struct {
	Kind     Kind
	Flags    Flags
	DTS      int64
	Duration uint32
	Payload  []byte
}

func (lw *LogWriter) Append(e Entry) (Block, error) { return Block{}, errSkeleton }

// A PeerClock is the clock of a peer, as we measured it.
type PeerClock struct {
	Subnet string
	Offset time.Duration // theirs minus ours
}

// FreshnessInput is all that Freshness looks at.
type FreshnessInput struct {
	Now     time.Time     // our clock
	Newest  time.Time     // wall clock of the newest verified record; zero if there is none
	Silent  time.Duration // since a record was last verified
	Window  time.Duration // how long progress has been watched, at most some 10 s
	Advance time.Duration // how far Newest moved in Window
	Peers   []PeerClock
	Higher  bool // a peer shows a higher epoch, or a size clearly above ours
	Ended   bool // the newest record ends its log
}

// A Freshness state.
type FreshnessState int

const (
	Waiting FreshnessState = iota
	Live
	Behind
	Recorded
)

// A Verdict is what may be said about what is watched.
type Verdict struct {
	State  FreshnessState
	Behind time.Duration
	Text   string
}

func Freshness(in FreshnessInput) Verdict { return Verdict{} }
