package node

import "tailcast/feed"

// condemn lists what signers did against the rules. What is live stalls then until the next epoch comes: what was verified is still there,
// and fresh for some seconds more, but nothing follows.
func (s *Status) condemn(r *feed.Replica) {
	s.Faults = []Fault{}
	current := r.Current()
	for _, e := range r.Epochs() {
		f := e.Fault()
		if f == nil {
			continue
		}
		s.Faults = append(s.Faults, Fault{
			Epoch: e.ID().String(), Log: f.LogName(), Index: f.Index, Kind: f.Kind().String(), Reason: f.Reason(),
		})
		if e == current && s.State != StateEnded {
			s.State, s.Reason = StateStalled, f.Reason()
		}
	}
}
