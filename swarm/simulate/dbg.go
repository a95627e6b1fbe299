package simulate

import "fmt"

func (w *World) dumpSource() {
	src := w.source()
	l := src.newest.media
	for st := range uint8(l.stripes) {
		fmt.Printf("%v stripe %d:", w.now(), st)
		for _, s := range src.open {
			c := w.conns[s.conn]
			if !c.fed[1-s.end].has(l, st) {
				continue
			}
			n := w.nodes[c.nodes[1-s.end]]
			kids := 0
			for _, x := range n.open {
				if w.conns[x.conn].fed[1-x.end].has(l, st) {
					kids++
				}
			}
			fmt.Printf("  child %d up %.1f newest %d kids %d noup %v;", n.index, n.uplink/4e6, newest(n.holding(l), l, st), kids, n.flags)
		}
		have := 0
		for _, n := range w.alive(viewerNode, anchorNode) {
			if newest(n.holding(l), l, st)+uint64(2*l.stripes) > uint64(len(l.blocks)) {
				have++
			}
		}
		fmt.Printf(" fresh at %d of %d\n", have, len(w.alive(viewerNode, anchorNode)))
	}
}

func (w *World) dumpQueues() {
	src := w.source()
	h := w.net.Host(src.index)
	wait, flying := 0, 0
	for _, s := range src.open {
		o := &w.conns[s.conn].out[s.end]
		wait += len(o.waiting)
		if o.busy { flying++ }
	}
	up, sl, us := src.policy.(figures).Figures()
	fmt.Printf("%v source: sessions %d sent %v backlog %v waiting pushes %d busy %d est %.2f slots %d/%d blocks %d\n", w.now(), len(src.open), h.Sent, h.Backlog(), wait, flying, float64(up)/4e6, us, sl, len(src.newest.media.blocks))
}
