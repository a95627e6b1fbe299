package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// The names of docs/feed.md, section 13.
var (
	temporary  = regexp.MustCompile(`^\.(newest|channel\.note|epoch\.note|fault\.proof|fault\.damaged|base)\.[0-9]+$`)
	payloadKey = regexp.MustCompile(`^[0-9]{20}$`)
	epochKey   = regexp.MustCompile(`^[0-9]+-[0-9]+-[a-z2-7]{16}$`)
)

// Dir verifies a folder on disk: that of a channel, or the data directory of a streamer, which has it as feed.
func Dir(dir string, o Options) (*Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fsys := root.FS()
	if _, err := fs.Stat(fsys, "feed/epochs"); err == nil {
		if fsys, err = fs.Sub(fsys, "feed"); err != nil {
			return nil, err
		}
	}
	return Verify(fsys, o)
}

// Verify verifies the folder fsys. Its files must be io.ReaderAt. An error that is ErrRefuted says what is wrong with it; any other, why
// it could not be read.
func Verify(fsys fs.FS, o Options) (*Report, error) {
	a := &auditor{fsys: fsys, Options: o, hashes: make([]merkle.Hash, 2*chunkRows)}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Options.notes == nil {
		a.Options.notes = openNotes
	}
	a.settle = cmp.Or(a.settle, 1200*time.Millisecond)
	a.heads = newHeads(a.EveryHead, o.verify)
	defer a.heads.close()
	if err := a.folder(); err != nil {
		return nil, err
	}
	a.report.Bytes = a.done
	return &a.report, nil
}

// An auditor verifies one folder.
type auditor struct {
	Options
	fsys   fs.FS
	heads  *heads
	root   feed.PublicKey
	epochs []*epoch
	report Report

	done, total int64
	rows        []byte // of a chunk
	area        []byte // of nodes
	hashes      []merkle.Hash
}

// An epoch is one of the folder, while it is verified.
type epoch struct {
	dir     string
	channel feed.ChannelNote
	note    feed.EpochNote
	logs    []string          // names, the catalog first
	claims  []claim           // of other files about its logs
	named   map[string]uint64 // the largest size that its own catalog names, by log

	hasFault bool
	fault    feed.FaultProof // nil if none is stored, or one of a later version
	report   Epoch
}

// A claim is what a file says of a log: that its root of that size is this one.
type claim struct {
	feed.LogHead
	by   string
	done bool
}

func (a *auditor) folder() error {
	dirs, hasNewest, err := a.top()
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := a.open(d); err != nil {
			return err
		}
	}
	if len(a.epochs) == 0 {
		return refuted("the folder", "there is no epoch in it")
	}
	a.report.Root = a.root
	slices.SortFunc(a.epochs, func(x, y *epoch) int { return x.note.Compare(&y.note) })
	if err := a.links(); err != nil {
		return err
	}
	if hasNewest {
		if err := a.newest(); err != nil {
			return err
		}
	}
	for _, e := range a.epochs {
		if err := a.epoch(e); err != nil {
			return err
		}
	}
	return nil
}

// top looks at the folder itself, and returns the folders of epochs.
func (a *auditor) top() (epochs []string, newest bool, err error) {
	entries, err := a.list(".")
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "lock" && e.Type().IsRegular():
			if info, err := e.Info(); err == nil && info.Size() != 0 {
				return nil, false, refuted("lock", "it is not empty")
			}
		case name == "newest" && e.Type().IsRegular():
			newest = true
		case name == "epochs" && e.IsDir():
		default:
			return nil, false, refuted(name, "not a file of the format")
		}
	}
	entries, err = a.list("epochs")
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		if !e.IsDir() || !epochKey.MatchString(e.Name()) {
			return nil, false, refuted("epochs/"+e.Name(), "not the folder of an epoch")
		}
		epochs = append(epochs, e.Name())
	}
	return epochs, newest, nil
}

// list returns what is in a folder but for what a killed writer left, in order of name. A folder that is not there is empty.
func (a *auditor) list(dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(a.fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Type().IsRegular() && temporary.MatchString(e.Name()) }), err
}

// readFile returns a whole file of at most limit bytes.
func (a *auditor) readFile(name string, limit int64) ([]byte, error) {
	f, err := a.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = refuted(name, "it has more than %d bytes", limit)
	}
	return b, err
}

// open reads the notes of an epoch, and looks which logs it has.
func (a *auditor) open(name string) error {
	dir := "epochs/" + name
	entries, err := a.list(dir)
	if err != nil {
		return err
	}
	e := &epoch{dir: dir}
	notes := 0
	for _, entry := range entries {
		switch n := entry.Name(); {
		case (n == "channel.note" || n == "epoch.note") && entry.Type().IsRegular():
			notes++
		case (n == faultFile || n == "fault.damaged") && entry.Type().IsRegular():
			e.hasFault = e.hasFault || n == faultFile
		case entry.IsDir() && feed.CheckLogName(n) == nil:
			e.logs = append(e.logs, n)
		default:
			return refuted(dir+"/"+n, "not a file of the format")
		}
	}
	if notes < 2 && len(e.logs) == 0 {
		return nil // a start that ended before it had anything to say
	}
	if len(e.logs) > feed.MaxLogs {
		return refuted(dir, "%d logs, more than %d", len(e.logs), feed.MaxLogs)
	}
	if err := a.notes(e, name); err != nil {
		return err
	}
	if err := a.fault(e); err != nil {
		return err
	}
	slices.SortFunc(e.logs, func(x, y string) int {
		return cmp.Or(cmp.Compare(b2i(y == feed.CatalogLog), b2i(x == feed.CatalogLog)), strings.Compare(x, y))
	})
	a.epochs = append(a.epochs, e)
	for _, l := range e.logs {
		a.total += a.sizeOf(dir + "/" + l)
	}
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// notes opens the notes of an epoch, and compares the name of its folder with them.
func (a *auditor) notes(e *epoch, name string) error {
	channel, err1 := a.readFile(e.dir+"/channel.note", feed.MaxNote)
	signed, err2 := a.readFile(e.dir+"/epoch.note", feed.MaxNote)
	if err := errors.Join(err1, err2); err != nil {
		return refuted(e.dir, "its notes: %w", err)
	}
	if err := a.findRoot(channel); err != nil {
		return refuted(e.dir+"/channel.note", "%w", err)
	}
	var err error
	if e.channel, e.note, err = a.Options.notes(a.root, feed.Notes{Channel: channel, Epoch: signed}); err != nil {
		return refuted(e.dir, "%w", err)
	}
	if want := fmt.Sprintf("%d-%d-%v", e.note.Generation, e.note.Number, e.note.Key.EpochID()); name != want {
		return refuted(e.dir, "by its notes the folder should be named %s", want)
	}
	return nil
}

// faultFile is where the proof of a fault is, beside the notes of its epoch.
const faultFile = "fault.proof"

// fault checks the proof that the signer of the epoch broke the rules, if one is stored.
func (a *auditor) fault(e *epoch) error {
	if !e.hasFault {
		return nil
	}
	b, err := a.readFile(e.dir+"/"+faultFile, feed.MaxFaultProof)
	if err != nil {
		return err
	}
	p, err := feed.ParseFault(b)
	if errors.Is(err, feed.ErrUnknownFault) {
		e.report.Fault = "the signer broke the rules in a way that this version does not know"
		return nil
	}
	if err == nil {
		err = p.Verify(e.note.Key)
	}
	if err != nil {
		return refuted(e.dir+"/"+faultFile, "%w", err)
	}
	if root, _, _, err := feed.ParseOrigin(p.Log()); err != nil || root != a.root {
		return refuted(e.dir+"/"+faultFile, "of another channel")
	}
	e.fault = p
	e.report.Fault = fmt.Sprintf("the signer broke the rules: %v, in %s", p.Kind(), p.Log())
	return nil
}

// openNotes verifies the notes of an epoch.
func openNotes(root feed.PublicKey, n feed.Notes) (c feed.ChannelNote, e feed.EpochNote, err error) {
	if c, err = feed.OpenChannelNote(root, n.Channel); err != nil {
		return c, e, err
	}
	e, err = feed.OpenEpochNote(c, n.Epoch)
	return c, e, err
}

// findRoot takes the root key from a channel note, unless it was given. The note is verified by it in either case.
func (a *auditor) findRoot(channel []byte) error {
	switch {
	case a.root != feed.PublicKey{}:
		return nil
	case a.Root != nil:
		a.root = *a.Root
		return nil
	}
	line, _, _ := strings.Cut(string(channel), "\n")
	rest, ok1 := strings.CutPrefix(line, "tailcast/1/")
	text, ok2 := strings.CutSuffix(rest, "/channel-note")
	if !ok1 || !ok2 {
		return errors.New("not a channel note")
	}
	var err error
	a.root, err = feed.DecodePublicKey(text)
	return err
}

// links compares what each epoch note says of the epoch before with the notes of that one, if it is here. What it says of its logs is
// compared when these are read.
func (a *auditor) links() error {
	byID := make(map[feed.EpochID]*epoch, len(a.epochs))
	for k, e := range a.epochs {
		byID[e.note.Key.EpochID()] = e
		if k > 0 && e.note.Compare(&a.epochs[k-1].note) == 0 {
			return refuted(e.dir, "two epochs of one number")
		}
	}
	for k, e := range a.epochs {
		last := e.note.Last
		switch {
		case last == nil:
			e.report.Follows = "names no epoch before it"
			continue
		case byID[last.ID] == nil:
			e.report.Follows = fmt.Sprintf("follows epoch %v, which is not here", last.ID)
			continue
		}
		before := byID[last.ID]
		if before.note.Generation != last.Generation || before.note.Number != last.Number {
			return refuted(e.dir, "it names epoch %v with another number", last.ID)
		}
		e.report.Follows = fmt.Sprintf("follows epoch %v", last.ID)
		if k > 0 && a.epochs[k-1] != before {
			e.report.Follows += ", not the one before it here"
		}
		for _, h := range last.Heads {
			before.claims = append(before.claims, claim{LogHead: h, by: e.dir + "/epoch.note"})
		}
	}
	return nil
}

// epoch verifies the logs of an epoch.
func (a *auditor) epoch(e *epoch) error {
	e.report.Channel, e.report.Note = e.channel, e.note
	for _, name := range e.logs {
		l, err := a.log(e, name)
		if err != nil {
			return err
		}
		l.Known = e.known(name)
		e.report.Logs = append(e.report.Logs, l)
		e.report.Expired = e.report.Expired || l.Last.After(e.channel.NotAfter)
	}
	for _, name := range e.absent() {
		e.report.Logs = append(e.report.Logs, Log{Name: name, Known: e.known(name)})
	}
	a.report.Epochs = append(a.report.Epochs, e.report)
	return nil
}

// name remembers what an anchor says how long a log is. A signer names 16 logs in an epoch, and whoever names more is not followed.
func (e *epoch) name(h feed.LogHead) {
	if e.named == nil {
		e.named = make(map[string]uint64)
	}
	if _, ok := e.named[h.Log]; ok || len(e.named) < feed.MaxLogs {
		e.named[h.Log] = max(e.named[h.Log], h.Size)
	}
}

// known returns the largest size of a log that anything here names.
func (e *epoch) known(log string) uint64 {
	size := e.named[log]
	for _, c := range e.claims {
		if c.Log == log {
			size = max(size, c.Size)
		}
	}
	return size
}

// absent returns the logs that something here names, and of which there is no folder.
func (e *epoch) absent() (names []string) {
	for name := range e.named {
		names = append(names, name)
	}
	for _, c := range e.claims {
		names = append(names, c.Log)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return slices.Contains(e.logs, n) })
}

// log verifies a log. If that fails while somebody writes to it, it is verified once more, with allowance for what is being written.
func (a *auditor) log(e *epoch, name string) (Log, error) {
	before, done := a.state(e.dir+"/"+name), a.done
	report, err := newLog(a, e, name, false).verify()
	if err == nil || !errors.Is(err, ErrRefuted) {
		return report, err
	}
	time.Sleep(a.settle)
	live := a.state(e.dir+"/"+name) != before
	if live {
		a.done = done
		if report, err = newLog(a, e, name, true).verify(); err == nil {
			return report, nil
		}
	}
	if errors.Is(err, feed.ErrSignature) && !a.heads.every {
		err = a.locate(e, name, live, err)
	}
	return Log{}, err
}

// locate finds the first record that is not signed, when all that is known is that one before the next hole is not.
func (a *auditor) locate(e *epoch, name string, live bool, err error) error {
	a.heads.every = true
	if _, exact := newLog(a, e, name, live).verify(); errors.Is(exact, ErrRefuted) {
		return exact
	}
	return err
}

// state tells whether somebody writes to a log: what its files looked like at one time.
func (a *auditor) state(dir string) (s [3]fileState) {
	for k, name := range []string{"records", "peaks", "nodes"} {
		if info, err := fs.Stat(a.fsys, dir+"/"+name); err == nil {
			s[k] = fileState{info.Size(), info.ModTime().UnixNano()}
		}
	}
	return s
}

type fileState struct{ size, changed int64 }

// sizeOf returns how many bytes of a log will be read.
func (a *auditor) sizeOf(dir string) (size int64) {
	for _, d := range []string{dir, dir + "/payload"} {
		entries, _ := fs.ReadDir(a.fsys, d) // the verification says what is wrong with it
		for _, e := range entries {
			if info, err := e.Info(); err == nil && e.Type().IsRegular() && (d != dir || e.Name() == "records") {
				size += info.Size()
			}
		}
	}
	return size
}

// read counts what was read, and tells it.
func (a *auditor) read(n int) {
	a.done += int64(n)
	if a.Progress != nil {
		a.Progress(min(a.done, a.total), a.total)
	}
}
