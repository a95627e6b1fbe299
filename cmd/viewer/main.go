// Viewer watches a channel: it follows the link, verifies every block, plays it on a local page and for local players, and passes
// it on to others who know the link.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"tailcast/node"
)

type options struct {
	node.Flags
	noShare bool
	stdout  bool
	record  string
	player  string
	giveUp  time.Duration
}

func main() { os.Exit(node.Main(command())) }

func command() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "viewer LINK",
		Short: "Watch a channel, verify every block of it, and pass it on",
		Long: `Watch a channel, verify every block of it, and pass it on.

LINK is what the streamer prints: tailcast: and 56 characters, then ?a=host:port of somebody to begin with. Others who watch are
looked for on this network besides, and among those of the last time, so a LINK without an address can do.
The page is at the address printed as http; players open /live.ts there.`,
		Example: `  viewer 'tailcast:…?a=192.0.2.7:4433'
  viewer LINK --player mpv
  viewer LINK --stdout | ffmpeg -i - …
  viewer export LINK --from -60s last-minute.clip
  viewer verify last-minute.clip --link LINK`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			link, err := node.LinkArgument(args)
			if err != nil {
				return err
			}
			return run(cmd.Context(), o, link)
		},
	}
	flags := root.Flags()
	o.Register(flags, node.DataDir("viewer"))
	flags.BoolVar(&o.noShare, "no-share", false, "pass nothing on to others")
	flags.BoolVar(&o.stdout, "stdout", false, "write the stream as TS to standard output, facts to standard error")
	flags.StringVar(&o.record, "record", "", "write the stream as TS to `FILE`, which must not exist")
	flags.StringVar(&o.player, "player", "", "open mpv, vlc or browser")
	flags.DurationVar(&o.giveUp, "give-up", 0, "end with an error if nothing has arrived after this time; 0 waits for ever")
	root.AddCommand(verifyCommand(), exportCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}
