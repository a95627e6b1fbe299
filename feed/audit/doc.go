// Package audit verifies the folder of a channel, as a stranger would: from docs/feed.md alone, with the parsers and the tree of feed, but
// with none of the code that wrote it. It reads everything once, front to back, at the speed at which payloads can be hashed; it takes
// no lock, so that a folder can be verified while a streamer or viewer writes to it; and its memory does not grow with the folder.
//
// What is checked, by section: the notes (6), every record, the rules between neighbours, every payload that is there (7), the tree
// (5), the signature of the last record of each run without a hole, which by the tree covers all records before it, or of every record
// on demand (8), what catalog, notes and file newest say of the logs (9, 6, 13), and that there is nothing else in the folder (13).
package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tailcast/feed"
)

// ErrRefuted says that a folder is not what its owner signed, or is damaged.
var ErrRefuted = errors.New("refuted")

// refuted says what is wrong, and where.
func refuted(where, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrRefuted, printable(where), fmt.Errorf(format, args...))
}

// printable is a file's name as it may be shown: whoever made the folder chose it, and could write into it what the program never said.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// Options say how to verify.
type Options struct {
	Root      *feed.PublicKey // that of the link; nil: the one that the folder names itself
	EveryHead bool            // check the signature with every record, on all cores
	// Progress is told from time to time how many bytes of how many have been read; it may be nil.
	Progress func(done, total int64)
	Now      func() time.Time // for what is expired; time.Now if nil

	// Of tests: to remember what was verified.
	verify func(key feed.PublicKey, origin string, h *feed.Head) bool
	notes  func(root feed.PublicKey, n feed.Notes) (feed.ChannelNote, feed.EpochNote, error)

	settle time.Duration // how long a writer takes at most to finish what it began; if zero, 1.2 s
}

// A Report is what a folder proves.
type Report struct {
	Root   feed.PublicKey
	Epochs []Epoch // in their order
	Newest string  // what file newest says of what is not here; empty if nothing
	Bytes  int64   // read
}

// An Epoch is what the folder has of one.
type Epoch struct {
	Channel feed.ChannelNote
	Note    feed.EpochNote
	Title   string // of the channel, as the last state says; empty if there is none
	Logs    []Log
	// Follows says how the epoch note's "last" line fits what is here.
	Follows string
	Anchors Count  // lines of anchors: compared with the logs here
	Fault   string // what a stored proof shows that the signer did against the rules; empty: none is stored
	Expired bool   // the last record is from after the time until which the root key named this station
}

// A Count is how many of how many were checked; the others speak of records that are not here.
type Count struct{ Checked, All int }

// A Log is what the folder has of one.
type Log struct {
	Name       string
	Records    uint64 // that are here, each proved
	From, To   uint64 // they are in [From, To)
	Known      uint64 // largest size that a signed statement here names; if that is above To, records up to there are not here
	First      time.Time
	Last       time.Time
	Bytes      uint64 // of the payloads here
	Signatures uint64 // checked
	Gaps       Spans  // records that are not here, between those that are
	Pruned     Spans  // records that are here, without their payloads
	Unproved   uint64 // records just written, whose proof is not on disk yet
	Left       int64  // bytes behind the payload of the last record: a power cut or a writer at work leaves them
	Ended      bool   // by its signer: nothing can follow
}

// Spans are runs of records: the first of them, and how many there are in all.
type Spans struct {
	List    []Span // at most maxSpans
	Count   int
	Records uint64
	end     uint64 // of the last of all
}

// A Span is a run of records [From, To), with the times of the record before or first, and after or last, of which there are records.
type Span struct {
	From, To    uint64
	Begin, Stop time.Time
}

const maxSpans = 100

// add extends the last span by [from, to), or begins another. Spans are added in order.
func (s *Spans) add(from, to uint64, begin, stop time.Time) {
	s.Records += to - from
	continues := s.Count > 0 && s.end == from
	if n := len(s.List); continues && n == s.Count {
		s.List[n-1].To, s.List[n-1].Stop = to, stop
	}
	if s.end = to; continues {
		return
	}
	s.Count++
	if len(s.List) < maxSpans {
		s.List = append(s.List, Span{from, to, begin, stop})
	}
}
