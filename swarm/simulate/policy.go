package simulate

import (
	"tailcast/quicwire"
	"tailcast/swarm"
)

// newMesh makes the policy that the commands have.
func newMesh(c NodeConfig) *swarm.Mesh {
	return swarm.NewMesh(swarm.MeshConfig{
		Self: c.Self, Node: c.Node, Role: c.Role, Anchors: c.Anchors, Pinned: c.Pinned, NoShare: c.NoShare, Known: c.Known, Copies: c.Copies,
		Shelf: c.Shelf, Silence: c.Silence, Seed: c.Seed,
		Sign: func(r quicwire.PeerRecord) quicwire.PeerRecord { // nobody verifies it here
			r.Node = c.Node
			return r
		},
	})
}

// figures are what a policy says of itself, as swarm.Mesh does.
type figures interface {
	Figures() (uplink uint64, slots, used int)
}

// limits returns what a node's HELLO says of it.
func (w *World) limits(n *node) (l quicwire.Limits) {
	if f, ok := n.policy.(figures); ok && n.flags&quicwire.NoUpload == 0 {
		uplink, slots, used := f.Figures()
		l.Uplink, l.Slots = uplink, uint32(max(0, slots-used))
	}
	return l
}
