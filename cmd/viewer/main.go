// Viewer watches a channel: it follows the link, verifies every block, plays it on a local page and for local players, and passes
// it on to others who know the link.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tailcast/node"
)

type options struct {
	node.Flags
	noShare bool
	stdout  bool
	record  string
	noProof bool
	player  string
	giveUp  time.Duration
	lan     bool
	all     bool
	named   string // --rendition
}

func main() { os.Exit(node.Main(command())) }

func command() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "viewer [LINK...]",
		Short: "Watch a channel, verify every block of it, and pass it on",
		Long: `Watch a channel, verify every block of it, and pass it on.

LINK is what the streamer prints: tailcast: and 56 characters, then ?a=host:port of somebody to begin with. Others who watch are
looked for on this network besides, and among those of the last time, so a LINK without an address can do.
The page is at the address printed as http; players open /live.ts there, or /hls/index.m3u8 for the past too.

Several LINKs are several channels: each at /c/ID/ of that address, the first also at /. Without a LINK they are those of a list: see "viewer
channels". Television software finds them all in /channels.m3u, and a guide in /epg.xml. All but the first are followed only while somebody
watches them.`,
		Example: `  viewer 'tailcast:…?a=192.0.2.7:4433'
  viewer LINK --player mpv
  viewer LINK --lan
  viewer LINK --rendition 480p
  viewer channels add LINK --name "Channel one" && viewer --lan
  viewer LINK --stdout | ffmpeg -i - …
  viewer export LINK --from -60s last-minute.clip
  viewer verify last-minute.clip --link LINK`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), o, args)
		},
	}
	o.register(root.Flags())
	root.AddCommand(verifyCommand(), exportCommand(), channelsCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// register adds the flags of a viewer to set.
func (o *options) register(set *pflag.FlagSet) {
	o.Register(set, node.DataDir("viewer"))
	set.BoolVar(&o.noShare, "no-share", false, "pass nothing on to others")
	set.BoolVar(&o.stdout, "stdout", false, "write the stream as TS to standard output, facts to standard error")
	set.StringVar(&o.record, "record", "", "write the stream to `FILE`, which must not exist: as MP4 if it is called .mp4, as evidence alone if .clip, else as TS; FILE.clip beside it is the proof")
	set.BoolVar(&o.noProof, "no-proof", false, "with --record, write no proof, which is as large as the recording")
	set.StringVar(&o.player, "player", "", "open mpv, vlc or browser")
	set.BoolVar(&o.lan, "lan", false, "open the page and the streams to the home network, for who knows the address printed as lan")
	set.StringVar(&o.named, "rendition", node.BestRendition, "`name` of the rendition of the first channel to follow and pass on; or best, or least, the one with the fewest bits. Another one is followed while somebody watches it here")
	set.BoolVar(&o.all, "follow-all", false, "of several channels, follow all, also those that nobody watches here")
	set.DurationVar(&o.giveUp, "give-up", 0, "end with an error if nothing has arrived after this time; 0 waits for ever")
}
