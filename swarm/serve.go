package swarm

import (
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/feed/merkle"
	"tailcast/quicwire"
)

// Any node serves what it holds to any node that knows the link. Here is the serving half of Direct.

// heardSub takes a subscription on, or refuses it.
func (d *Direct) heardSub(p *peer, m *quicwire.Sub) {
	key := subKey{m.Log, m.Stripe}
	if why, retry := d.refusal(p, m); why != 0 {
		d.send(p, &quicwire.SubNo{Log: m.Log, Stripe: m.Stripe, Reason: why, Retry: retry})
		return
	}
	if len(p.children) == 0 {
		p.since = d.now
	}
	if !slices.Contains(p.children, key) {
		p.children = append(p.children, key)
	}
	lag, _ := d.lag(m.Log, m.Stripe)
	d.do(Serve{p.id, *m, quicwire.SubOK{Log: m.Log, Stripe: m.Stripe, Lag: lag, Path: d.path(key)}})
}

// refusal returns why a subscription is refused, and when to ask again; 0 if it is not.
func (d *Direct) refusal(p *peer, m *quicwire.Sub) (quicwire.Refusal, time.Duration) {
	held, known := d.cfg.Shelf.Look(m.Log)
	path := d.path(subKey{m.Log, m.Stripe})
	switch {
	case d.cfg.NoShare:
		return quicwire.RefusedUnwilling, shunTime
	case !known:
		return quicwire.RefusedLog, time.Second
	case held.Stripes == 0:
		return quicwire.RefusedNotHeld, time.Second
	case held.Stripes != int(m.Stripes):
		return quicwire.RefusedStripes, shunTime
	case p.role != quicwire.Streamer && slices.Contains(path, quicwire.ShortIDOf(p.key)):
		// A streamer passes nothing on; and two with one copied data directory have one node key, and must see each other's catalog.
		return quicwire.RefusedLoop, 2 * time.Second
	case len(path) >= quicwire.MaxPath:
		return quicwire.RefusedDeep, 5 * time.Second
	case m.Start == quicwire.StartIndex && (m.From > held.Head.Size+maxAhead || m.From > merkle.MaxSize-quicwire.MaxStripes):
		return quicwire.RefusedNotHeld, time.Second
	case len(p.children) == 0 && !d.room(p):
		return quicwire.RefusedBusy, 5 * time.Second
	}
	return 0, 0
}

const (
	maxAhead  = 1024             // blocks after the head that can be subscribed from: some seconds
	idleChild = 10 * time.Second // without taking a block, then its place goes to a newcomer
)

// room reports whether p can be served too. If all places are taken, it makes room: by the child that has taken nothing for longest.
func (d *Direct) room(p *peer) bool {
	n, same := d.served(), 0
	for _, q := range d.peers {
		if len(q.children) > 0 && p.subnet.IsValid() && q.subnet == p.subnet {
			same++
		}
	}
	switch {
	case 4*n >= 3*d.cfg.MaxPeers && 4*same >= d.cfg.MaxPeers:
		return false // late, so that many behind one address are no attack
	case n < d.cfg.MaxPeers:
		return true
	}
	idle := d.idlest()
	if idle == nil {
		return false
	}
	d.drop(idle)
	return true
}

// idlest returns the child that has taken nothing for longest, although there was something to take; nil if all have.
func (d *Direct) idlest() (idle *peer) {
	if d.own == (Epoch{}) && !d.flowing() {
		return nil
	}
	taken := func(p *peer) time.Time {
		if p.fed.After(p.since) {
			return p.fed
		}
		return p.since
	}
	for _, p := range d.peers {
		if len(p.children) > 0 && p.anchor == nil && d.now.Sub(taken(p)) > idleChild && (idle == nil || taken(p).Before(taken(idle))) {
			idle = p
		}
	}
	return idle
}

// drop ends all that is pushed to p.
func (d *Direct) drop(p *peer) {
	for _, key := range p.children {
		held, _ := d.cfg.Shelf.Look(key.log)
		d.do(Stop{p.id, key.log, key.stripe})
		d.send(p, &quicwire.Moved{
			Log: key.log, Stripe: key.stripe, Reason: quicwire.Redrawn, Until: max(held.Head.Size, 1) - 1, Retry: 5 * time.Second,
		})
	}
	p.children = nil
}

// subnetOf returns the part of an address that one owner tends to hold; an invalid one for this machine.
func subnetOf(addr string) netip.Prefix {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || a.Addr().IsLoopback() {
		return netip.Prefix{}
	}
	return subnet(a)
}

// served returns how many peers are served.
func (d *Direct) served() (n int) {
	for _, p := range d.peers {
		if len(p.children) > 0 {
			n++
		}
	}
	return n
}

// path returns the way of a stripe from the source to this node.
func (d *Direct) path(key subKey) []quicwire.ShortID {
	var path []quicwire.ShortID
	if f := d.follow(key.log); f != nil && int(key.stripe) < len(f.stripes) {
		path = f.stripes[key.stripe].path
	}
	return append(slices.Clone(path), d.cfg.Self)
}

// reroute tells those to whom a stripe goes on that its way has changed.
func (d *Direct) reroute(key subKey) {
	path := d.path(key)
	for _, p := range d.peers {
		if slices.Contains(p.children, key) {
			d.do(Reroute{p.id, key.log, key.stripe, path}) // first: a SUBOK that comes after PATH must not say less
			d.send(p, &quicwire.Path{Log: key.log, Stripe: key.stripe, Path: path})
		}
	}
}

func (d *Direct) heardUnsub(p *peer, m *quicwire.Unsub) {
	key := subKey{m.Log, m.Stripe}
	if i := slices.Index(p.children, key); i >= 0 {
		p.children = slices.Delete(p.children, i, i+1)
		d.do(Stop{p.id, key.log, key.stripe})
	}
}

// heardReq lets p have what is held of what it lacks.
func (d *Direct) heardReq(p *peer, m *quicwire.Req) {
	_, known := d.cfg.Shelf.Look(m.Log)
	switch {
	case d.cfg.NoShare:
		d.send(p, &quicwire.Nack{ID: m.ID, Log: m.Log, Reason: quicwire.RefusedUnwilling, Blocks: m.Blocks})
	case !known:
		d.send(p, &quicwire.Nack{ID: m.ID, Log: m.Log, Reason: quicwire.RefusedLog, Blocks: m.Blocks})
	default:
		d.do(Repair{p.id, *m})
	}
}

// heardPing says how a stripe does here.
func (d *Direct) heardPing(p *peer, m *quicwire.Ping) {
	lag, flows := d.lag(m.Log, m.Stripe)
	d.send(p, &quicwire.Pong{
		ID: m.ID, Log: m.Log, Stripe: m.Stripe, Flows: flows, Lag: lag,
		Has: d.has(m.Log, m.Index), Next: d.next(m.Log, m.Stripe),
	})
}

// has reports whether a block is here, as far as Direct knows: it is one that we sign, or it came lately.
func (d *Direct) has(log quicwire.LogID, i uint64) bool {
	if log.Epoch == d.own.ID {
		held, _ := d.cfg.Shelf.Look(log)
		return i >= held.Base && i < held.Head.Size
	}
	f := d.follow(log)
	return f != nil && f.here.has(i)
}

// next returns the index after the newest block of a stripe that is held; 0 if none is, or none near the head.
func (d *Direct) next(log quicwire.LogID, stripe uint8) uint64 {
	held, _ := d.cfg.Shelf.Look(log)
	if held.Head.Size == 0 || held.Stripes == 0 {
		return 0
	}
	step := uint64(held.Stripes)
	i := held.Head.Size - 1
	i -= min(i, (i+step-uint64(stripe)%step)%step)
	for range maxAsked {
		if d.has(log, i) {
			return i + 1
		}
		if i < step {
			break
		}
		i -= step
	}
	return 0
}

// lag returns the lag of the newest block of a stripe here, and whether the stripe flows. What we sign ourselves has no lag and flows.
func (d *Direct) lag(log quicwire.LogID, stripe uint8) (lag time.Duration, flows bool) {
	if log.Epoch == d.own.ID {
		return 0, true
	}
	f := d.run.follow(log)
	if f == nil || int(stripe) >= len(f.stripes) {
		return 0, false
	}
	return f.stripes[stripe].lag, f.flows(d.now)
}

// beat sends statuses: once a second, and soon after something has begun or ceased to flow.
func (d *Direct) beat() {
	flows := d.flowing()
	soon := flows != d.flowed && d.now.Sub(d.lastStatus) >= statusSoon
	if d.now.Before(d.nextStatus) && !soon {
		return
	}
	d.flowed, d.lastStatus, d.nextStatus = flows, d.now, d.now.Add(statusEvery)
	for _, p := range d.peers {
		d.tell(p)
	}
}

// flowing reports whether all that is followed flows.
func (d *Direct) flowing() bool {
	return d.run != nil && len(d.run.logs) > 0 && !slices.ContainsFunc(d.run.logs, func(f *follow) bool { return !f.flows(d.now) })
}

// tell sends p the status of all logs of the epoch that we sign, or else follow. The head itself goes with the first, and always with that
// of the catalog: by it parents are compared.
func (d *Direct) tell(p *peer) {
	if !p.leaving.IsZero() {
		return
	}
	for _, log := range d.logs() {
		held, ok := d.cfg.Shelf.Look(log)
		if !ok || held.Head.Size == 0 || held.Stripes == 0 {
			continue
		}
		m := &quicwire.Status{Log: log, Size: held.Head.Size, Base: held.Base, Slots: d.slots()}
		copy(m.Prefix[:], held.Head.Root[:])
		if !p.told[log] || log.Name == feed.CatalogLog {
			m.Signed = &quicwire.SignedRoot{Root: held.Head.Root, Signature: held.Head.Signature}
			p.told[log] = true
		}
		for i := range held.Stripes {
			lag, flows := d.lag(log, uint8(i))
			if !flows {
				lag = quicwire.NoLag
			}
			m.Lags = append(m.Lags, lag)
		}
		d.send(p, m)
	}
}

// logs returns those whose status is of interest.
func (d *Direct) logs() (list []quicwire.LogID) {
	if d.own != (Epoch{}) {
		list = append(list, quicwire.LogID{Epoch: d.own.ID, Name: feed.CatalogLog})
		for _, v := range d.cfg.Shelf.Renditions(d.own.ID) {
			list = append(list, quicwire.LogID{Epoch: d.own.ID, Name: v.Name})
		}
		return list
	}
	if d.run != nil {
		for _, f := range d.run.logs {
			list = append(list, f.log)
		}
	}
	return list
}

// slots returns how many stripes can still be taken on. Here one peer takes all stripes or none.
func (d *Direct) slots() uint32 {
	if d.cfg.NoShare {
		return 0
	}
	return uint32(max(0, d.cfg.MaxPeers-d.served()) * quicwire.MaxStripes)
}
