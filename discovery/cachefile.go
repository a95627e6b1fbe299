package discovery

import (
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The file is a JSON object, of mode 0600 since it tells whom somebody has met:
//
//	{"peers":[
//	  {"addr":"1.2.3.4:4433","node":"<52 characters>","role":"relay","seen":"2026-01-02T15:04:05Z"},
//	  {"addr":"192.168.1.7:4433","role":"viewer","seen":"2026-01-02T15:04:05Z","network":"<16 characters>"}],
//	 "uplinks":[
//	  {"network":"<16 characters>","bps":12000000,"seen":"2026-01-02T15:04:05Z"}]}
//
// Newest first. A network is what NetworkName says, or "none"; a peer has one if its address is good on that network alone.
type cacheJSON struct {
	Peers   []entryJSON  `json:"peers"`
	Uplinks []uplinkJSON `json:"uplinks"`
}

type entryJSON struct {
	Addr    netip.AddrPort `json:"addr"`
	Node    string         `json:"node,omitempty"` // base32 in lower case, as in links
	Role    string         `json:"role"`
	Seen    time.Time      `json:"seen"`
	Network string         `json:"network,omitempty"`
}

type uplinkJSON struct {
	Network string    `json:"network"`
	Rate    uint64    `json:"bps"`
	Seen    time.Time `json:"seen"`
}

// maxFile is above what 64 peers and 8 uplinks take.
const maxFile = 32 << 10

// maxWord bounds roles and names of networks, which are ours and shorter.
const maxWord = 32

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// parse reads the file's content; after an error nothing of it counts.
func (c *Cache) parse(text []byte) error {
	var j cacheJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	var entries []Entry
	for _, p := range j.Peers {
		e, err := p.entry()
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	var uplinks []uplink
	for _, u := range j.Uplinks[:min(len(j.Uplinks), maxUplinks)] {
		if len(u.Network) > maxWord {
			return errors.New("the name of a network is too long")
		}
		uplinks = append(uplinks, uplink{u.Network, u.Rate, u.Seen})
	}
	c.entries, c.uplinks, c.text = distinct(entries), uplinks, text
	return nil
}

func (p *entryJSON) entry() (Entry, error) {
	e := Entry{Addr: p.Addr, Role: p.Role, Seen: p.Seen, network: p.Network}
	if !p.Addr.IsValid() || p.Addr.Port() == 0 || len(p.Role) > maxWord || len(p.Network) > maxWord || len(p.Addr.Addr().Zone()) > maxWord {
		return Entry{}, fmt.Errorf("%v is no peer", p.Addr)
	}
	if p.Node == "" {
		return e, nil
	}
	key, err := keyEncoding.DecodeString(p.Node)
	if err != nil || len(key) != 32 || strings.ContainsAny(p.Node, "\r\n") {
		return Entry{}, fmt.Errorf("the node key of %v is none", p.Addr)
	}
	e.Node = key
	return e, nil
}

// marshal returns the file's content.
func (c *Cache) marshal() ([]byte, error) {
	j := cacheJSON{Peers: []entryJSON{}, Uplinks: []uplinkJSON{}}
	for _, e := range c.entries {
		j.Peers = append(j.Peers, entryJSON{e.Addr, keyEncoding.EncodeToString(e.Node), e.Role, second(e.Seen), e.network})
	}
	for _, u := range c.uplinks {
		j.Uplinks = append(j.Uplinks, uplinkJSON{u.network, u.rate, second(u.seen)})
	}
	text, err := json.Marshal(j)
	return append(text, '\n'), err
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
