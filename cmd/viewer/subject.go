package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tailcast/feed"
	"tailcast/node"
)

// A subject is what verify and export look at: a folder or a clip, and the link that it must belong to, if there is one.
type subject struct {
	path string
	clip bool
	link *feed.Link // what the user named; nil: nothing
}

// subjectFlags are those that say which.
type subjectFlags struct {
	data string
	link string
}

func (f *subjectFlags) register(cmd *cobra.Command) {
	data := cmp.Or(os.Getenv("TAILCAST_DATA"), node.DataDir("viewer"))
	cmd.Flags().StringVar(&f.data, "data", data, "directory in which viewers keep their history, for LINK")
	cmd.Flags().StringVar(&f.link, "link", "", "`LINK` of the channel, as you have it from the broadcaster: what DIR or CLIP must belong to")
}

// subject finds what the argument names: the history of a link on this machine, a folder, or a clip.
func (f *subjectFlags) subject(args []string) (*subject, error) {
	if len(args) == 0 {
		return nil, node.Usagef("want a LINK, the directory of a channel, or a clip")
	}
	s := &subject{path: args[0]}
	text := f.link
	if isLink(s.path) {
		if f.link != "" {
			return nil, node.Usagef("--link is for a DIR or CLIP; LINK says itself which channel is meant")
		}
		text = args[0]
	}
	if text != "" {
		link, err := feed.ParseLink(text)
		if err != nil {
			return nil, node.Usagef("%v", err)
		}
		s.link = &link
	}
	if isLink(args[0]) {
		s.path = filepath.Join(f.data, s.link.Root.String())
	}
	return s, s.look(isLink(args[0]))
}

func isLink(s string) bool {
	const scheme = "tailcast:"
	s = strings.TrimSpace(s)
	return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
}

// look tells folders from clips.
func (s *subject) look(byLink bool) error {
	info, err := os.Stat(s.path)
	if byLink && err == nil {
		_, err = os.Stat(filepath.Join(s.path, "epochs")) // who only watches keeps no more than how far he has seen it
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && byLink:
		return fmt.Errorf("this machine has no history of that channel in %s: a viewer keeps it with --archive or --window; --data names another directory", filepath.Dir(s.path))
	case err != nil:
		return node.Usagef("%v", err)
	case !info.IsDir():
		s.clip = true
		return nil
	}
	if _, err := os.Stat(filepath.Join(s.path, "feed", "epochs")); err == nil {
		s.path = filepath.Join(s.path, "feed") // the data directory of a streamer
	}
	return nil
}

// root returns the root key that the subject must have; nil: any.
func (s *subject) root() *feed.PublicKey {
	if s.link == nil {
		return nil
	}
	return &s.link.Root
}
