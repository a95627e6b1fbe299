package swarm

import (
	"errors"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// How anchors are dialled.
const (
	maxDials    = 8                      // at a time
	dialTimeout = 3 * time.Second        // for one that has not answered yet
	redialFor   = 15 * time.Second       // after a neighbour was lost it is dialled
	redialEvery = 250 * time.Millisecond // so often; it may be restarting
	dialFirst   = 500 * time.Millisecond // else the pause begins with this
	dialMost    = 4 * time.Second        // and doubles up to this, for ever
	dialSelf    = time.Minute            // an anchor that turned out to be ourselves
	dialTwin    = time.Second            // is looked at again, whose node answers at another anchor's address too
)

// An anchorState says what is being done about an anchor.
//
//	          due              HELLO
//	pausing ───────▶ dialling ───────▶ connected
//	   ▲                 │ failed          │ lost
//	   └─────────────────┴─────────────────┘
type anchorState uint8

const (
	pausing anchorState = iota
	dialling
	connected
)

// An anchor is an address of the link, and how it went with it.
type anchor struct {
	feed.Anchor
	index int

	state   anchorState
	next    time.Time // pausing: when to dial
	session SessionID // connected: the session
	fails   int       // dials that failed since it was connected last
	lost    time.Time // when it was connected last; zero: never
	shunned time.Time // to be kept away from until then

	key  *feed.PublicKey // that it had when it was connected last
	role quicwire.Role   // likewise
	err  error           // why it is not connected
}

// dial dials all anchors that are due.
func (d *Direct) dial() {
	dials := 0
	for _, a := range d.anchors {
		if a.state == dialling {
			dials++
		}
	}
	for _, a := range d.anchors {
		if a.state == pausing && dials < maxDials && !d.now.Before(a.next) {
			if d.twin(a) {
				a.next = d.now.Add(dialTwin)
				continue
			}
			dials++
			a.state = dialling
			d.do(Dial{a.index, a.Addr, a.Node, dialTimeout})
		}
	}
}

// twin reports whether a leads to a node that we are connected with by another anchor: a node with two addresses keeps one session.
func (d *Direct) twin(a *anchor) bool {
	return a.key != nil && errors.Is(a.err, &quicwire.Error{Code: quicwire.CodeDuplicate}) &&
		slices.ContainsFunc(d.anchors, func(b *anchor) bool { return b != a && b.state == connected && *b.key == *a.key })
}

// dialFailed lets an anchor rest for a while.
func (d *Direct) dialFailed(e DialFailed) {
	a := d.anchors[e.Contact]
	if a.state != dialling {
		return // it dialled us meanwhile
	}
	a.fails++
	d.pause(a, e.Err)
}

// pause sets when a is dialled again.
func (d *Direct) pause(a *anchor, err error) {
	a.state, a.session, a.err = pausing, 0, err
	delay := min(dialFirst<<min(max(a.fails-1, 0), 8), dialMost)
	switch {
	case errors.Is(err, &quicwire.Error{Code: quicwire.CodeSelf}):
		delay = dialSelf
	case d.now.Before(a.shunned) && len(d.anchors) > 1:
		delay = a.shunned.Sub(d.now)
	case d.now.Before(a.shunned):
		delay = dialMost // there is nobody else
	case !a.lost.IsZero() && d.now.Sub(a.lost) < redialFor:
		delay = redialEvery
	}
	// Those that lost the same neighbour shall not all come at the same moment.
	delay += time.Duration(d.rand.Int64N(max(1, int64(delay/4))))
	a.next = d.now.Add(delay)
}

// bind finds the anchor that a new session is with, if any.
func (d *Direct) bind(p *peer, e SessionUp) {
	a := d.anchorOf(e)
	if a == nil {
		return
	}
	if d.firstUp.IsZero() {
		d.firstUp = d.now
	}
	p.anchor = a
	key := e.Peer
	a.state, a.session, a.fails, a.err, a.key, a.role = connected, e.Session, 0, nil, &key, e.Role
}

// anchorOf returns the anchor that was dialled, or the one that has dialled us: nodes have one socket for both.
func (d *Direct) anchorOf(e SessionUp) *anchor {
	if e.Contact >= 0 {
		return d.anchors[e.Contact]
	}
	for _, a := range d.anchors {
		if a.Node != nil && *a.Node == e.Peer || a.Node == nil && (a.Addr == e.Addr || a.key != nil && *a.key == e.Peer) {
			return a
		}
	}
	return nil
}

// unbind takes in that the session with an anchor has ended.
func (d *Direct) unbind(p *peer, err error) {
	if a := p.anchor; a != nil && a.session == p.id {
		a.lost = d.now
		d.pause(a, err)
	}
}

// hurry dials all anchors now that nobody has talked to for a while: nothing comes from those we have.
func (d *Direct) hurry() {
	for _, a := range d.anchors {
		if a.state == pausing && d.now.After(a.shunned) && !errors.Is(a.err, &quicwire.Error{Code: quicwire.CodeSelf}) {
			a.next = d.now
		}
	}
}
