package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tailcast/feed"
	"tailcast/internal/durable"
	"tailcast/node"
)

// channelsFile is the list of channels that a viewer without a LINK watches, below its data directory.
const channelsFile = "channels.toml"

// maxChannels bounds the list, and what one viewer watches.
const maxChannels = 200

// A channel is an entry of the list.
type channel struct {
	Link  string `toml:"link" json:"link"`
	Name  string `toml:"name,omitempty" json:"name,omitempty"`   // as television software shows it; if empty, as the broadcaster says
	Group string `toml:"group,omitempty" json:"group,omitempty"` // group-title
	Logo  string `toml:"logo,omitempty" json:"logo,omitempty"`   // URL

	link feed.Link
}

// id is how pages and metrics name the channel.
func (c *channel) id() string { return node.ShortRoot(c.link.Root) }

// A channelList is the file.
type channelList struct {
	Channels []channel `toml:"channel"`
}

// readChannels reads the list in dir. None there is an empty one, and so is one that is damaged.
func readChannels(dir string) (channelList, error) {
	path := filepath.Join(dir, channelsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return channelList{}, nil
	} else if err != nil {
		return channelList{}, node.Configuration(err)
	}
	list, err := parseChannels(text)
	if err != nil {
		return channelList{}, node.Configuration(fmt.Errorf("%s: %w", path, err))
	}
	return list, nil
}

func parseChannels(text []byte) (list channelList, err error) {
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&list); err != nil {
		return list, err
	}
	if len(list.Channels) > maxChannels {
		return list, fmt.Errorf("%d channels, at most %d", len(list.Channels), maxChannels)
	}
	for i := range list.Channels {
		c := &list.Channels[i]
		if c.link, err = feed.ParseLink(c.Link); err == nil {
			err = c.check()
		}
		if err != nil {
			return list, fmt.Errorf("channel %d: %w", i+1, err)
		}
		if list.find(c.link.Root) != i {
			return list, fmt.Errorf("channel %s is there twice", c.id())
		}
	}
	return list, nil
}

// find returns the place of a channel, -1 if it is not listed.
func (l *channelList) find(root feed.PublicKey) int {
	return slices.IndexFunc(l.Channels, func(c channel) bool { return c.link.Root == root })
}

func (l *channelList) write(dir string) error {
	text, err := toml.Marshal(l)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return node.Configuration(err)
	}
	return node.Configuration(durable.WriteFile(filepath.Join(dir, channelsFile), text, 0o600))
}

// channelsCommand finds the list where the viewer does: it reads the same environment and --config, with whatever else these set for a viewer.
func channelsCommand() *cobra.Command {
	o, all := &options{}, pflag.NewFlagSet("viewer", pflag.ContinueOnError)
	o.register(all)
	cmd := &cobra.Command{
		Use:               "channels",
		Short:             "The channels that a viewer without a LINK watches, and lists for television software",
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return o.Load() },
	}
	for name, usage := range map[string]string{"data": "directory of the list", "config": "TOML `file` with the flags of viewers, of which this heeds data"} {
		flag := all.Lookup(name)
		flag.Usage = usage
		cmd.PersistentFlags().AddFlag(flag)
	}
	cmd.AddCommand(addCommand(&o.Data), removeCommand(&o.Data), listCommand(&o.Data))
	return cmd
}

func addCommand(data *string) *cobra.Command {
	var c channel
	cmd := &cobra.Command{
		Use:   "add LINK",
		Short: "Add a channel, or change the entry of one",
		Args:  one("LINK"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			links, err := node.LinkArguments(args)
			if err != nil {
				return err
			}
			c.Link, c.link = links[0].String(), links[0]
			return c.add(*data, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&c.Name, "name", "", "what it is called in lists; as the broadcaster says if empty")
	cmd.Flags().StringVar(&c.Group, "group", "", "the `group` that television software puts it into")
	cmd.Flags().StringVar(&c.Logo, "logo", "", "`URL` of a picture")
	return cmd
}

func one(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return node.Usagef("want one %s, got %d arguments", what, len(args))
		}
		return nil
	}
}

func (c channel) add(dir string, out io.Writer) error {
	if err := c.check(); err != nil {
		return node.Usagef("--%v", err)
	}
	list, err := readChannels(dir)
	if err != nil {
		return err
	}
	said := "changed"
	if at := list.find(c.link.Root); at >= 0 {
		list.Channels[at] = c
	} else if len(list.Channels) == maxChannels {
		return node.Usagef("there are %d channels already, which is as many as there may be", maxChannels)
	} else {
		list.Channels, said = append(list.Channels, c), "added"
	}
	if err := list.write(dir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%-9s %s\n", said, c.id())
	return err
}

// check refuses what would break a list.
func (c *channel) check() error {
	for field, s := range map[string]string{"name": c.Name, "group": c.Group, "logo": c.Logo} {
		if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: want at most 200 bytes on one line", field)
		}
	}
	if c.Logo != "" && !strings.HasPrefix(c.Logo, "http://") && !strings.HasPrefix(c.Logo, "https://") {
		return fmt.Errorf("logo %s: want a URL that begins with http:// or https://", c.Logo)
	}
	return nil
}

func removeCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "remove LINK|ID|NAME",
		Short: "Take a channel off the list; what is kept of it stays on disk",
		Args:  one("LINK, ID or NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := readChannels(*data)
			if err != nil {
				return err
			}
			at, err := list.named(args[0])
			if err != nil {
				return err
			}
			id := list.Channels[at].id()
			list.Channels = slices.Delete(list.Channels, at, at+1)
			if err := list.write(*data); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%-9s %s\n", "removed", id)
			return err
		},
	}
}

// named finds the channel that an argument means.
func (l *channelList) named(s string) (int, error) {
	if isLink(s) {
		link, err := feed.ParseLink(s)
		if err != nil {
			return 0, node.Usagef("%v", err)
		}
		if at := l.find(link.Root); at >= 0 {
			return at, nil
		}
		return 0, node.Usagef("that channel is not on the list: see viewer channels list")
	}
	found := -1
	for i := range l.Channels {
		if c := &l.Channels[i]; c.id() == s || c.Name != "" && strings.EqualFold(c.Name, s) {
			if found >= 0 {
				return 0, node.Usagef("%s: two channels are called so; name its ID", s)
			}
			found = i
		}
	}
	if found < 0 {
		return 0, node.Usagef("%s: no channel on the list has this ID or name: see viewer channels list", s)
	}
	return found, nil
}

func listCommand(data *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the list: ID, name, group and LINK",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := readChannels(*data)
			if err != nil {
				return err
			}
			return list.print(cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a channel")
	return cmd
}

func (l *channelList) print(out io.Writer, asJSON bool) error {
	encoder := json.NewEncoder(out)
	for i := range l.Channels {
		c := &l.Channels[i]
		var err error
		if asJSON {
			err = encoder.Encode(struct {
				ID string `json:"id"`
				channel
			}{c.id(), *c})
		} else {
			_, err = fmt.Fprintf(out, "%s  %-24s %-16s %s\n", c.id(), cmp.Or(c.Name, "-"), cmp.Or(c.Group, "-"), c.Link)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
