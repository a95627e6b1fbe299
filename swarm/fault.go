package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Signers who say two things say them to two parts of the swarm. Here heads are compared with those of neighbours, and proofs of faults are
// taken in and passed on (docs/wire.md, Forks and faults).

// A condemned is an epoch whose signer broke the rules.
type condemned struct {
	epoch Epoch
	fault *feed.Fault
}

// maxCondemned is how many epochs' faults Mesh remembers, the latest: as many as a Replica holds epochs.
const maxCondemned = 4

// condemned takes in that the signer of an epoch broke the rules: nothing of it is followed any more, and who does not know is told.
func (m *Mesh) condemned(e Condemned) {
	m.faults = slices.DeleteFunc(m.faults, func(c condemned) bool { return c.epoch == e.Epoch })
	m.faults = append(m.faults, condemned{e.Epoch, e.Fault})
	if len(m.faults) > maxCondemned {
		m.faults = m.faults[1:]
	}
	if m.run != nil && m.run.epoch == e.Epoch {
		m.condemn(e.Fault)
	}
	if m.old != nil && m.old.epoch == e.Epoch {
		m.retire(m.old)
	}
	for _, p := range m.peers {
		m.showFaults(p)
	}
}

// faultOf returns what condemned an epoch; nil if nothing did.
func (m *Mesh) faultOf(id feed.EpochID) *feed.Fault {
	for _, c := range m.faults {
		if c.epoch.ID == id {
			return c.fault
		}
	}
	return nil
}

// showFaults sends p the proofs that it has neither shown nor been shown: one for each epoch, ever. Those of an epoch that learn has yet to
// show it wait for that: p would skip a proof about an epoch that it does not know.
func (m *Mesh) showFaults(p *peer) {
	for _, c := range m.faults {
		if c.fault.Proof == nil || p.faults[c.epoch.ID] || !p.leaving.IsZero() || c.epoch.Compare(m.epoch) > 0 {
			continue
		}
		p.knowsFault(c.epoch.ID)
		log := quicwire.LogID{Epoch: c.epoch.ID, Name: c.fault.LogName()}
		if x, err := quicwire.FaultMessage(log, c.fault.Proof); err == nil {
			m.send(p, x)
		}
	}
}

// knowsFault notes that p knows why an epoch is condemned. It is bounded by the epochs that we know: others are not asked for.
func (p *peer) knowsFault(id feed.EpochID) {
	if p.faults == nil {
		p.faults = make(map[feed.EpochID]bool)
	}
	p.faults[id] = true
}

// tellFaults tells Mesh of the epochs that were condemned since it was told last.
func (s *Swarm) tellFaults() {
	for _, e := range s.cfg.Replica.Epochs() {
		id, f := e.ID(), e.Fault()
		if f == nil || s.told.faults[id] == f {
			continue
		}
		if s.told.faults == nil || len(s.told.faults) > 2*maxCondemned {
			s.told.faults = make(map[feed.EpochID]*feed.Fault) // to tell again does no harm
		}
		s.told.faults[id] = f
		s.decide(Condemned{epochOf(e), f})
	}
}

// heardFork takes in a proof, or a head that a peer shows since ours looks like another.
func (s *Swarm) heardFork(ctx context.Context, x *session, m *quicwire.Fork) {
	if p := m.Proof(s.cfg.Replica.Root()); p != nil {
		s.heardProof(ctx, x, p)
		return
	}
	e := s.cfg.Replica.Epoch(m.Log.Epoch)
	if e == nil {
		return // of an epoch that we do not know, or know no more
	}
	if !s.signed(e, m.Log, m.A) { // a lie also as long as we do not know that log
		s.post(ctx, Misbehaved{x.id, quicwire.CodeBadBlock, fmt.Sprintf("the head of size %d in a FORK is not signed", m.A.Size)})
		return
	}
	if l := s.shelf.log(m.Log); l != nil {
		_ = s.contradict(l, m.A)
	}
}

// signed reports whether an epoch's key has signed a head of one of its logs.
func (s *Swarm) signed(e *feed.Epoch, log quicwire.LogID, h feed.Head) bool {
	return s.heads.verify(s.cfg.Replica.Root(), e, signedHead{log, h})
}

// heardFault takes in a proof of any kind. One of a later version is skipped.
func (s *Swarm) heardFault(ctx context.Context, x *session, m *quicwire.Fault) {
	p, err := feed.ParseFault(m.Proof)
	switch {
	case err == nil:
		s.heardProof(ctx, x, p)
	case !errors.Is(err, feed.ErrUnknownFault):
		s.post(ctx, Misbehaved{x.id, quicwire.CodeBadBlock, err.Error()})
	}
}

// heardProof verifies a proof and lets the Replica keep it. Who makes one up is a liar.
func (s *Swarm) heardProof(ctx context.Context, x *session, p feed.FaultProof) {
	_, id, _, err := feed.ParseOrigin(p.Log())
	if err != nil {
		return // Fork.Proof and ParseFault give no other
	}
	e := s.cfg.Replica.Epoch(id)
	if e == nil {
		return // of an epoch that we do not know, or know no more
	}
	if _, err := e.AddFault(p); err != nil {
		s.post(ctx, Misbehaved{x.id, quicwire.CodeBadBlock, err.Error()})
		return
	}
	s.post(ctx, FaultHeard{x.id, id})
}

// contradict looks whether what is held proves that a head which a peer has shown is of another history. The error is the peer's fault.
func (s *Swarm) contradict(l *feed.Log, h feed.Head) error {
	p, err := l.Contradicts(h)
	if err != nil || p == nil {
		return err
	}
	if _, err := l.Epoch().AddFault(p); err != nil {
		s.cfg.Logger.Error("two heads contradict each other, but make no proof", "log", l.Origin(), "size", h.Size, "err", err)
	}
	return nil
}

// noRecord looks whether the signer has signed what a peer sent in place of a record. The session has ended already: no honest node sends it.
func (s *Swarm) noRecord(l *feed.Log, err error) {
	var bad *quicwire.RecordError
	if !errors.As(err, &bad) {
		return
	}
	p := &feed.RuleProof{
		Origin: l.Origin(), Index: bad.Index, Frontier: slices.Clone(bad.Frontier.Peaks()), Record: bad.Record, Signature: bad.Signature,
	}
	if _, err := l.Epoch().AddFault(p); err != nil {
		s.cfg.Logger.Debug("a peer sent bytes that are no record, and that nobody signed", "log", l.Origin(), "err", err)
	}
}

// How often heads are compared for one peer: a look may read the disk.
const (
	compareRate  = 8 // a second
	compareBurst = 32
	showEvery    = 5 * time.Second // a head to a peer that claims another
)

// compare compares what a peer says it has with what we have. Signatures are verified already.
func (s *Swarm) compare(x *session, m *quicwire.Status) {
	l := s.shelf.log(m.Log)
	if l == nil || m.Size == 0 || m.Size > l.Head().Size || x.compared[m.Log] == m.Size {
		return
	}
	if f := l.Epoch().Fault(); f != nil || !x.compares.Allow() {
		return
	}
	own, ok := l.HeadAt(m.Size)
	if ok {
		x.remembers(m)
	}
	switch {
	case ok && [8]byte(own.Root[:8]) == m.Prefix:
	case m.Signed != nil:
		_ = s.contradict(l, feed.Head{Size: m.Size, Root: m.Signed.Root, Signature: m.Signed.Signature})
	case ok && time.Since(x.showed) >= showEvery:
		x.showed = time.Now()
		s.send(x, &quicwire.Fork{Log: m.Log, A: own})
	}
}

// remembers notes what was compared last: a neighbour that stands still says the same each second.
func (x *session) remembers(m *quicwire.Status) {
	if len(x.compared) > 2*maxCondemned*feed.MaxLogs {
		clear(x.compared) // those of epochs long gone, for the most part
	}
	x.compared[m.Log] = m.Size
}
