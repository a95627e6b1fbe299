package quicwire

import "tailcast/feed"

// Fault (0x12) passes on the proof that the signer of an epoch broke the rules, as feed.EncodeFault makes it. What a Fork can carry goes
// by Fork.
type Fault struct {
	Proof []byte // at most feed.MaxFaultProof
}

func (m *Fault) spec() *spec { return specFault }

func (m *Fault) fields(c *codec) { c.text(&m.Proof, feed.MaxFaultProof) }

// FaultMessage returns the message that carries a proof about a log.
func FaultMessage(log LogID, p feed.FaultProof) (Message, error) {
	if f, ok := p.(*feed.ForkProof); ok {
		return &Fork{Log: log, A: f.A, B: &f.B, Frontier: f.Frontier, Cover: f.Cover}, nil
	}
	b, err := feed.EncodeFault(p)
	return &Fault{Proof: b}, err
}
