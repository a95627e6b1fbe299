// Streamer goes live: it takes one program from an encoder, a file or a network, signs it block by block and serves it to
// whoever knows the link.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"tailcast/ingest/admit"
	"tailcast/internal/seal"
	"tailcast/node"
)

// options are the flags of both `streamer` and `streamer demo`.
type options struct {
	node.Flags
	title   string
	named   []string // --rendition
	program uint16   // 0: by service
	service string   // a name; empty: any
	loop    bool
	rtsp    string
	whip    string
	rtspUDP bool
	rtmp    string
	rtmps   string
	srt     string

	tlsCert, tlsKey string // of --rtmps
	srtLatency      time.Duration

	keyFile        string
	passphraseFile string
	// Secrets, which are in no log: of keyFile or made, and of passphraseFile.
	key        string
	passphrase string
	gate       *admit.Gate   // of key
	closed     []*admit.Gate // of passphrases, where there is no key; complete when all inputs are open

	copies int
	pinned node.Pins

	standby standbyOptions
}

func main() { os.Exit(node.Main(command(seal.Sealer{}))) }

func command(sealer seal.Sealer) *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "streamer [INPUT...]",
		Short: "Go live: sign a stream block by block and serve it to whoever knows the link",
		Long: `Go live: sign a stream block by block and serve it to whoever knows the link.

INPUT is a .ts file, - (TS on standard input), udp://host:port or rtp://host:port (unicast or multicast,
?interface=eth0, ?source=10.0.0.1), rtsp://host/path, srt://host:port, or http(s)://host/path (TS, or HLS:
#variant=720p or #bandwidth=3M choose among its variants). Several files, or a list of them (.m3u, .m3u8), are
aired one after the other. Without INPUT the streamer waits for an encoder to push: RTMP to --rtmp, SRT to --srt,
WHIP (WebRTC) to /whip of --http, RTSP to --rtsp, or a TS body by PUT or POST to /ingest of --http. Other machines
may push once a listener is opened to them; the stream key for that is made, kept and printed once.

Several renditions of one programme are --rendition NAME=INPUT each, best first; viewers choose one and follow that alone. Where INPUT is push,
an encoder sends it by its name: to /NAME of --rtsp, /live/NAME of --rtmp, or /whip/NAME or /ingest/NAME of --http.`,
		Example: `  streamer film.ts --loop
  ffmpeg -re -i film.mp4 -c copy -f mpegts - | streamer -
  streamer morning.ts noon.ts evening.ts --loop
  streamer udp://239.1.1.1:5000
  streamer https://cdn.example/live/index.m3u8
  streamer rtsp://camera.local/stream
  streamer "srt://gateway.example:9000?passphrase-file=secret&latency=200"
  streamer --rtmp 0.0.0.0:1935 # and OBS on another machine; it is told what to type there
  streamer                     # then: ffmpeg … -f rtsp rtsp://127.0.0.1:8554/live
  streamer --rendition 1080p=rtsp://camera.local/high --rendition 480p=rtsp://camera.local/low
  streamer --rendition 1080p=push --rendition radio=push`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := parseInputs(args, o.named)
			if err != nil {
				return err
			}
			return run(cmd.Context(), o, list, open)
		},
	}
	o.Register(root.PersistentFlags(), node.DataDir("streamer"))
	flags := root.PersistentFlags()
	flags.StringVar(&o.title, "title", "", "what people call the channel; the programme's own name if empty")
	root.Flags().StringArrayVar(&o.named, "rendition", nil, "a version of the programme that can be watched alone, as `NAME=INPUT` (repeatable, best first, 15 at most); NAME is of a-z, 0-9 and -")
	flags.Var(&choice{o}, "program", "what to take of a TS with several programmes, by `NUMBER|NAME` of the service; the first if empty")
	flags.BoolVar(&o.loop, "loop", false, "begin files and recordings again at their end, with a continuous clock")
	flags.StringVar(&o.rtsp, "rtsp", "127.0.0.1:8554", "`address` to wait at for an RTSP push; empty is off")
	flags.StringVar(&o.whip, "whip", "127.0.0.1:8189", "UDP `address` to receive WebRTC at that is pushed by WHIP, with offers to /whip of --http; empty is off")
	flags.StringVar(&o.rtmp, "rtmp", "127.0.0.1:1935", "`address` to wait at for an RTMP push, as of OBS; empty is off")
	flags.StringVar(&o.rtmps, "rtmps", "", "`address` to wait at for an RTMP push over TLS; empty is off")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "`file` with the certificate chain for --rtmps; without one, a self-signed certificate is made")
	flags.StringVar(&o.tlsKey, "tls-key", "", "`file` with the private key of --tls-cert")
	flags.StringVar(&o.srt, "srt", "127.0.0.1:8890", "`address` to wait at for an SRT push; empty is off")
	flags.DurationVar(&o.srtLatency, "srt-latency", 120*time.Millisecond, "how long SRT waits for lost packets to come again; all of the stream is late by as much")
	flags.StringVar(&o.passphraseFile, "srt-passphrase-file", "", "`file` with the passphrase that SRT pushes must be encrypted with")
	flags.StringVar(&o.keyFile, "stream-key-file", "", "`file` with the key that encoders must show; if others can reach a listener and there is none, one is made")
	flags.IntVar(&o.copies, "copies", 2, "send each block so often, 1 or 2: one costs half of the uplink, and viewers more when somebody leaves")
	flags.Var(&o.pinned, "pin", "a relay of ours, as `NODEKEY@HOST:PORT` (repeatable): it always has a place here; a relay prints what to write")
	flags.BoolVar(&o.rtspUDP, "rtsp-udp", false, "pull RTSP with RTP over UDP")
	o.standby.register(flags)
	root.AddCommand(&cobra.Command{
		Use:   "demo",
		Short: "Go live with the built-in clip, looped with a continuous clock",
		Args:  noInput,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, []input{{name: mainRendition, kind: file, text: "the built-in clip"}}, demo)
		},
	})
	root.AddCommand(keyCommands(o, sealer))
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

func noInput(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return node.Usagef("demo takes no INPUT; `streamer %s` airs it", args[0])
	}
	return nil
}
