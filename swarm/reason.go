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

// Here Mesh says in words how it goes. The sentences are for people who can do something about it; tests pin them down.

// State returns how following the channel goes, and if it does not go, why.
func (m *Mesh) State(now time.Time) (State, string) {
	m.now = now
	switch {
	case m.publisher():
		return Flowing, ""
	case m.run == nil:
		return Waiting, m.reason()
	case m.run.fault != nil:
		return Stalled, m.run.fault.Reason()
	case m.run.ended():
		return Ended, ""
	case !m.run.started():
		return Starting, m.reason()
	case m.run.stalled(now):
		return Stalled, m.reason()
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

// started reports whether a block of media is here.
func (r *run) started() bool {
	return slices.ContainsFunc(r.media(), func(f *follow) bool { return !f.joined.IsZero() })
}

// stalled reports whether some media do not come: late blocks are the network's way, two seconds of nothing are not.
func (r *run) stalled(now time.Time) bool {
	return slices.ContainsFunc(r.media(), func(f *follow) bool { return !f.ended && now.Sub(f.last) > leaveHungry+soonestDue })
}

// reason says why nothing comes.
func (m *Mesh) reason() string {
	if p := m.blamed(); p != nil {
		return m.parentReason(p)
	}
	var up []string
	for _, p := range m.peers {
		if p.contact != nil && !p.contact.strange() {
			up = append(up, m.connectedReason(p))
		}
	}
	switch {
	case len(up) > 0:
		return strings.Join(up[:min(len(up), 3)], "; ")
	case len(m.peers) > 0 && len(m.ours()) == 0:
		return m.crowdReason()
	case len(m.contacts) == 0 && m.cfg.Looking != "":
		return "the link names no address to connect to; looking " + m.cfg.Looking
	case len(m.contacts) == 0:
		return "the link names no address to connect to; ask for one that ends in ?a=host:port"
	case len(m.peers) > 0: // others found us, or we them; but it is the link's address that somebody can do something about
		return m.contactReasons() + "; " + m.crowdReason()
	}
	return m.contactReasons()
}

// ours returns the contacts that are not only somebody's word.
func (m *Mesh) ours() []*contact {
	return slices.DeleteFunc(slices.Clone(m.contacts), (*contact).strange)
}

// blamed returns the parent that has the most stripes without delivering; nil if there is none. One that was just given up for dead counts
// as long as nobody has taken its place.
func (m *Mesh) blamed() (worst *peer) {
	if m.run == nil {
		return nil
	}
	most := 0
	for _, p := range m.peers {
		n := 0
		for _, f := range m.run.logs {
			n += m.from(f, p)
		}
		if n > most {
			worst, most = p, n
		}
	}
	return worst
}

// crowdReason says why nothing comes although there are peers.
func (m *Mesh) crowdReason() string {
	if len(m.peers) == 1 {
		return m.connectedReason(m.peers[0])
	}
	return fmt.Sprintf("connected to %d nodes, of which nothing can be had at the moment", len(m.peers))
}

// contactReasons says why no contact is connected: those of the link and others that are ours, or if there are none, all others.
func (m *Mesh) contactReasons() string {
	var parts []string
	list := m.ours()
	if len(list) == 0 {
		list = m.contacts
	}
	next := list[0].next
	dials, failed := false, false
	for _, c := range list {
		dials = dials || c.state == dialling
		if c.next.Before(next) {
			next = c.next
		}
		failed = failed || c.err != nil
		if len(parts) == maxDials {
			continue
		}
		if c.err == nil {
			parts = append(parts, "connecting to "+c.name())
		} else {
			parts = append(parts, c.name()+" "+why(c.err))
		}
	}
	if !failed {
		return strings.Join(parts, "; ")
	}
	return strings.Join(parts, "; ") + "; " + again(next.Sub(m.now), dials)
}

// again says when it is tried again.
func again(in time.Duration, now bool) string {
	if s := int(in.Round(time.Second) / time.Second); s >= 1 && !now {
		return fmt.Sprintf("trying again in %d s", s)
	}
	return "trying again"
}

// name says who an anchor is: by its role, if it has ever told.
func (c *contact) name() string { return named(c.role, c.addr) }

func (p *peer) name() string {
	if p.contact != nil {
		return named(p.role, p.contact.addr)
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
	}
	if misbehaved(err) {
		return "misbehaved (" + e.Reason + ")"
	}
	return fmt.Sprintf("ended the session (%v: %s)", e.Code, e.Reason)
}

// connectedReason says why nothing comes although a peer is connected: it is no parent.
func (m *Mesh) connectedReason(p *peer) string {
	switch {
	case p.expired:
		return fmt.Sprintf("connected to %s, but the channel's notes have expired: the broadcaster must sign new ones", p.name())
	case p.epoch == Epoch{}:
		return fmt.Sprintf("connected to %s, which itself knows nothing of the channel yet", p.name())
	case m.run != nil && p.epoch.Compare(m.run.epoch) < 0:
		return fmt.Sprintf("connected to %s, which has only an older run of the channel than the newest known", p.name())
	case p.mute || !p.pinged.IsZero() && m.now.Sub(p.pinged) > time.Second:
		return p.name() + " does not answer any more"
	case !p.leaving.IsZero():
		return p.name() + " is stopping"
	case p.flags&quicwire.NoUpload != 0:
		return fmt.Sprintf("%s does not serve us: %s", p.name(), refusedBecause(quicwire.RefusedUnwilling))
	case p.refusal != 0 && m.now.Before(p.refused) || p.refusal == quicwire.RefusedBusy || p.refusal == quicwire.RefusedLoop:
		return fmt.Sprintf("%s does not serve us: %s", p.name(), refusedBecause(p.refusal))
	case m.run != nil && m.run.started() && !p.flowsIn(m.run):
		return fmt.Sprintf("connected to %s, which itself receives nothing", p.name())
	}
	return fmt.Sprintf("connected to %s, of which nothing can be had at the moment", p.name())
}

// flowsIn reports whether the epoch flows at p, as it says.
func (p *peer) flowsIn(r *run) bool {
	any := false
	for _, c := range p.logs {
		if c.log.Epoch != r.epoch.ID {
			continue
		}
		any = true
		if !slices.ContainsFunc(c.lags, func(lag time.Duration) bool { return lag != quicwire.NoLag }) {
			return false
		}
	}
	return any
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
func (m *Mesh) parentReason(p *peer) string {
	f := m.run.worst()
	silent := int(m.now.Sub(m.run.moved) / time.Second)
	answered := f != nil && p.pong.log == f.log && p.pong.at.After(f.due())
	switch {
	case !p.pinged.IsZero() && m.now.Sub(p.pinged) > time.Second:
		return p.name() + " does not answer any more"
	case answered && p.pong.next > f.edge:
		return fmt.Sprintf("connected to %s, which says it has more but has sent nothing for %d s", p.name(), silent)
	case p.role == quicwire.Streamer && m.run.started():
		return fmt.Sprintf("connected to %s, which has sent nothing new for %d s", p.name(), silent)
	case p.role == quicwire.Streamer:
		return fmt.Sprintf("connected to %s, which has no programme yet", p.name())
	case m.run.started() || answered || !p.flowsIn(m.run):
		return fmt.Sprintf("connected to %s, which itself receives nothing", p.name())
	}
	return fmt.Sprintf("connected to %s, waiting for its first blocks", p.name())
}

// worst returns the log of media without progress for longest; the catalog if there is no other.
func (r *run) worst() (worst *follow) {
	for _, f := range r.logs {
		if !f.ended && (worst == nil || worst.catalog() || f.pushed.Before(worst.pushed)) {
			worst = f
		}
	}
	return worst
}

// remarks says what somebody should know although the channel flows.
func (m *Mesh) remarks() (list []string) {
	if m.run != nil && m.run.fault == nil && !m.publisher() && m.run.started() {
		if n, of := m.orphaned(); n > 0 {
			list = append(list, fmt.Sprintf("%d of %d stripes have no sender: the channel needs a relay, or a lower rendition", n, of))
		}
	}
	if m.publisher() && m.now.Sub(m.source.lost) < 10*time.Second && !m.source.lost.IsZero() {
		list = append(list, "some blocks did not spread: the nodes that got them first were passed over")
	}
	switch {
	case m.banned == 1:
		list = append(list, "a node was shut out for what it sent: "+m.lastRefused())
	case m.banned > 1:
		list = append(list, fmt.Sprintf("nodes were shut out for what they sent, %d times; the last time %s", m.banned, m.lastRefused()))
	}
	return list
}

// orphaned counts the stripes that nobody has sent for a while.
func (m *Mesh) orphaned() (n, of int) {
	for _, f := range m.run.media() {
		for i := range f.stripes {
			of++
			if s := &f.stripes[i]; s.parent == nil && m.now.Sub(s.lost) > 5*time.Second {
				n++
			}
		}
	}
	return n, of
}

// lastRefused says who was shut out last, and why.
func (m *Mesh) lastRefused() string {
	r := m.refused[len(m.refused)-1]
	return named(r.Role, r.Addr) + " " + r.Why
}
