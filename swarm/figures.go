package swarm

// Figures returns what a Mesh believes its uplink carries, in bits per second on the wire (0: not known yet), how many stripes it can push, and
// how many it pushes. HELLO says so to peers.
func (m *Mesh) Figures() (uplink uint64, slots, used int) {
	return uint64(8 * m.up.rate()), m.slots(), m.used()
}
