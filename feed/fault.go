package feed

import (
	"errors"
	"fmt"
	"slices"
)

// A Fault says what a signer did against the rules. It condemns the epoch: nobody follows it live any more, and only a higher one goes on.
// What was verified before stays good.
type Fault struct {
	Origin string     // of the log
	Index  uint64     // of that log: nothing from here on is taken in. Records below can be trusted as before
	Cause  error      // wraps ErrRule or ErrFork
	Proof  FaultProof // for others to check; nil if what is held here does not make one
}

func (f *Fault) Error() string { return fmt.Sprintf("record %d of %s: %v", f.Index, f.Origin, f.Cause) }
func (f *Fault) Unwrap() error { return f.Cause }

// Kind says what was done.
func (f *Fault) Kind() FaultKind {
	switch {
	case f.Proof != nil:
		return f.Proof.Kind()
	case errors.Is(f.Cause, ErrRule):
		return KindRule
	}
	return KindFork
}

// LogName returns the name of the log.
func (f *Fault) LogName() string {
	_, _, log, _ := ParseOrigin(f.Origin)
	return log
}

// Reason says in a sentence for people what was done, and what follows.
func (f *Fault) Reason() string {
	return f.what() + "; nobody follows this run of the channel any further, but the next one"
}

func (f *Fault) what() string {
	switch f.Kind() {
	case KindFork:
		return fmt.Sprintf("the broadcaster's key signed two different histories of %s", f.LogName())
	case KindAnchor:
		return fmt.Sprintf("the broadcaster's catalog names another history of %s than the one that is signed", f.LogName())
	}
	return fmt.Sprintf("the broadcaster signed record %d of %s against the rules (%v)", f.Index, f.LogName(), f.Cause)
}

// Files of an epoch with a fault.
const (
	faultFile        = "fault.proof"
	faultDamagedFile = "fault.damaged"
)

// AddFault verifies a proof that the signer of e broke the rules, and condemns e. It returns false if a proof is known already: one is
// enough, so the first one is kept. The error wraps ErrNoFault if the proof proves nothing; whoever made it up is a liar then.
func (e *Epoch) AddFault(p FaultProof) (fresh bool, err error) {
	fault, err := e.verifyFault(p)
	if err != nil {
		return false, err
	}
	if known := e.Fault(); known != nil && known.Proof != nil {
		return false, nil
	}
	if l := e.lookup(fault.LogName()); l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.condemn(fault), nil
	}
	return e.condemn(fault), nil
}

// verifyFault returns what a proof says of e.
func (e *Epoch) verifyFault(p FaultProof) (*Fault, error) {
	root, _, _, err := ParseOrigin(p.Log())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFault, err)
	}
	if root != e.note.Root {
		return nil, fmt.Errorf("%w: the origin is of another channel", ErrNoFault)
	}
	if err := p.Verify(e.note.Key); err != nil {
		return nil, err
	}
	f := &Fault{Origin: p.Log(), Proof: p}
	switch p := p.(type) {
	case *RuleProof:
		f.Index, f.Cause = p.Index, fmt.Errorf("%w: %w", ErrRule, p.breaks())
	case *ForkProof:
		f.Cause = fmt.Errorf("%w: heads of sizes %d and %d", ErrFork, p.A.Size, p.B.Size)
	case *AnchorProof:
		f.Cause = fmt.Errorf("%w: record %d of the catalog anchors another root of size %d", ErrFork, p.Index, p.Head.Size)
	}
	return f, nil
}

// condemn notes the fault of a log. Below what a fork was verified up to, everything stays as it is, and so do records before one that
// breaks a rule. It returns whether the epoch has a proof now, and had none.
func (l *Log) condemn(f *Fault) (fresh bool) {
	if f.Kind() != KindRule {
		f.Index = max(l.head.Size, l.edge.Size())
	}
	if l.fault == nil || f.Index < l.fault.Index {
		l.fault = f
	}
	fresh = l.epoch.condemn(f)
	l.notify()
	return fresh
}

// condemn keeps the first fault of the epoch that there is a proof of; until there is one, the first.
func (e *Epoch) condemn(f *Fault) (fresh bool) {
	e.mu.Lock()
	known := e.fault
	if fresh = known == nil || known.Proof == nil && f.Proof != nil; fresh {
		e.fault = f
	}
	if known == nil {
		close(e.condemned)
	}
	e.mu.Unlock()
	if !fresh {
		return false
	}
	r := e.replica
	if known == nil {
		r.cfg.Logger.Error("the signer of a channel broke a rule; waiting for its next epoch", "log", f.Origin, "kind", f.Kind().String(), "index", f.Index, "err", f.Cause)
	}
	if e.dir != "" && r.disk != nil && !e.readOnly() && f.Proof != nil {
		r.disk.later(func() { e.saveFault(f.Proof) })
	}
	r.notify()
	return f.Proof != nil
}

// Fault returns what condemned the epoch, nil if nothing did.
func (e *Epoch) Fault() *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault
}

// saveFault writes a proof beside the notes by which it can be checked. Called by the disk goroutine.
func (e *Epoch) saveFault(p FaultProof) {
	b, err := EncodeFault(p)
	if err == nil {
		err = e.save()
	}
	if err == nil {
		err = e.replica.files.WriteFile(e.dir+"/"+faultFile, b)
	}
	if err != nil {
		e.replica.cfg.Logger.Error("couldn't store the proof of a fault; after a restart it must come from other nodes", "epoch", e.ID().String(), "err", err)
	}
}

// loadFault takes in the proof that an earlier run left. One that does not verify is put aside: it condemns nobody.
func (e *Epoch) loadFault(names []string) {
	if !slices.Contains(names, faultFile) {
		return
	}
	name := e.dir + "/" + faultFile
	b, err := e.replica.files.ReadFile(name, 2*MaxFaultProof)
	if err == nil {
		err = e.restoreFault(b)
	}
	if err == nil {
		return
	}
	e.replica.cfg.Logger.Warn("what is stored as the proof of a fault proves nothing; it is put aside beside it", "file", name, "err", err)
	if !e.readOnly() && !e.replica.cfg.ReadOnly && len(b) <= 2*MaxFaultProof {
		if err := e.replica.files.WriteFile(e.dir+"/"+faultDamagedFile, b); err != nil {
			e.replica.cfg.Logger.Warn("couldn't put it aside", "err", err)
		}
	}
}

// restoreFault verifies a stored proof. One of a later version is left alone.
func (e *Epoch) restoreFault(b []byte) error {
	p, err := ParseFault(b)
	if err == nil {
		_, err = e.AddFault(p)
	}
	if errors.Is(err, ErrUnknownFault) {
		return nil
	}
	return err
}
