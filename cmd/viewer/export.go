package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tailcast/feed"
	"tailcast/feed/clip"
	"tailcast/node"
	"tailcast/player"
)

type exportOptions struct {
	subjectFlags
	from, to string
	log      string
	cosigned string
	json     bool
}

func exportCommand() *cobra.Command {
	o := &exportOptions{}
	cmd := &cobra.Command{
		Use:   "export LINK|DIR|CLIP OUT.clip|OUT.ts|OUT.mp4",
		Short: "Cut some minutes out of a channel's history: as evidence, or to be played",
		Long: `Cut some minutes out of a channel's history: as evidence, or to be played.

OUT.clip proves by itself, to whoever has the channel's link, who signed what it holds: see "viewer verify". OUT.ts and OUT.mp4 are
renderings for players; they prove nothing. OUT must not exist yet.

LINK means the history of that channel that viewers on this machine keep in --data; DIR is the directory of a channel, a streamer's
or a viewer's, which may be in use; a CLIP can be rendered, and is verified first.

What is cut begins with the segment that was on air at --from, and ends with the one on air at --to, by the clock of the signer. A time is
2026-11-23T10:00:00Z (RFC 3339), or 10:00:00 (today, local time), or -60s (before the end of what is there), or +60s (after its
beginning; for --to, after --from).`,
		Example: `  viewer export ~/.local/share/tailcast/streamer --from -60s last-minute.clip
  viewer export 'tailcast:…' --from 20:00:00 --to +15m news.clip
  viewer export news.clip news.mp4`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return node.Usagef("want a LINK, directory or clip, and the file to write, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return export(cmd.Context(), cmd.OutOrStdout(), o, args[0], args[1])
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "`time` to begin at; all that is there if neither is given")
	cmd.Flags().StringVar(&o.to, "to", "", "`time` to end at; the end of what is there if not given")
	cmd.Flags().StringVar(&o.log, "log", "", "`name` of the rendition; the best one if empty")
	cmd.Flags().StringVar(&o.cosigned, "cosigned", "", "`FILE` with the head of the epoch's catalog that a witness cosigned (C2SP signed note), to go into the clip")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// An exported is what export says of a rendering.
type exported struct {
	Event   string `json:"event"` // always "exported"
	Path    string `json:"path"`
	Link    string `json:"link"`
	From    string `json:"from"`
	To      string `json:"to"`
	Blocks  int    `json:"blocks"`
	Omitted string `json:"omitted,omitempty"` // tracks that the container cannot carry
	Note    string `json:"note"`
}

// notEvidence goes with every rendering.
const notEvidence = "a rendering, not evidence: it proves nothing; export a .clip for that"

func export(ctx context.Context, out io.Writer, o *exportOptions, from, to string) error {
	s, err := o.subject([]string{from})
	if err != nil {
		return err
	}
	kind := strings.ToLower(filepath.Ext(to))
	switch {
	case kind != ".clip" && kind != ".ts" && kind != ".mp4":
		return node.Usagef("%s: want a name that ends in .clip, .ts or .mp4", to)
	case kind == ".clip" && s.clip:
		return node.Usagef("a clip is evidence as it is; it can be rendered to .ts or .mp4")
	case kind != ".clip" && o.cosigned != "":
		return node.Usagef("--cosigned is for a .clip: a rendering is not evidence")
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return node.Usagef("%s is there already: choose another name", to)
	}
	if s.clip {
		return o.renderClip(out, s, to, kind)
	}
	return o.cutFolder(ctx, out, s, to, kind)
}

// cutFolder cuts out of a folder, which it only reads.
func (o *exportOptions) cutFolder(ctx context.Context, out io.Writer, s *subject, to, kind string) (err error) {
	root := s.root()
	if root == nil {
		named, err := feed.RootOf(s.path)
		if err != nil {
			return err
		}
		root = &named
	}
	replica, err := feed.Open(*root, feed.Config{Dir: s.path, ReadOnly: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, replica.Close()) }()
	cut, err := o.cut(replica)
	if err != nil {
		return err
	}
	if kind == ".clip" {
		return o.writeClip(ctx, out, s, replica, cut, to)
	}
	facts := exported{Link: linkOf(*root)}
	return o.render(out, to, kind, facts, func(each blockFunc) error {
		return cut.Read(ctx, replica, func(item *feed.Item) error { return each(&item.Block, item.Epoch.ID(), item.Reset) })
	})
}

// cut finds out which time is meant.
func (o *exportOptions) cut(r *feed.Replica) (c clip.Cut, err error) {
	if c.Log = o.log; c.Log == "" {
		if c.Log, err = clip.Rendition(r); err != nil {
			return c, err
		}
	}
	begin, end, ok := r.Kept(c.Log)
	if !ok {
		return c, fmt.Errorf("log %s: %w", c.Log, clip.ErrNothing)
	}
	if c.From, c.To, err = o.times(begin, end, time.Now()); err != nil {
		return c, err
	}
	if o.cosigned != "" {
		c.Cosigned, err = os.ReadFile(o.cosigned)
	}
	return c, err
}

// writeClip writes a clip, and verifies it before it gets its name.
func (o *exportOptions) writeClip(ctx context.Context, out io.Writer, s *subject, r *feed.Replica, cut clip.Cut, to string) error {
	var report *clip.Report
	root := r.Root()
	err := writeFile(to, func(f *os.File) error {
		if _, err := cut.Write(ctx, f, r); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		var err error
		report, err = clip.Verify(f, clip.Options{Root: &root})
		return err
	})
	if err != nil {
		return err
	}
	written := &subject{path: to, clip: true, link: s.link}
	return written.clipVerdict(report).print(out, o.json)
}

// A blockFunc takes the next block of a rendering.
type blockFunc func(b *feed.Block, epoch feed.EpochID, reset bool) error

// render writes the blocks that read hands out as a file for players.
func (o *exportOptions) render(out io.Writer, to, kind string, facts exported, read func(blockFunc) error) error {
	facts.Event, facts.Path, facts.Note = "exported", to, notEvidence
	err := writeFile(to, func(f *os.File) error {
		renderer := player.NewRenderer(f, player.Container(kind[1:]))
		err := read(func(b *feed.Block, epoch feed.EpochID, reset bool) error {
			if facts.Blocks++; facts.Blocks == 1 {
				facts.From = wallTime(&b.Record)
			}
			facts.To = wallTime(&b.Record)
			return renderer.Block(b, epoch, reset)
		})
		facts.Omitted = renderer.Omitted()
		if closing := renderer.Close(); err == nil {
			err = closing
		}
		return err
	})
	if err != nil {
		return err
	}
	return facts.print(out, o.json)
}

func (e *exported) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	text := fmt.Sprintf("%-9s %s\nlink      %s\nfrom      %s\nto        %s\nblocks    %d\n", e.Event, e.Path, e.Link, e.From, e.To, e.Blocks)
	if e.Omitted != "" {
		text += "omitted   " + e.Omitted + "\n"
	}
	_, err := io.WriteString(w, text+"note      "+e.Note+"\n")
	return err
}

// renderClip verifies a clip, all of it, and then renders what lies between the two times.
func (o *exportOptions) renderClip(out io.Writer, s *subject, to, kind string) error {
	var starts []segmentStart
	report, err := s.verifyClip(clip.Options{Root: s.root(), Block: func(p *clip.Part, b *feed.Block) error {
		if b.Record.Flags&feed.SegmentFirst != 0 || len(starts) == 0 {
			starts = append(starts, segmentStart{p.Epoch.Key, b.Index, b.Record.Wall})
		}
		return nil
	}})
	if err != nil {
		return err
	}
	first, last := report.Parts[0].First, report.Parts[len(report.Parts)-1].Last
	from, until, err := o.times(time.UnixMicro(first.Wall), time.UnixMicro(last.Wall), time.Now())
	if err != nil {
		return err
	}
	begin := starts[0]
	for _, at := range starts {
		if at.wall <= from.UnixMicro() {
			begin = at
		}
	}
	return o.render(out, to, kind, exported{Link: linkOf(report.Root)}, func(each blockFunc) error {
		return s.renderFrom(begin, until, each)
	})
}

// A segmentStart is where a segment of a clip begins.
type segmentStart struct {
	epoch feed.PublicKey
	index uint64
	wall  int64
}

// renderFrom hands out the blocks of a clip from the start of a segment to the first segment that begins at until or later.
func (s *subject) renderFrom(begin segmentStart, until time.Time, each blockFunc) error {
	reading, over, next := false, false, uint64(0)
	var epoch feed.PublicKey
	_, err := s.verifyClip(clip.Options{Root: s.root(), Block: func(p *clip.Part, b *feed.Block) error {
		reading = reading || p.Epoch.Key == begin.epoch && b.Index == begin.index
		over = over || reading && b.Record.Flags&feed.SegmentFirst != 0 && b.Record.Wall >= until.UnixMicro()
		if !reading || over {
			return nil
		}
		reset := p.Epoch.Key != epoch || b.Index != next
		epoch, next = p.Epoch.Key, b.Index+1
		return each(b, epoch.EpochID(), reset)
	}})
	return err
}

// writeFile makes a file that is whole or not there at all.
func writeFile(name string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return err
	}
	if err := giveName(f.Name(), name, os.Link); err != nil {
		return err
	}
	return f.Close()
}

// giveName renames a file. A link, unlike a rename, replaces nothing that came meanwhile; but the file systems of memory sticks have none.
func giveName(from, to string, link func(from, to string) error) error {
	err := link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if _, there := os.Lstat(to); errors.Is(err, fs.ErrExist) || !errors.Is(there, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}
