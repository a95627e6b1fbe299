package simulate

// An Attack is what hostile nodes do.
type Attack string

// makeHostile makes an attacker of a person.
func (w *World) makeHostile(p *person) { p.kind, p.attack = hostileNode, w.cfg.Attack }

// pollutes reports whether what a node passes on does not verify.
func (n *node) pollutes() bool { return n.kind == hostileNode && n.attack == "polluter" }

// remembers reports whether a node has turned away from an epoch.
func (n *node) remembers(e *epoch) bool { return false }
