package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tailcast/feed"
	"tailcast/feed/audit"
	"tailcast/feed/clip"
	"tailcast/node"
)

type verifyOptions struct {
	subjectFlags
	everyHead bool
	witnesses []string
	json      bool
}

func verifyCommand() *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify LINK|DIR|CLIP",
		Short: "Check the history of a channel, or a clip, and say what it proves",
		Long: `Check the history of a channel, or a clip, and say what it proves.

LINK means the history of that channel that viewers on this machine keep in --data; DIR is the directory of a channel, a streamer's
or a viewer's; CLIP is a file that "viewer export" made. Nothing else is needed, no network either. A DIR may be in use: it is
not locked.

Of a DIR the signature with the last record of each run without a hole is checked, which covers all records before it;
--every-head checks the signature with every record, which takes longer and uses all processors. Of a CLIP all are checked.

Exit code 0: proved. 1: refuted, or not readable; the error says what is wrong, and where. 2: usage.`,
		Example: `  viewer verify news.clip --link 'tailcast:…'
  viewer verify news.clip --link 'tailcast:…' --witness 'example.org/witness+1234abcd+BA…'
  viewer verify ~/.local/share/tailcast/streamer`,
		Args: oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error { return verify(cmd.OutOrStdout(), o, args) },
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.everyHead, "every-head", false, "check the signature with every record of a directory")
	cmd.Flags().StringArrayVar(&o.witnesses, "witness", nil, "`KEY` of a witness whose cosignatures count, as it publishes it: name+id+base64 (repeatable)")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func oneArgument(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return node.Usagef("want one LINK, directory or clip, got %d arguments", len(args))
	}
	return nil
}

// verify prints the verdict. An error is a refutation, or says why there is no verdict.
func verify(out io.Writer, o *verifyOptions, args []string) error {
	s, err := o.subject(args)
	if err != nil {
		return err
	}
	witnesses, err := parseWitnesses(o.witnesses)
	if err != nil {
		return err
	}
	v, err := s.verify(witnesses, o.everyHead)
	if o.json && (errors.Is(err, audit.ErrRefuted) || errors.Is(err, clip.ErrRefuted)) {
		return errors.Join(err, refusal(s, err).print(out, true))
	}
	if err != nil {
		return err
	}
	return v.print(out, o.json)
}

func parseWitnesses(keys []string) (list []*clip.Witness, err error) {
	for _, k := range keys {
		w, err := clip.ParseWitness(k)
		if err != nil {
			return nil, node.Usagef("--witness %v", err)
		}
		list = append(list, w)
	}
	return list, nil
}

func (s *subject) verify(witnesses []*clip.Witness, everyHead bool) (*verdict, error) {
	if s.clip {
		r, err := s.verifyClip(clip.Options{Root: s.root(), Witnesses: witnesses})
		if err != nil {
			return nil, err
		}
		return s.clipVerdict(r), nil
	}
	if len(witnesses) > 0 {
		return nil, node.Usagef("--witness is for clips: a directory has no cosignatures")
	}
	p := newProgress(os.Stderr, "verifying")
	r, err := audit.Dir(s.path, audit.Options{Root: s.root(), EveryHead: everyHead, Progress: p.at})
	p.done()
	if err != nil {
		return nil, err
	}
	return s.folderVerdict(r, everyHead), nil
}

// verifyClip reads a clip, and says how far it is.
func (s *subject) verifyClip(o clip.Options) (*clip.Report, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := newProgress(os.Stderr, "verifying")
	defer p.done()
	return clip.Verify(&progressReader{Reader: f, total: info.Size(), progress: p}, o)
}

// linkOf returns the link of a root key.
func linkOf(root feed.PublicKey) string { return feed.Link{Root: root}.String() }
