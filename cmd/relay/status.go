package main

import (
	"fmt"
	"strings"

	"tailcast/node"
)

// status is the answer of GET /api/v1/status: what each channel says, and the sums.
type status struct {
	Role     string        `json:"role"`
	Node     string        `json:"node"` // the node key
	Uptime   float64       `json:"uptime_s"`
	State    node.State    `json:"state"`  // live if any channel is
	Reason   string        `json:"reason"` // the first sentence of the page
	Channels []channel     `json:"channels"`
	Bytes    node.Bytes    `json:"bytes"`
	Blocks   node.Blocks   `json:"blocks"`
	Upload   node.Upload   `json:"upload"`
	Peers    int           `json:"peers"` // sessions of all channels
	Monthly  monthlyStatus `json:"monthly"`
	Disk     diskStatus    `json:"disk"`
	Notes    []string      `json:"notes"`
}

type monthlyStatus = node.MonthlyStatus

// channel is one channel's part: what any node says of its channel, and whose it is.
type channel struct {
	Key string `json:"key"`
	node.Status
}

// diskStatus is what is kept of all channels.
type diskStatus struct {
	Bytes    int64 `json:"bytes"`
	Leftover int64 `json:"leftover_bytes"` // of channels that are not seeded any more
	Limit    int64 `json:"limit_bytes"`    // 0: none
}

// status tells how the relay does, now.
func (r *relay) status() status {
	s := status{
		Role: node.Relay.String(), Node: r.host.Node().String(), Uptime: r.host.Uptime().Seconds(), State: node.StateWaiting,
		Channels: []channel{}, Monthly: r.monthly.Status(), Notes: []string{},
	}
	for _, m := range r.list() {
		s.add(channel{m.link.Root.String(), m.channel.Status()})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Upload.Limit = r.allowed
	s.Disk.Limit, s.Disk.Leftover = r.limits.disk, r.leftover
	s.Monthly.UsedUp = r.paused != ""
	s.Reason = s.sentence(r.paused)
	if r.limits.up > 0 && r.allowed < r.limits.up && r.paused == "" {
		s.Notes = append(s.Notes, fmt.Sprintf("%s are allowed instead of %s, so that the %s of this month last until its end.",
			rate(float64(r.allowed)), rate(float64(r.limits.up)), amount(s.Monthly.Limit)))
	}
	return s
}

// best orders states by how well it goes.
var best = []node.State{node.StateLive, node.StateStarting, node.StateStalled, node.StateWaiting, node.StateEnded}

func better(a, b node.State) node.State {
	for _, s := range best {
		if a == s || b == s {
			return s
		}
	}
	return a
}

// add takes in a channel.
func (s *status) add(c channel) {
	if len(s.Channels) == 0 {
		s.State = c.State
	}
	s.Channels = append(s.Channels, c)
	s.State = better(s.State, c.State)
	s.Peers += len(c.Peers)
	s.Bytes.Add(c.Bytes)
	s.Blocks.Add(c.Blocks)
	s.Upload.Add(c.Upload)
	if c.History != nil {
		s.Disk.Bytes += c.History.Bytes
	}
}

// live counts the channels that are.
func (s *status) live() (n int) {
	for _, c := range s.Channels {
		if c.State == node.StateLive {
			n++
		}
	}
	return n
}

// sentence says how it goes, and stands first on the page: "Seeding 3 channels to 41 peers; 12.3 Mbit/s of 50 allowed; 1.2 TB of 5 TB this month."
func (s *status) sentence(paused string) string {
	if paused != "" {
		return "Seeding nothing: " + paused + "."
	}
	if len(s.Channels) == 0 {
		return "Seeding nothing: no channel is listed."
	}
	what := count(len(s.Channels), "channel")
	if n := s.live(); n < len(s.Channels) {
		what = fmt.Sprintf("%d of %s", n, what)
	}
	return fmt.Sprintf("Seeding %s to %s; %s; %s this month.", what, count(s.Upload.Children, "peer"), s.rates(), s.month())
}

func (s *status) rates() string {
	now := rate(s.Upload.Rate)
	if s.Upload.Limit == 0 {
		return now
	}
	limit := rate(float64(s.Upload.Limit))
	if number, unit, _ := strings.Cut(limit, " "); strings.HasSuffix(now, " "+unit) {
		limit = number // the unit is there already
	}
	return now + " of " + limit + " allowed"
}

func (s *status) month() string {
	if s.Monthly.Limit == 0 {
		return amount(s.Monthly.Sent)
	}
	return amount(s.Monthly.Sent) + " of " + amount(s.Monthly.Limit)
}
