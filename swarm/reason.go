package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Here Direct says in words how it goes. The sentences are for people who can do something about it; tests pin them down.

// State returns how following the channel goes, and if it does not go, why.
func (d *Direct) State(now time.Time) (State, string) {
	d.now = now
	switch {
	case d.cfg.Publisher:
		return Flowing, ""
	case d.run == nil:
		return Waiting, d.reason()
	case d.run.fault != nil:
		return Stalled, d.run.fault.Reason()
	case d.run.ended():
		return Ended, ""
	case !d.run.began():
		return Starting, d.reason()
	case d.run.stalled(now):
		return Stalled, d.reason()
	}
	return Flowing, ""
}

// media returns the logs but the catalog.
func (r *run) media() []*follow {
	return slices.DeleteFunc(slices.Clone(r.logs), func(f *follow) bool { return f.log.Name == feed.CatalogLog })
}

// ended reports whether the signer has ended all media that we follow.
func (r *run) ended() bool {
	media := r.media()
	return len(media) > 0 && !slices.ContainsFunc(media, func(f *follow) bool { return !f.ended })
}

// began reports whether a block of media is here.
func (r *run) began() bool {
	return slices.ContainsFunc(r.media(), func(f *follow) bool { return !f.joined.IsZero() })
}

// stalled reports whether some media do not come: late blocks are the network's way, two seconds of nothing are not.
func (r *run) stalled(now time.Time) bool {
	return slices.ContainsFunc(r.media(), func(f *follow) bool { return !f.ended && now.Sub(f.last) > leaveHungry+soonestDue })
}

// reason says why nothing comes.
func (d *Direct) reason() string {
	switch {
	case len(d.anchors) == 0:
		return "the link names no address to connect to; ask for one that ends in ?a=host:port"
	case d.run != nil && d.run.parent != nil:
		return d.parentReason(d.run.parent)
	}
	var up []string
	for _, a := range d.anchors {
		if a.state == connected {
			up = append(up, d.connectedReason(a))
		}
	}
	if len(up) > 0 {
		return strings.Join(up, "; ")
	}
	return d.anchorReasons()
}

// anchorReasons says why no anchor is connected.
func (d *Direct) anchorReasons() string {
	var parts []string
	next := d.anchors[0].next
	dials := false
	for _, a := range d.anchors {
		dials = dials || a.state == dialling
		if a.next.Before(next) {
			next = a.next
		}
		if a.err == nil {
			parts = append(parts, "connecting to "+a.name())
		} else {
			parts = append(parts, a.name()+" "+why(a.err))
		}
	}
	if !slices.ContainsFunc(d.anchors, func(a *anchor) bool { return a.err != nil }) {
		return strings.Join(parts, "; ")
	}
	return strings.Join(parts, "; ") + "; " + again(next.Sub(d.now), dials)
}

// again says when it is tried again.
func again(in time.Duration, now bool) string {
	if s := int(in.Round(time.Second) / time.Second); s >= 1 && !now {
		return fmt.Sprintf("trying again in %d s", s)
	}
	return "trying again"
}

// name says who an anchor is: by its role, if it has ever told.
func (a *anchor) name() string { return named(a.role, a.Addr) }

func (p *peer) name() string {
	if p.anchor != nil {
		return named(p.role, p.anchor.Addr)
	}
	return named(p.role, p.addr)
}

func named(role quicwire.Role, addr string) string {
	if role == 0 {
		return addr
	}
	return "the " + role.String() + " " + addr
}

// why says what became of a dial or a session, after the name of its peer.
func why(err error) string {
	var e *quicwire.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "does not answer"
	case !errors.As(err, &e):
		return fmt.Sprintf("cannot be reached (%v)", err)
	}
	switch e.Code {
	case quicwire.CodeLost:
		if strings.HasPrefix(e.Reason, "no ") {
			return "does not answer"
		}
		return "is gone (" + e.Reason + ")"
	case quicwire.CodeTimeout:
		return "does not answer"
	case quicwire.CodeGoingAway, quicwire.CodeDone:
		return "has stopped"
	case quicwire.CodeLink:
		return "does not know this channel: the address in the link belongs to another one"
	case quicwire.CodeTLS:
		return "is not the node that the link names (" + e.Reason + ")"
	case quicwire.CodeVersion:
		return "speaks another version of the protocol: " + e.Reason
	case quicwire.CodeBusy:
		return "has no room for us"
	case quicwire.CodeSelf:
		return "is this node itself"
	case quicwire.CodeBadBlock, quicwire.CodeNotes, quicwire.CodeMalformed, quicwire.CodeFlood:
		if !e.Remote {
			return "misbehaved (" + e.Reason + ")"
		}
	}
	return fmt.Sprintf("ended the session (%v: %s)", e.Code, e.Reason)
}

// connectedReason says why nothing comes although an anchor is connected: it is no parent.
func (d *Direct) connectedReason(a *anchor) string {
	p := d.peer(a.session)
	switch {
	case p == nil:
		return "connecting to " + a.name()
	case p.expired:
		return fmt.Sprintf("connected to %s, but the channel's notes have expired: the broadcaster must sign new ones", p.name())
	case p.epoch == Epoch{}:
		return fmt.Sprintf("connected to %s, which itself knows nothing of the channel yet", p.name())
	case d.run != nil && p.epoch.Compare(d.run.epoch) < 0:
		return fmt.Sprintf("connected to %s, which has only an older run of the channel than the newest known", p.name())
	case !p.leaving.IsZero():
		return p.name() + " is stopping"
	case p.refusal != 0:
		return fmt.Sprintf("%s does not serve us: %s", p.name(), refusedBecause(p.refusal))
	}
	return fmt.Sprintf("connected to %s, of which nothing can be had at the moment", p.name())
}

func refusedBecause(r quicwire.Refusal) string {
	switch r {
	case quicwire.RefusedUnwilling:
		return "it shares nothing"
	case quicwire.RefusedLoop:
		return "it gets the channel from us"
	case quicwire.RefusedDeep:
		return "it is too far from the source"
	case quicwire.RefusedLog, quicwire.RefusedNotHeld:
		return "it does not have this yet"
	}
	return "it has no room"
}

// parentReason says why nothing comes from a parent.
func (d *Direct) parentReason(p *peer) string {
	f := d.run.worst()
	silent := int(d.now.Sub(d.run.moved) / time.Second)
	answered := !d.run.overdue.IsZero() && p.pong.at.After(d.run.overdue) && f != nil && p.pong.log == f.log
	switch {
	case !p.pinged.IsZero() && d.now.Sub(p.pinged) > time.Second:
		return p.name() + " does not answer any more"
	case answered && p.pong.next > f.top:
		return fmt.Sprintf("connected to %s, which says it has more but has sent nothing for %d s", p.name(), silent)
	case p.role == quicwire.Streamer && d.run.began():
		return fmt.Sprintf("connected to %s, which has sent nothing new for %d s", p.name(), silent)
	case p.role == quicwire.Streamer:
		return fmt.Sprintf("connected to %s, which has no programme yet", p.name())
	case d.run.began() || answered || !p.flows(d.run):
		return fmt.Sprintf("connected to %s, which itself receives nothing", p.name())
	}
	return fmt.Sprintf("connected to %s, waiting for its first blocks", p.name())
}

// worst returns the log of media without progress for longest; the catalog if there is no other.
func (r *run) worst() (worst *follow) {
	for _, f := range r.logs {
		if !f.ended && (worst == nil || worst.log.Name == feed.CatalogLog || f.progress.Before(worst.progress)) {
			worst = f
		}
	}
	return worst
}
