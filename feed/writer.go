package feed

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"tailcast/feed/merkle"
)

// Errors of Writers.
var (
	// ErrEnded says that the log has its last record.
	ErrEnded = errors.New("log has ended")
	// ErrSuperseded says that another streamer is on air in a higher epoch of the channel: this one must stop.
	ErrSuperseded = errors.New("another streamer is on air in a higher epoch of this channel")
	// ErrOvertaken says that a higher epoch of the channel is known, but that nobody signs it: that of a lost data directory, or of a
	// run whose clock was ahead. Viewers go on with an epoch above it.
	ErrOvertaken = errors.New("somebody remembers a higher epoch of this channel, which is over: a new epoch is needed")
	// ErrClockStep says that the system clock was set while the epoch ran. The next epoch starts with the new time.
	ErrClockStep = errors.New("system clock was set: a new epoch is needed")
	// ErrCondemned says that there is proof of a fault of this epoch: nobody follows it any more. The next epoch is followed as always.
	ErrCondemned = errors.New("this epoch is condemned: a new one is needed")
	// ErrRotated says that the keys of the channel were rotated while the epoch ran. The next epoch is of the new generation.
	ErrRotated = errors.New("keys of the channel were rotated: a new epoch is needed")
)

// WriterConfig says what a Writer signs, and where.
type WriterConfig struct {
	Replica *Replica // of Station's channel
	Station *Station
	Highest uint64 // highest epoch number heard from peers, of the station's generation
	// Rival reports whether a higher epoch, which the Replica has heard of, is live. If nil, any is taken for live.
	Rival func() bool
	// Reclaims says that this epoch is opened because of ErrOvertaken. Whoever answers it with one that names it as the last is alive.
	Reclaims bool
	Logger   *slog.Logger     // if nil, nothing is logged
	Now      func() time.Time // the system clock. If nil, time.Now
}

const (
	// beatAfter is how long a log may be silent before a heartbeat says that it is still there.
	beatAfter = time.Second
	// anchorEvery is how often the catalog pins all logs.
	anchorEvery = time.Minute
	// lookEvery is how often a writer looks whether a key command has changed the station's folder.
	lookEvery = 5 * time.Second
	// flushWithin is how long the end of a streamer waits for a slow disk.
	flushWithin = 5 * time.Second
	// proofOfLife is how long a higher epoch has to prove that it is live: three heartbeats, one a second, and the way they take.
	proofOfLife = 10 * time.Second
)

// A Writer is one epoch: it signs what a streamer has to say and adds it to the streamer's own Replica. The key of the epoch is made by
// NewWriter, is never written anywhere, and dies with the process: after a crash nobody, not even we, can sign a second
// history of these logs. Signing never waits for the disk.
type Writer struct {
	cfg   WriterConfig
	epoch *Epoch
	key   ed25519.PrivateKey
	clock wallClock

	// mu guards the rest.
	mu    sync.Mutex
	logs  map[string]*LogWriter
	state *State
	over  bool

	overtaken time.Time // when a higher epoch was first seen; zero: none was. Owned by Run
}

// NewWriter opens the next epoch of the channel. Its number is above all that are known: after a restored backup or a power cut viewers
// go on with it by themselves.
func NewWriter(cfg WriterConfig) (*Writer, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	w := &Writer{cfg: cfg, key: key, logs: make(map[string]*LogWriter)}
	w.clock.start(cfg.Now())
	if _, err := cfg.Station.Renew(); err != nil {
		cfg.Logger.Error("couldn't renew the channel note", "err", err) // it may be good for a while
	}
	// A crash here leaves the old channel note or the renewed one, both good (Station.sign).
	notes, err := w.openEpoch()
	if err != nil {
		return nil, fmt.Errorf("couldn't open an epoch: %w", err)
	}
	// A crash here leaves nothing: the notes were in memory, like the key.
	if w.epoch, err = cfg.Replica.AddNotes(notes); err != nil {
		return nil, fmt.Errorf("couldn't open epoch %v: %w", PublicKey(public).EpochID(), err)
	}
	// From here on peers may be told. A crash leaves an epoch that is known to some, with no record; our disk may know nothing of it, as the
	// notes go there with the first row (Epoch.save). That is no harm: the number of the next epoch is above it as time has passed; and if
	// the clock went back meanwhile, those who know this epoch tell, and check sees to it.
	return w, nil
}

// openEpoch signs the notes of the epoch.
func (w *Writer) openEpoch() (Notes, error) {
	station := w.cfg.Station
	note := station.Note()
	if root := w.cfg.Replica.Root(); note.Root != root {
		return Notes{}, fmt.Errorf("the station is of channel %v, the replica of %v", note.Root, root)
	}
	generation, number := w.cfg.Replica.Highest()
	if generation > note.Generation {
		return Notes{}, fmt.Errorf("%w: this station's is %d, the channel's %d", ErrOlderGeneration, note.Generation, generation)
	}
	number = max(number, w.cfg.Highest)
	if 0 < generation && generation < note.Generation {
		number = 0 // numbers of an older generation do not count: a thief may have used them up
	}
	n := EpochNote{
		Root:       note.Root,
		Generation: note.Generation,
		Number:     max(uint64(max(0, w.cfg.Now().UnixMilli())), number+1),
		Last:       w.cfg.Replica.last(),
	}
	return station.signEpoch(w.key, n)
}

// last returns what is known of the newest epoch, nil if nothing is.
func (r *Replica) last() *LastEpoch {
	e := r.Current()
	if e == nil {
		return nil
	}
	last := &LastEpoch{Generation: e.note.Generation, Number: e.note.Number, ID: e.ID()}
	for _, l := range e.Logs() {
		if h := l.Head(); h.Size > 0 {
			last.Heads = append(last.Heads, LogHead{Log: l.name, Size: h.Size, Root: h.Root})
		}
	}
	return last
}

// Epoch returns the epoch that w signs.
func (w *Writer) Epoch() *Epoch { return w.epoch }

// DiskError returns why the history has a hole or has ended; nil while the disk works. The live edge goes on either way.
func (w *Writer) DiskError() error { return w.cfg.Replica.DiskError() }

// Log returns the writer of the log of that name; the log begins with its first record.
func (w *Writer) Log(name string) (*LogWriter, error) {
	if name == CatalogLog {
		return nil, fmt.Errorf("log %s is written by SetState and Run", name)
	}
	return w.log(name)
}

func (w *Writer) log(name string) (*LogWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lw := w.logs[name]; lw != nil {
		return lw, nil
	}
	if w.over {
		return nil, ErrEnded
	}
	l, err := w.epoch.Log(name)
	if err != nil {
		return nil, err
	}
	lw := &LogWriter{writer: w, log: l}
	w.logs[name] = lw
	return lw, nil
}

// SetState puts what the epoch consists of into the catalog. The stripes of a rendition stay as they were first.
func (w *Writer) SetState(s State) error {
	w.mu.Lock()
	old := w.state
	w.mu.Unlock()
	// A crash after tell leaves a STATE that some have read; there is nothing else to bring in line with it.
	if err := keepsStripes(old, &s); err != nil {
		return err
	}
	if err := w.tell(s, SegmentFirst|RandomAccess); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = &s
	return nil
}

func keepsStripes(old, s *State) error {
	if old == nil {
		return nil
	}
	for _, r := range s.Renditions {
		i := slices.IndexFunc(old.Renditions, func(o Rendition) bool { return o.Name == r.Name })
		if i >= 0 && old.Renditions[i].Stripes != r.Stripes {
			return fmt.Errorf("rendition %s has %d stripes in this epoch, not %d", r.Name, old.Renditions[i].Stripes, r.Stripes)
		}
	}
	return nil
}

// tell appends an entry to the catalog. Segments of the catalog begin with a State, so that who joins at one knows all.
func (w *Writer) tell(entry CatalogEntry, flags Flags) error {
	payload, err := entry.Payload()
	if err != nil {
		return err
	}
	catalog, err := w.log(CatalogLog)
	if err != nil {
		return err
	}
	_, err = catalog.Append(Entry{Kind: Event, Flags: flags, Payload: payload})
	return err
}

// Run keeps the epoch alive until ctx ends: heartbeats, anchors, the channel note. Then it ends all logs, anchors them, waits a little for
// the disk and returns nil. It does the same before it returns ErrSuperseded. With ErrClockStep, ErrRotated, ErrOvertaken or ErrCondemned another
// epoch is needed; this one is still open then, so that there need be no gap: Linger keeps it alive until the next has begun. Of a condemned
// one nothing is signed any more.
func (w *Writer) Run(ctx context.Context) error {
	err := w.keep(ctx, w.check)
	if errors.Is(err, ErrClockStep) || errors.Is(err, ErrRotated) || errors.Is(err, ErrOvertaken) || errors.Is(err, ErrCondemned) {
		return err
	}
	err = errors.Join(err, w.end())
	flush, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	w.logError("the end of the history is not on disk", w.cfg.Replica.Sync(flush))
	return err
}

// Linger keeps an epoch whose Run has returned alive until ctx ends, and then ends all logs.
func (w *Writer) Linger(ctx context.Context) error {
	return errors.Join(w.keep(ctx, func() error { return nil }), w.end())
}

// keep does what is due until ctx ends, when it returns nil, or check fails.
func (w *Writer) keep(ctx context.Context, check func() error) error {
	beat := time.NewTimer(beatAfter)
	defer beat.Stop()
	anchor := time.NewTicker(anchorEvery)
	defer anchor.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	condemned := w.epoch.condemned
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			beat.Reset(w.beat())
		case <-anchor.C:
			w.logError("couldn't anchor", w.anchor())
			w.logError("couldn't renew the channel note", w.renew()) // it may be due, though nobody changed anything
		case <-look.C:
			if !w.cfg.Station.Changed() {
				continue
			}
			w.logError("couldn't renew the channel note", w.renew())
		case <-w.cfg.Replica.newEpoch():
		case <-condemned:
			condemned = nil // once
		}
		if err := check(); err != nil {
			return err
		}
	}
}

// check returns why this epoch cannot go on.
func (w *Writer) check() error {
	if e := w.cfg.Replica.Current(); e != w.epoch {
		return w.yield(e)
	}
	if fault := w.epoch.Fault(); fault != nil {
		return fmt.Errorf("%w: %s", ErrCondemned, fault.Reason())
	}
	if note := w.cfg.Station.Note(); note.Generation != w.epoch.note.Generation {
		return fmt.Errorf("%w: of generation %d", ErrRotated, note.Generation)
	}
	if off := w.clock.off(w.cfg.Now()); off.Abs() > maxStep {
		return fmt.Errorf("%w: by %v", ErrClockStep, off.Round(time.Millisecond))
	}
	return nil
}

// yield returns what follows from a higher epoch. A note alone proves no life, and nothing is lost by going on meanwhile: who knows of the
// higher epoch follows this one until that one delivers.
func (w *Writer) yield(to *Epoch) error {
	if w.overtaken.IsZero() {
		w.overtaken = time.Now()
	}
	last := to.note.Last
	answered := w.cfg.Reclaims && last != nil && last.ID == w.epoch.ID()
	switch {
	case answered || w.cfg.Rival == nil || w.cfg.Rival():
		return fmt.Errorf("%w: ours is %d, the other %d", ErrSuperseded, w.epoch.note.Number, to.note.Number)
	case time.Since(w.overtaken) >= proofOfLife:
		return fmt.Errorf("%w: ours is %d, the other %d", ErrOvertaken, w.epoch.note.Number, to.note.Number)
	}
	return nil
}

func (w *Writer) logError(what string, err error) {
	if err != nil {
		w.cfg.Logger.Error(what, "err", err)
	}
}

// writers returns the writers of all logs but the catalog, in order of name, and that of the catalog, nil if it has not begun.
func (w *Writer) writers() (media []*LogWriter, catalog *LogWriter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lw := range w.logs {
		if lw.log.name == CatalogLog {
			catalog = lw
		} else {
			media = append(media, lw)
		}
	}
	slices.SortFunc(media, func(a, b *LogWriter) int { return strings.Compare(a.log.name, b.log.name) })
	return media, catalog
}

// beat appends a heartbeat to each log that was silent for a second. It returns how long until the next one may be due.
func (w *Writer) beat() time.Duration {
	wait := beatAfter
	media, catalog := w.writers()
	for _, lw := range append(media, catalog) {
		if lw != nil {
			wait = min(wait, lw.beat())
		}
	}
	return wait
}

// anchor appends the state, then the heads of all logs, to the catalog.
func (w *Writer) anchor() error {
	w.mu.Lock()
	state := w.state
	w.mu.Unlock()
	if state == nil {
		return nil // there is no catalog yet
	}
	if err := w.tell(*state, SegmentFirst|RandomAccess); err != nil {
		return err
	}
	var a LogAnchor
	media, _ := w.writers()
	for _, lw := range media {
		if h := lw.log.Head(); h.Size > 0 {
			a.Logs = append(a.Logs, LogHead{Log: lw.log.name, Size: h.Size, Root: h.Root})
		}
	}
	return w.tell(a, 0)
}

// renew passes on a channel note that lasts longer, made here or put into the station's folder by a key command. One of another
// generation is not for this epoch: check ends it.
func (w *Writer) renew() error {
	renewed, err := w.cfg.Station.Renew()
	if note := w.cfg.Station.Note(); err != nil || !renewed || note.Generation != w.epoch.note.Generation {
		return err
	}
	_, err = w.cfg.Replica.AddNotes(Notes{Channel: w.cfg.Station.ChannelNote(), Epoch: w.epoch.Notes().Epoch})
	return err
}

// end ends all logs, the catalog last and with the final heads of the others. A crash between two of them leaves logs without an End and a catalog
// without the last anchor: an epoch like that of any crash. Of a condemned epoch nothing more is signed.
func (w *Writer) end() error {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	if w.epoch.Fault() != nil {
		return nil
	}
	media, catalog := w.writers()
	var err error
	for _, lw := range media {
		err = errors.Join(err, lw.end())
	}
	err = errors.Join(err, w.anchor())
	if catalog != nil {
		err = errors.Join(err, catalog.end())
	}
	return err
}

// A LogWriter signs one log.
type LogWriter struct {
	writer *Writer
	log    *Log

	// mu guards the rest. It is held from the choice of the index to the publication of the block, so that there is one history.
	mu    sync.Mutex
	edge  merkle.Frontier // of what is signed
	prev  Record
	last  time.Time // when the last record was made
	ended bool
}

// An Entry is what a LogWriter makes a block of. The first entry of a log begins a segment whether it says so or not.
type Entry struct {
	Kind     Kind // Media or Event
	Flags    Flags
	DTS      int64  // 90 kHz, unwrapped
	Duration uint32 // 90 kHz
	Payload  []byte // at most MaxPayload; the log owns it from then on
}

// Log returns the log that lw writes.
func (lw *LogWriter) Log() *Log { return lw.log }

// Append makes a block of e: it signs it, adds it to the log of the streamer's own Replica, where the swarm and the player find it,
// and hands it to the disk, for which it does not wait.
func (lw *LogWriter) Append(e Entry) (Block, error) {
	lw.mu.Lock()
	defer lw.mu.Unlock()
	return lw.append(e)
}

func (lw *LogWriter) append(e Entry) (Block, error) {
	if lw.over() {
		return Block{}, ErrEnded
	}
	b := Block{Index: lw.edge.Size(), Record: lw.record(&e), Payload: e.Payload}
	if err := b.Record.check(); err != nil {
		return Block{}, err
	}
	after := lw.edge.Clone()
	after.Append(b.Record.Leaf())
	head := SignHead(lw.writer.key, lw.log.origin, after.Size(), after.Root())
	b.Signature = head.Signature
	// A crash here leaves a signature that nobody has seen, of a key that is gone.
	if _, err := lw.log.add(&b, &lw.edge, &after, head); err != nil {
		lw.ended = true // never a second signature for this size
		return Block{}, fmt.Errorf("couldn't append: %w", err)
	}
	// From here on anybody may have it. A crash leaves it with those who do, and on our disk or not: the disk has it after some 50 ms, and
	// durably after a second (disk.go). The next start opens another epoch, so what our disk lost cannot be contradicted.
	lw.edge, lw.prev, lw.last = after, b.Record, time.Now()
	lw.ended = e.Kind == End
	return b, nil
}

// over reports whether nothing more is signed here: the log has ended, or its epoch is condemned.
func (lw *LogWriter) over() bool { return lw.ended || lw.writer.epoch.Fault() != nil }

// record makes the record that follows the last one.
func (lw *LogWriter) record(e *Entry) Record {
	r := Record{
		Kind: e.Kind, Flags: e.Flags, Length: uint32(len(e.Payload)),
		DTS: e.DTS, Duration: e.Duration,
		Wall: max(lw.prev.Wall, lw.writer.clock.now(lw.writer.cfg.Now())),
		Hash: sha256.Sum256(e.Payload),
	}
	switch {
	case lw.edge.Size() == 0:
		r.Flags |= SegmentFirst
		return r
	case r.Flags&SegmentFirst != 0:
		r.Segment, r.Back = lw.prev.Segment+1, 0
	default:
		r.Segment, r.Back = lw.prev.Segment, lw.prev.Back+1
	}
	r.Offset = lw.prev.Offset + uint64(lw.prev.Length)
	return r
}

// beat appends a heartbeat if the log was silent for a second. It returns how long until that is the case. A log that has not begun is
// silent in its own right: its first record is a block that one can join at.
func (lw *LogWriter) beat() time.Duration {
	lw.mu.Lock()
	defer lw.mu.Unlock()
	if lw.over() || lw.edge.Size() == 0 {
		return beatAfter
	}
	if silent := time.Since(lw.last); silent < beatAfter {
		return beatAfter - silent
	}
	_, err := lw.append(Entry{Kind: Heartbeat, DTS: lw.prev.DTS})
	lw.writer.logError("couldn't append a heartbeat", err)
	return beatAfter
}

// end appends the last record, unless the log has not begun.
func (lw *LogWriter) end() error {
	lw.mu.Lock()
	defer lw.mu.Unlock()
	if lw.ended || lw.edge.Size() == 0 {
		lw.ended = true
		return nil
	}
	_, err := lw.append(Entry{Kind: End, DTS: lw.prev.DTS})
	return err
}
