package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tailcast/feed"
	"tailcast/feed/audit"
	"tailcast/feed/clip"
)

// A verdict is what verify says: as lines for people, or as one JSON object.
type verdict struct {
	Event    string     `json:"event"`  // always "verified"
	Result   string     `json:"result"` // "proved" or "refuted"
	Kind     string     `json:"kind"`   // "folder" or "clip"
	Path     string     `json:"path"`
	Error    string     `json:"error,omitempty"` // why it is refuted
	Link     string     `json:"link,omitempty"`  // of the channel, without addresses
	Compared bool       `json:"link_compared"`   // with one that the user gave; else the files only name it themselves
	Heads    string     `json:"signatures,omitempty"`
	From     string     `json:"from,omitempty"` // by the clock of the signer
	To       string     `json:"to,omitempty"`
	Blocks   uint64     `json:"blocks"`
	Bytes    uint64     `json:"bytes"`            // of payload
	Sum      string     `json:"sha256,omitempty"` // at the end of a clip
	Notes    []string   `json:"notes,omitempty"`
	Logs     []logFacts `json:"logs"`
}

// logFacts are about the records of one log of one epoch.
type logFacts struct {
	Log        string       `json:"log"`
	Title      string       `json:"title,omitempty"`
	Epoch      string       `json:"epoch"`
	Generation uint64       `json:"generation"`
	Number     uint64       `json:"number"`
	Station    string       `json:"station"`
	NotAfter   string       `json:"station_named_until"`
	Expired    bool         `json:"expired_when_signed"`
	First      uint64       `json:"first_block"`
	End        uint64       `json:"end_block"` // one more than the last
	From       string       `json:"from"`
	To         string       `json:"to"`
	Blocks     uint64       `json:"blocks"`
	Bytes      uint64       `json:"bytes"`
	Signatures uint64       `json:"signatures_checked"`
	Gaps       []spanFacts  `json:"gaps,omitempty"`
	MoreGaps   int          `json:"more_gaps,omitempty"`
	Pruned     []spanFacts  `json:"pruned,omitempty"`
	MorePruned int          `json:"more_pruned,omitempty"`
	Known      uint64       `json:"known_end,omitempty"` // if that is above end_block, something signed here names blocks up to there
	Left       int64        `json:"bytes_not_covered,omitempty"`
	Unproved   uint64       `json:"not_proved_yet,omitempty"`
	Ended      bool         `json:"ended,omitempty"`
	Continues  string       `json:"continues,omitempty"`
	Anchor     *anchorFacts `json:"anchor,omitempty"`
	Fault      string       `json:"fault,omitempty"`
}

type spanFacts struct {
	First uint64 `json:"first_block"`
	End   uint64 `json:"end_block"`
	From  string `json:"from"`
	To    string `json:"to"`
}

type anchorFacts struct {
	Size      uint64         `json:"size"`
	Time      string         `json:"time"`
	Catalog   uint64         `json:"catalog_size"`
	Witnesses []witnessFacts `json:"witnesses,omitempty"`
}

type witnessFacts struct {
	Name    string `json:"name"`
	Time    string `json:"time"`
	Checked bool   `json:"checked"`
}

// stamp writes a time as all facts have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func wallTime(r *feed.Record) string { return stamp(time.UnixMicro(r.Wall)) }

func (s *subject) kind() string {
	if s.clip {
		return "clip"
	}
	return "folder"
}

func (s *subject) verdict(root feed.PublicKey) *verdict {
	v := &verdict{Event: "verified", Result: "proved", Kind: s.kind(), Path: s.path, Link: linkOf(root), Compared: s.link != nil, Logs: []logFacts{}}
	if !v.Compared {
		v.Notes = append(v.Notes, "the link is the one that the files name themselves: compare it with the one that the broadcaster publishes, or give that with --link")
	}
	return v
}

func refusal(s *subject, err error) *verdict {
	v := &verdict{Event: "verified", Result: "refuted", Kind: s.kind(), Path: s.path, Error: err.Error(), Compared: s.link != nil, Logs: []logFacts{}}
	if s.link != nil {
		v.Link = linkOf(s.link.Root)
	}
	return v
}

func epochFacts(channel *feed.ChannelNote, note *feed.EpochNote) logFacts {
	return logFacts{
		Epoch: note.Key.EpochID().String(), Generation: note.Generation, Number: note.Number,
		Station: note.Station.String(), NotAfter: stamp(channel.NotAfter),
	}
}

func (s *subject) clipVerdict(r *clip.Report) *verdict {
	v := s.verdict(r.Root)
	v.Sum = hex.EncodeToString(r.Sum[:])
	v.Heads = "with every record"
	for k := range r.Parts {
		p := &r.Parts[k]
		f := epochFacts(&p.Channel, &p.Epoch)
		f.Log, f.First, f.End, f.From, f.To = p.Log, p.From, p.To, wallTime(&p.First), wallTime(&p.Last)
		f.Blocks, f.Bytes, f.Signatures = p.To-p.From, p.Bytes, p.To-p.From
		f.Expired = time.UnixMicro(p.Last.Wall).After(p.Channel.NotAfter)
		f.Anchor = anchorOf(p.Anchor)
		if k > 0 {
			f.Continues = continues(p, &r.Parts[k-1])
		}
		v.add(f)
	}
	return v
}

// continues says what lies between two parts of a clip.
func continues(p, before *clip.Part) string {
	switch {
	case p.Continues:
		return "the station knew of nothing later in the epoch before than the end of the part before"
	case p.Epoch.Key == before.Epoch.Key:
		return fmt.Sprintf("%d blocks are missing before it", p.From-before.To)
	case p.Epoch.Last != nil && p.Epoch.Last.ID == before.Epoch.Key.EpochID():
		for _, h := range p.Epoch.Last.Heads {
			if h.Log == p.Log && h.Size > before.To {
				return fmt.Sprintf("at least %d blocks at the end of the epoch before are missing", h.Size-before.To)
			}
		}
	}
	return "what was aired between the part before and this one is not known"
}

func anchorOf(a *clip.Anchor) *anchorFacts {
	if a == nil {
		return nil
	}
	f := &anchorFacts{Size: a.Size, Time: stamp(a.Time), Catalog: a.Catalog.Size}
	for _, w := range a.Witnesses {
		f.Witnesses = append(f.Witnesses, witnessFacts{w.Name, stamp(w.Time), w.Checked})
	}
	return f
}

func (s *subject) folderVerdict(r *audit.Report, everyHead bool) *verdict {
	v := s.verdict(r.Root)
	v.Heads = "with the last record of each run without a hole, which covers all before it (--every-head checks all)"
	if everyHead {
		v.Heads = "with every record"
	}
	for k := range r.Epochs {
		e := &r.Epochs[k]
		for _, l := range e.Logs {
			f := epochFacts(&e.Channel, &e.Note)
			f.Title, f.Fault, f.Expired = e.Title, e.Fault, l.Last.After(e.Channel.NotAfter)
			f.fromAudit(&l)
			v.add(f)
		}
		v.Notes = append(v.Notes, fmt.Sprintf("epoch %v %s", e.Note.Key.EpochID(), e.Follows))
		if n := e.Anchors; n.All > 0 {
			v.Notes = append(v.Notes, fmt.Sprintf("its catalog names heads of logs %d times: %d of them are of records here, and true", n.All, n.Checked))
		}
		if e.Fault != "" {
			v.Notes = append(v.Notes, fmt.Sprintf("epoch %v: %s", e.Note.Key.EpochID(), e.Fault))
		}
	}
	if r.Newest != "" {
		v.Notes = append(v.Notes, "file newest "+r.Newest)
	}
	if v.Blocks == 0 {
		v.Notes = append(v.Notes, "there is no block here: what is proved is only who might have signed some")
	}
	return v
}

func (f *logFacts) fromAudit(l *audit.Log) {
	f.Log, f.First, f.End = l.Name, l.From, l.To
	if l.Records > 0 {
		f.From, f.To = stamp(l.First), stamp(l.Last)
	}
	f.Blocks, f.Bytes, f.Signatures, f.Unproved, f.Ended = l.Records, l.Bytes, l.Signatures, l.Unproved, l.Ended
	f.Left = l.Left
	if l.Known > l.To {
		f.Known = l.Known
	}
	f.Gaps, f.MoreGaps = spans(&l.Gaps)
	f.Pruned, f.MorePruned = spans(&l.Pruned)
}

func spans(s *audit.Spans) (list []spanFacts, more int) {
	for _, p := range s.List {
		list = append(list, spanFacts{p.From, p.To, stamp(p.Begin), stamp(p.Stop)})
	}
	return list, s.Count - len(list)
}

// add adds what is known of a log to the whole: times are those of renditions, as far as there are any.
func (v *verdict) add(f logFacts) {
	v.Logs = append(v.Logs, f)
	v.Blocks += f.Blocks
	v.Bytes += f.Bytes
	if f.Blocks == 0 || f.Log == feed.CatalogLog {
		return
	}
	if v.From == "" || f.From < v.From {
		v.From = f.From
	}
	v.To = max(v.To, f.To)
}

// print writes the verdict. A line is a name, spaces and the fact.
func (v *verdict) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	var b strings.Builder
	fact := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	fact(v.Result, "%s %s", v.Kind, printable(v.Path))
	fact("link", "%s%s", v.Link, map[bool]string{true: " (the one that was given)", false: " (named by the files; compare it)"}[v.Compared])
	if v.From != "" {
		fact("from", "%s by the clock of the signer", v.From)
		fact("to", "%s", v.To)
	}
	fact("blocks", "%d, %d bytes", v.Blocks, v.Bytes)
	fact("signed", "signatures checked: %s", v.Heads)
	if v.Sum != "" {
		fact("sha256", "%s", v.Sum)
	}
	for k := range v.Logs {
		v.Logs[k].print(fact)
	}
	v.date(fact)
	for _, n := range v.Notes {
		fact("note", "%s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *logFacts) print(fact func(name, format string, args ...any)) {
	what := "no blocks"
	if f.Blocks > 0 {
		what = fmt.Sprintf("blocks [%d, %d), %s to %s, %d blocks, %d bytes", f.First, f.End, f.From, f.To, f.Blocks, f.Bytes)
	}
	fact("log", "%s of epoch %s (generation %d, number %d): %s", f.Log, f.Epoch, f.Generation, f.Number, what)
	expired := ""
	if f.Expired {
		expired = ": EXPIRED when the last of these were signed, unless another note renewed it"
	}
	fact("  key", "of the station %s, which the root key names until %s%s", f.Station, f.NotAfter, expired)
	if f.Continues != "" {
		fact("  before", "%s", f.Continues)
	}
	printSpans(fact, "  gap", "not here", f.Gaps, f.MoreGaps)
	printSpans(fact, "  pruned", "proved, but the payloads are gone", f.Pruned, f.MorePruned)
	if f.Known > 0 {
		fact("  missing", "blocks [%d, %d): the signer named them, and they are not here", f.End, f.Known)
	}
	if f.Left > 0 {
		fact("  left", "%d bytes behind the payload of the last block: no record speaks of them, and they prove nothing", f.Left)
	}
	if f.Unproved > 0 {
		fact("  new", "%d blocks were being written, and are not proved yet", f.Unproved)
	}
	if f.Ended {
		fact("  end", "its signer ended it")
	}
	if a := f.Anchor; a != nil {
		fact("  anchor", "the catalog of the epoch named it at size %d, at %s", a.Size, a.Time)
	}
}

func printSpans(fact func(name, format string, args ...any), name, what string, list []spanFacts, more int) {
	for _, s := range list {
		fact(name, "blocks [%d, %d), %s to %s: %s", s.First, s.End, s.From, s.To, what)
	}
	if more > 0 {
		fact(name, "and %d more", more)
	}
}

// printable is a file's name as it may be shown: whoever sent the file may have chosen it.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// date says who says when.
func (v *verdict) date(fact func(name, format string, args ...any)) {
	witnessed := 0
	for _, f := range v.Logs {
		if f.Anchor == nil {
			continue
		}
		for _, w := range f.Anchor.Witnesses {
			if w.Checked {
				fact("witness", "%s says that what epoch %s had signed up to block %d of %s was there at %s", w.Name, f.Epoch, f.Anchor.Size, f.Log, w.Time)
			} else {
				fact("witness", "%s is said to have seen it at %s: NOT CHECKED, give its key with --witness", w.Name, w.Time)
			}
		}
		if slices.ContainsFunc(f.Anchor.Witnesses, func(w witnessFacts) bool { return w.Checked }) {
			witnessed++
		}
	}
	switch {
	case witnessed == 0:
		fact("date", "all times are the word of the signer; no witness dates them")
	case witnessed < len(v.Logs):
		fact("date", "%d of %d parts are dated by a witness; the times of the others are the word of the signer", witnessed, len(v.Logs))
	default:
		fact("date", "witnessed as said above; within that, times are the word of the signer")
	}
}
