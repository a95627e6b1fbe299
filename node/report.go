package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tailcast/feed"
	"tailcast/quicwire"
	"tailcast/swarm"
)

// Status tells how the node does, now.
func (c *Channel) Status() Status {
	sw := c.now()
	c.watch.look(c.rendition())
	s := Status{
		Role: c.host.cfg.Role.String(), Link: c.link.String(), LAN: c.host.LAN(), Uptime: c.host.Uptime().Seconds(),
		Lag:   Lag{P50: sw.LagP50.Seconds(), P99: sw.LagP99.Seconds()},
		Peers: c.host.peers(sw.Peers),
		Bytes: Bytes{Sent: traffic(sw.Sent), Received: traffic(sw.Received), WireSent: sw.WireSent, WireReceived: sw.WireReceived},
		Blocks: Blocks{
			Verified: sw.Blocks.Verified, Rejected: sw.Blocks.Rejected, Missed: sw.Blocks.Missed,
			Duplicate: sw.Blocks.Duplicate, Repaired: sw.Blocks.Repaired,
			ByOthers: sw.Blocks.ByOthers,
		},
		Stripes: stripesOf(sw.Stripes), Refused: refusedBy(sw.Refused),
	}
	c.describe(&s)
	s.Upload, s.Notes = upload(&sw), append([]string{}, sw.Notes...)
	s.State, s.Reason = c.watch.verdict(sw.Clocks, sw.Ahead)
	s.Flow, s.Silent, s.ClockError = sw.Reason, c.watch.silent().Seconds(), clockError(sw.Clocks).Seconds()
	if s.State != StateLive && s.State != StateEnded && sw.Reason != "" {
		s.Reason = sw.Reason
	}
	if why := c.missing(); why != "" {
		s.State, s.Reason = StateWaiting, why
	}
	s.condemn(c.cfg.Replica)
	c.restrain(&s)
	if h := c.cfg.Replica.Stored(); !h.From.IsZero() { // there is more than a catalog
		s.History = &Stored{From: h.From.UTC(), Bytes: h.Bytes, Short: h.Short}
	}
	if err := c.cfg.Replica.DiskError(); err != nil {
		s.DiskError = err.Error()
	}
	s.Audience = c.audience.now(c.host, &sw, &s)
	if c.ingest != nil {
		c.report(&s)
		if s.State == StateWaiting || s.State == StateStarting {
			s.Reason = "waiting for media from " + cmp.Or(s.Ingest.Input, "an encoder")
		}
	}
	c.warnOfNote(&s)
	return s
}

// report fills in how the inputs do.
func (c *Channel) report(s *Status) {
	list := c.ingest()
	if s.Ingest = list[0]; len(list) > 1 {
		s.Inputs = list
	}
}

// restrain fills in what we allow ourselves.
func (c *Channel) restrain(s *Status) {
	up, paused := c.limits()
	s.Upload.Limit = up
	if paused != "" {
		s.State, s.Reason = StateStalled, paused
	}
}

func upload(sw *swarm.Status) Upload {
	u := Upload{Uplink: sw.Uplink, Slots: sw.Slots, Used: sw.Used, Children: sw.Children, Missing: sw.Missing}
	for _, p := range sw.Peers {
		u.Rate += p.Up
		if sw.Children == 0 && p.Stripes > 0 && !p.Parent {
			u.Children++
		}
	}
	return u
}

// shown is the epoch that this node shows: of a streamer its own, else the newest that says what it consists of. A note alone is nothing to see
// yet. Nil if there is none.
func (c *Channel) shown() *feed.Epoch {
	if c.host.cfg.Role == Streamer {
		if e := c.cfg.Replica.Epoch(c.now().Epoch.ID); e != nil && hasState(e) {
			return e
		}
		return nil
	}
	for _, e := range c.cfg.Replica.Epochs() {
		if hasState(e) {
			return e
		}
	}
	return nil
}

func hasState(e *feed.Epoch) bool {
	_, ok := e.State()
	return ok
}

// rendition is the log that this node watches: of what was chosen, the best one. Nil if there is none yet.
func (c *Channel) rendition() *feed.Log {
	e, name := c.shown(), c.Chosen()
	if e == nil || name == "" {
		return nil
	}
	log, err := e.Log(name)
	if err != nil {
		return nil
	}
	return log
}

// warnOfNote fills in when the channel note ends, and for who can do something about it a warning.
func (c *Channel) warnOfNote(s *Status) {
	e := c.cfg.Replica.Current()
	if e == nil {
		return
	}
	expires := e.Channel().NotAfter
	s.NoteExpires = &expires
	if c.host.cfg.Role == Streamer {
		s.Reason += noteWarning(time.Until(expires))
	}
}

// noteWarning is what a broadcaster should hear besides, while the channel note is about to end.
func noteWarning(left time.Duration) string {
	if left > feed.NoteWarning || left < 0 { // what has expired is the reason itself
		return ""
	}
	return fmt.Sprintf("; the channel note ends in %d days: renew it with the root key (streamer key renew)", int(left/(24*time.Hour)))
}

// describe fills in what the newest epoch says of itself.
func (c *Channel) describe(s *Status) {
	s.Renditions = []Rendition{}
	e := c.shown()
	if e == nil {
		return
	}
	state, _ := e.State()
	s.Title, s.Guide = state.Title, guideOf(state.Guide, time.Now())
	chosen, followed := c.choice.of(state.Renditions)
	for _, r := range state.Renditions {
		log, err := e.Log(r.Name)
		if err != nil {
			continue
		}
		s.Renditions = append(s.Renditions, Rendition{
			Name: r.Name, Epoch: e.ID().String(), Head: log.Head().Size, Base: log.Base(), Bitrate: r.Bitrate, Codecs: r.Codecs,
			Width: r.Width, Height: r.Height, Chosen: r.Name == chosen, Followed: slices.Contains(followed, r.Name),
			Kept: kept(c.cfg.Replica, r.Name),
		})
		if c.host.cfg.Role == Streamer {
			s.Bytes.Appended += appended(log)
		}
	}
}

// kept says what of a rendition can be watched again; nil if that is nothing.
func kept(r *feed.Replica, name string) *Kept {
	from, to, ok := r.Kept(name)
	if !ok {
		return nil
	}
	return &Kept{from.UTC(), to.UTC()}
}

// guideOf is what of a guide has not ended.
func guideOf(list []feed.Programme, now time.Time) (out []Programme) {
	for i, p := range list {
		q := Programme{Start: p.Start.UTC(), Title: p.Title, Text: p.Text, Language: p.Language}
		switch end := p.Start.Add(p.Duration).UTC(); {
		case p.Duration > 0:
			q.End = &end
		case i+1 < len(list):
			end = list[i+1].Start.UTC()
			q.End = &end
		}
		if q.End == nil || q.End.After(now) {
			out = append(out, q)
		}
	}
	return out
}

// appended is the payload of all records of log.
func appended(log *feed.Log) uint64 {
	size := log.Head().Size
	if size == 0 {
		return 0
	}
	b, err := log.Block(size - 1)
	if err != nil {
		return 0
	}
	return b.Record.Offset + uint64(b.Record.Length)
}

func (h *Host) peers(list []swarm.Peer) []Peer {
	out := make([]Peer, 0, len(list))
	for _, p := range list {
		out = append(out, Peer{
			ID: p.ID, Addr: p.Addr, Role: p.Role.String(), Inner: h.isInner(p), Path: wayTo(p.Addr, p.Role), Inbound: p.Inbound, Parent: p.Parent,
			RTT: float64(p.RTT.Microseconds()) / 1000, Up: p.Up, Down: p.Down, Lag: lagSeconds(p.Lag), Stripes: p.Stripes,
			Fed: p.Fed, Blocks: p.Blocks, Repairs: p.Repairs,
		})
	}
	return out
}

// wayTo says for people where a peer is.
func wayTo(addr string, role Role) string {
	at, err := netip.ParseAddrPort(addr)
	ip := at.Addr().Unmap()
	switch {
	case role == Relay:
		return "relay"
	case err == nil && ip.IsLoopback():
		return "this machine"
	case err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast()):
		return "lan"
	}
	return "direct"
}

func stripesOf(list []swarm.Stripe) []Stripe {
	out := make([]Stripe, 0, len(list))
	for _, s := range list {
		out = append(out, Stripe(s))
	}
	return out
}

func refusedBy(list []swarm.Refused) []Refused {
	out := make([]Refused, 0, len(list))
	for _, r := range list {
		out = append(out, Refused{r.ID, r.Addr, r.Role.String(), r.Why, r.At.UTC()})
	}
	return out
}

// lagSeconds is null for a peer with which nothing flows.
func lagSeconds(lag time.Duration) *float64 {
	if lag >= quicwire.NoLag {
		return nil
	}
	s := lag.Seconds()
	return &s
}

func traffic(b quicwire.Bytes) Traffic {
	return Traffic{Media: b.Media, Proofs: b.Proofs, Control: b.Control, Repair: b.Repair}
}
