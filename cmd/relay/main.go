// Relay seeds channels: it follows each of them as a viewer does, verifies every block, and passes on what it can, with nobody watching. It is
// an ordinary node that never leaves, for those who have more uplink and disk than they need: volunteers, libraries, broadcasters themselves.
// docs/relay.md is the page for them.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"tailcast/node"
)

type options struct {
	node.Flags
	maxUp   node.Rate
	monthly node.Size
	disk    node.Size
	lists   lists
	named   []string // --rendition
}

func main() { os.Exit(node.Main(command())) }

func command() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "relay LINK...",
		Short: "Seed channels: verify every block of them and pass it on, with nobody watching",
		Long: `Seed channels: verify every block of them and pass it on, with nobody watching.

LINK is what a streamer or viewer prints; --links names a file with more of them, one a line, # before comments. After a SIGHUP that file and
the --deny list are read again: channels come and go, the others notice nothing.
How it does is at the address printed as http; a streamer that is given what is printed as pin always keeps a place for this relay.`,
		Example: `  relay 'tailcast:…?a=192.0.2.7:4433' --max-up 50M
  relay --links channels.txt --max-up 200M --monthly 20TB --disk 500GB
  relay LINK LINK --window 2h --deny denied.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), o, args) },
	}
	flags := root.Flags()
	o.Register(flags, node.DataDir("relay"))
	flags.Var(&o.maxUp, "max-up", "send at most so much to other nodes, all channels together, in bits per second: 800k, 50M, 1.5G; --up is the same here")
	flags.Var(&o.monthly, "monthly", "send at most so much in a calendar month (UTC), as 5TB: the rate is lowered so that it lasts")
	flags.Var(&o.disk, "disk", "keep at most so much of the past on disk, all channels together, as 500GB; without it and --window, none")
	flags.StringArrayVar(&o.named, "rendition", nil, "`name` of a rendition to seed, or best, or least (repeatable); without it, all of each channel")
	flags.StringVar(&o.lists.file, "links", "", "`FILE` with links of channels, one a line; read again after a SIGHUP")
	flags.StringVar(&o.lists.deny, "deny", "", "`FILE` with root keys or links of channels that are not seeded, whoever lists them; read again after a SIGHUP")
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}
