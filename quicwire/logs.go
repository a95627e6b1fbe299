package quicwire

import (
	"fmt"
	"sync"

	"tailcast/feed"
)

// A LogID names a log of the session's channel.
type LogID struct {
	Epoch feed.EpochID
	Name  string // as feed.CheckLogName wants it
}

func (l LogID) String() string { return l.Epoch.String() + "/" + l.Name }

// A LogBinding gives a log the number by which its binder's messages, and the answers to them, name it.
type LogBinding struct {
	Number uint8
	Log    LogID
}

// maxLogs is how many logs one end can number in one session; numbers are not used twice.
const maxLogs = 256

// A logTable holds the numbers that one end has given, in order from 0.
type logTable struct {
	numbers map[LogID]uint8
	logs    []LogID
}

// bind gives l the next number.
func (t *logTable) bind(l LogID) (uint8, error) {
	if len(t.logs) == maxLogs {
		return 0, fmt.Errorf("all %d log numbers are used up; a new session has new ones", maxLogs)
	}
	if t.numbers == nil {
		t.numbers = make(map[LogID]uint8)
	}
	n := uint8(len(t.logs))
	t.numbers[l] = n
	t.logs = append(t.logs, l)
	return n, nil
}

// logNumbers holds the numbers of both ends. Those of a question (SUB, REQ, STATUS, ...) are its sender's, those of an answer are
// the asker's, so that a number has always been bound on the control stream before anybody uses it.
type logNumbers struct {
	mu    sync.Mutex // held for each look-up
	own   logTable   // given by this end
	peer  logTable   // given by the other end
	fresh []LogBinding
}

// number returns this end's number for l. A log without one gets the next and joins fresh, which the peer must be told first.
func (n *logNumbers) number(l LogID) (uint8, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.own.numbers[l]; ok {
		return v, nil
	}
	if err := feed.CheckLogName(l.Name); err != nil {
		return 0, err
	}
	v, err := n.own.bind(l)
	if err == nil {
		n.fresh = append(n.fresh, LogBinding{v, l})
	}
	return v, err
}

// takeFresh returns the bindings that the peer has not been told of, and forgets them.
func (n *logNumbers) takeFresh() []LogBinding {
	n.mu.Lock()
	defer n.mu.Unlock()
	fresh := n.fresh
	n.fresh = nil
	return fresh
}

// heard takes over a binding that the peer has sent.
func (n *logNumbers) heard(b LogBinding) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if int(b.Number) != len(n.peer.logs) {
		return fmt.Errorf("log number %d, want the next, %d", b.Number, len(n.peer.logs))
	}
	if _, ok := n.peer.numbers[b.Log]; ok {
		return fmt.Errorf("log %v has a number already", b.Log)
	}
	_, err := n.peer.bind(b.Log)
	return err
}

// ownLog returns the log to which this end has given number v.
func (n *logNumbers) ownLog(v uint8) (LogID, error) { return n.log(&n.own, v) }

// peerLog returns the log to which the peer has given number v.
func (n *logNumbers) peerLog(v uint8) (LogID, error) { return n.log(&n.peer, v) }

func (n *logNumbers) log(t *logTable, v uint8) (LogID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if int(v) >= len(t.logs) {
		return LogID{}, fmt.Errorf("log number %d is not bound", v)
	}
	return t.logs[v], nil
}

// peerNumber returns the number that the peer has given to l.
func (n *logNumbers) peerNumber(l LogID) (uint8, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.peer.numbers[l]; ok {
		return v, nil
	}
	return 0, fmt.Errorf("the peer has no number for log %v, so it has not asked for it", l)
}

// mine carries a log by the number that the message's sender gave it.
func (c *codec) mine(l *LogID) { c.log(l, c.logs.number, c.logs.peerLog) }

// yours carries a log by the number that the message's receiver gave it.
func (c *codec) yours(l *LogID) { c.log(l, c.logs.peerNumber, c.logs.ownLog) }

func (c *codec) log(l *LogID, number func(LogID) (uint8, error), log func(uint8) (LogID, error)) {
	var v uint8
	var err error
	if !c.reading {
		if v, err = number(*l); err != nil {
			c.fail("%w", err)
		}
	}
	c.u8(&v)
	if c.reading && c.err == nil {
		if *l, err = log(v); err != nil {
			c.fail("%w", err)
		}
	}
}

// logID carries a log by its name in full.
func (c *codec) logID(l *LogID) {
	c.fixed(l.Epoch[:])
	c.str(&l.Name, feed.MaxLogName)
	if c.err == nil {
		if err := feed.CheckLogName(l.Name); err != nil {
			c.fail("%w", err)
		}
	}
}
