package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tailcast/node"
)

func (k *keyCommand) streamCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stream",
		Short: "Show the stream key, and what to type into OBS",
		Long: `Show the stream key that encoders need, and what to type into OBS and others. This is the one command that
prints a secret. The key is that of --stream-key-file, or the one that was made when a listener was first
opened to other machines. The addresses are those of --rtmp, --rtmps, --srt and --rtsp: give them as you
give them to streamer. To change the key, remove the file and start the streamer again.`,
		Example: "  streamer key stream --rtmp 0.0.0.0:1935",
		Args:    exactly(0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.Load(); err != nil {
				return err
			}
			return k.showStream()
		},
	}
}

func (k *keyCommand) showStream() error {
	file := k.keyFile
	if file == "" {
		file = filepath.Join(k.Data, keyName)
	}
	key, err := readKey(file, file)
	if errors.Is(err, fs.ErrNotExist) {
		return node.Configuration(fmt.Errorf("there is no stream key yet: %s is made when streamer first waits for encoders beyond this machine, as with --rtmp 0.0.0.0:1935", file))
	}
	if err != nil {
		return err
	}
	if k.passphrase, err = readSecret("--srt-passphrase-file", k.passphraseFile, 1); err != nil {
		return err
	}
	for _, l := range append([][2]string{{"key", key}, {"file", file}}, fields(k.expected(), key)...) {
		if _, err := fmt.Fprintf(os.Stdout, "%-18s %s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

// expected is where encoders can send to by the flags.
func (o *options) expected() *node.Push {
	p := &node.Push{}
	for scheme, at := range map[string]struct {
		addr string
		put  *string
	}{"rtmp": {o.rtmp, &p.RTMP}, "rtmps": {o.rtmps, &p.RTMPS}, "rtsp": {o.rtsp, &p.RTSP}} {
		if at.addr != "" {
			*at.put = withKey(scheme + "://" + reachable(at.addr) + "/live")
		}
	}
	if o.srt != "" {
		p.SRT = o.srtAddress("srt://"+reachable(o.srt)+"?streamid=publish:", "", withKey)
	}
	return p
}

// reachable is a listening address as others dial it: where every interface is listened on, by the first address of this machine that
// is not a loopback's.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return addr
	}
	if host == "" {
		return net.JoinHostPort("127.0.0.1", port)
	}
	addrs, _ := net.InterfaceAddrs() // what cannot be listed is not known
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return net.JoinHostPort(n.IP.String(), port)
		}
	}
	return addr
}
