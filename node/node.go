package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"tailcast/feed"
	"tailcast/quicwire"
)

// Role is what a node is for; other nodes and the status show it.
type Role = quicwire.Role

// The roles of our commands.
const (
	Streamer = quicwire.Streamer
	Relay    = quicwire.Relay
	Viewer   = quicwire.Viewer
)

// Config is what a command with one channel hands over to become a node.
type Config struct {
	Role    Role
	Flags   *Flags
	Channel ChannelConfig      // Up is filled in from the flags
	Key     ed25519.PrivateKey // If nil, a new one for this start
	Logger  *slog.Logger
}

// Node is one node of one channel, as streamers and viewers are: a Host that serves this alone.
type Node struct {
	*Host
	channel *Channel
}

// New opens the sockets. Run closes them.
func New(cfg Config) (*Node, error) {
	host, err := NewHost(HostConfig{Role: cfg.Role, Flags: cfg.Flags, Key: cfg.Key, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	cfg.Channel.Up = cfg.Flags.Up.Bits
	channel, err := host.join(cfg.Channel, host.metrics)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return &Node{host, channel}, nil
}

// Ready says that the node is up; more is what the command itself wants to say.
func (n *Node) Ready(more Ready) Ready {
	more.Role, more.Link, more.HTTP = n.cfg.Role.String(), n.channel.link.String(), n.URL()
	more.Listen = n.Addrs()
	return more
}

// Ingest lets the status tell how the inputs do, best rendition first; call it before Run.
func (n *Node) Ingest(status func() []*Ingest) { n.channel.Ingest(status) }

// Status tells how the node does, now.
func (n *Node) Status() Status { return n.channel.Status() }

// Superseded tells a streamer whether a higher epoch of its channel has turned out to be live.
func (n *Node) Superseded() bool { return n.channel.Superseded() }

// Run serves until ctx ends; page answers what the node does not, and others are below /c/<id>/. It returns an error that ends the command, or ctx's.
func (n *Node) Run(ctx context.Context, page http.Handler, others map[string]Face) error {
	defer n.channel.Close()
	face := n.channel.Face(page)
	face.Channels = others
	return n.Host.Run(ctx, face, n.channel.Run)
}

// LinkArguments reads the LINKs of a command line. The same channel twice is one.
func LinkArguments(args []string) (links []feed.Link, err error) {
	for _, arg := range args {
		link, err := feed.ParseLink(strings.TrimSpace(arg))
		if err != nil {
			return nil, Usagef("%v", err)
		}
		if slices.ContainsFunc(links, func(l feed.Link) bool { return l.Root == link.Root }) {
			return nil, Usagef("channel %s is named twice", ShortRoot(link.Root))
		}
		links = append(links, link)
	}
	return links, nil
}

// Announce prints the facts on stdout.
func (f *Flags) Announce(r Ready) error { return r.Print(os.Stdout, f.JSON) }
