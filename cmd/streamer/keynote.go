package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tailcast/feed"
	"tailcast/node"
)

// longestNote bounds --days.
const longestNote = 3650

// noteFlags are those of renew and rotate.
func (k *keyCommand) noteFlags(c *cobra.Command) {
	k.rootFlag(c)
	f := c.Flags()
	f.IntVar(&k.days, "days", int(feed.NoteLasts/(24*time.Hour)), "how many days the note is to last")
	f.StringArrayVar(&k.stations, "station", nil, "`KEY` of a station on another machine to name too, as its `key request` prints it (repeatable)")
	f.StringVar(&k.note, "note", "", "`file` with the present channel note, if it is not in --data")
	f.StringVar(&k.out, "out", "", "`file` to write the note to, for a streamer elsewhere, instead of into --data; it must not exist")
}

func (k *keyCommand) renewCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "renew",
		Short: "Sign a channel note that lasts longer, with the root key",
		Long: `Sign a channel note that lasts longer, with the root key. The stations stay, and others can be added
with --station. Nobody can be removed so: that is what rotate is for.

A streamer whose root key is in --data and not sealed does this by itself, 30 days before the end.`,
		Example: `  streamer key renew                                  # asks for the passphrase if the root key is sealed
  streamer key renew --root /media/usb/root.key.age   # the root key is kept elsewhere
  streamer key renew --root root.key.age --note channel.note --out new.note   # on a machine that has nothing else`,
		Args: exactly(0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error { return k.renew(cmd.Context()) },
	}
	k.noteFlags(c)
	return c
}

func (k *keyCommand) rotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Begin the next generation with a new station key; the old one is worthless from then on",
		Long: `Begin the next generation with a new station key, signed by the root key. This is the answer to a station
key that somebody else has: viewers who have seen the new note never take the old key again.

A streamer that runs goes on in a new epoch within seconds. Stations on other machines are no longer
named, unless --keep-others or --station says so.`,
		Example: `  streamer key rotate
  streamer key rotate --root /media/usb/root.key.age --keep-others
  streamer key rotate --root root.key.age --note channel.note --station KEY --out new.note   # KEY: key request --new`,
		Args: exactly(0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error { return k.rotate(cmd.Context()) },
	}
	k.noteFlags(c)
	c.Flags().BoolVar(&k.keepOthers, "keep-others", false, "go on naming the stations on other machines")
	c.Flags().Uint64Var(&k.generation, "generation", 0, "number of the generation, if the present one is not known here; any higher one will do")
	return c
}

func (k *keyCommand) requestCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "request",
		Short: "Print the public key of this station, for whoever has the root key to name in a channel note",
		Long: `Print the public key of this station, for whoever has the root key to name in a channel note. If there is
none yet, as on a second machine, it is made. With --new a new key is made, to replace the present one once
a note names it: what rotate does, for a machine that does not have the root key. One that waited already is
replaced: a note that names that one can then no longer be installed.`,
		Example: "  streamer key request\n  streamer key request --new",
		Args:    exactly(0, "none"),
		RunE:    func(*cobra.Command, []string) error { return k.request() },
	}
	c.Flags().BoolVar(&k.next, "new", false, "a new key, to replace the present one")
	return c
}

func (k *keyCommand) installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install FILE",
		Short: "Put a channel note that was signed elsewhere into use",
		Long: `Put a channel note that was signed elsewhere into use. It must be of this channel, not older than the
present one, and name this station. A streamer that runs takes it within seconds, without a restart.`,
		Example: "  streamer key install new.note",
		Args:    exactly(1, "one: the file with the note"),
		RunE: func(_ *cobra.Command, args []string) error {
			signed, err := readSmall(args[0])
			if err != nil {
				return node.Configuration(err)
			}
			return k.change(func(f *feed.KeyFolder) error { return f.Install(signed, time.Now()) })
		},
	}
}

func (k *keyCommand) request() (err error) {
	folder, err := feed.ChangeKeys(k.Data)
	if err != nil {
		return node.Configuration(err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	ask := folder.StationKey
	if k.next {
		ask = folder.NextKey
	}
	key, err := ask()
	if err != nil {
		return node.Configuration(err)
	}
	if k.JSON {
		return json.NewEncoder(os.Stdout).Encode(struct {
			Event   string `json:"event"`
			Station string `json:"station"`
		}{"station", key.String()})
	}
	_, err = fmt.Println(key)
	return err
}

// signer is what renew and rotate begin with: the root key and the note that it is to replace, nil if none is known.
type signer struct {
	root    ed25519.PrivateKey
	present *feed.ChannelNote
	others  []feed.PublicKey // that --station names
}

// signer gathers it. Without --out there must be keys in --data; with it, they are looked at unless --note says what they would.
func (k *keyCommand) signer(ctx context.Context) (s signer, err error) {
	if k.days < 1 || k.days > longestNote {
		return s, node.Usagef("--days %d: want 1 to %d", k.days, longestNote)
	}
	for _, text := range k.stations {
		key, err := feed.DecodePublicKey(text)
		if err != nil {
			return s, node.Usagef("--station %s: %w", text, err)
		}
		s.others = append(s.others, key)
	}
	if k.out != "" {
		if err := absent(k.out); err != nil {
			return s, err
		}
	}
	var keys feed.Keys
	if k.out == "" || k.note == "" || k.root == "" {
		keys, err = k.keys()
		if err != nil && !(k.out != "" && k.root != "" && errors.Is(err, feed.ErrNoKeys)) {
			return s, err
		}
	}
	if s.root, err = k.rootKey(ctx, keys); err != nil {
		return s, err
	}
	s.present = keys.Note
	if k.note == "" {
		return s, nil
	}
	signed, err := readSmall(k.note)
	if err != nil {
		return s, node.Configuration(err)
	}
	note, err := feed.OpenChannelNote(feed.PublicKeyOf(s.root), signed)
	if err != nil {
		return s, node.Configuration(fmt.Errorf("%s: %w", k.note, err))
	}
	if s.present == nil || s.present.Generation <= note.Generation {
		s.present = &note
	}
	return s, nil
}

// until is when a note ends that is signed now.
func (k *keyCommand) until() time.Time {
	return time.Now().AddDate(0, 0, k.days).UTC().Truncate(time.Second)
}

func (k *keyCommand) renew(ctx context.Context) error {
	s, err := k.signer(ctx)
	if err != nil {
		return err
	}
	if s.present == nil {
		return node.Usagef("which stations is the note to name? name the present channel note with --note, or rotate")
	}
	note := *s.present
	note.Stations = union(note.Stations, s.others)
	note.NotAfter = k.until()
	if earliest := s.present.NotAfter.Add(time.Second); note.NotAfter.Before(earliest) {
		if note.NotAfter.Before(s.present.NotAfter) && len(note.Stations) == len(s.present.Stations) {
			return node.Usagef("the channel note lasts until %s as it is, and one that ends earlier would not replace it: take more --days, or rotate",
				s.present.NotAfter.Format(time.DateOnly))
		}
		note.NotAfter = earliest // of two notes of a generation the one that lasts longer counts
	}
	signed, err := feed.SignChannelNote(s.root, note)
	if err != nil {
		return node.Configuration(err)
	}
	return k.deliver(signed)
}

// deliver puts a note where it belongs.
func (k *keyCommand) deliver(signed []byte) error {
	if k.out == "" {
		return k.change(func(f *feed.KeyFolder) error { return f.Install(signed, time.Now()) })
	}
	if err := createNew(k.out, signed, 0o644); err != nil {
		return err
	}
	say("wrote %s; on the streamer: streamer key install %s", k.out, quoted(k.out))
	return nil
}

func (k *keyCommand) rotate(ctx context.Context) error {
	if k.out != "" && k.keepOthers {
		return node.Usagef("--keep-others: with --out nobody knows which station is to be replaced; name those that stay with --station")
	}
	if k.out != "" && len(k.stations) == 0 {
		return node.Usagef("which station? on the streamer `streamer key request --new` prints its new key; name it with --station")
	}
	s, err := k.signer(ctx)
	if err != nil {
		return err
	}
	generation, err := k.nextGeneration(s.present)
	if err != nil {
		return err
	}
	note := feed.ChannelNote{Generation: generation, NotAfter: k.until(), Stations: s.others}
	if k.out != "" {
		signed, err := feed.SignChannelNote(s.root, note)
		if err != nil {
			return node.Configuration(err)
		}
		return k.deliver(signed)
	}
	return k.change(func(f *feed.KeyFolder) error { return k.rotateHere(f, s, note) })
}

// nextGeneration is the number of the generation after that of a note.
func (k *keyCommand) nextGeneration(present *feed.ChannelNote) (uint64, error) {
	switch {
	case present == nil && k.generation == 0:
		return 0, node.Usagef("after which generation? name the present channel note with --note, or a number above it with --generation")
	case present == nil:
		return k.generation, nil
	case k.generation == 0:
		return present.Generation + 1, nil
	case k.generation <= present.Generation:
		return 0, node.Usagef("--generation %d: the present one is %d, want a higher one", k.generation, present.Generation)
	}
	return k.generation, nil
}

// rotateHere makes the new key and installs a note that names it.
func (k *keyCommand) rotateHere(f *feed.KeyFolder, s signer, note feed.ChannelNote) error {
	if now := f.Keys().Note; now != nil && now.Generation >= note.Generation {
		return fmt.Errorf("the keys have been rotated meanwhile, to generation %d: see key show", now.Generation)
	}
	old := f.Keys().Station
	next, err := f.NextKey()
	if err != nil {
		return err
	}
	note.Stations = union([]feed.PublicKey{next}, s.others)
	if s.present != nil {
		for _, other := range s.present.Stations {
			switch {
			case old != nil && other == *old || slices.Contains(note.Stations, other):
			case k.keepOthers:
				note.Stations = append(note.Stations, other)
			default:
				say("no longer a station: %v (--keep-others would have kept it)", other)
			}
		}
	}
	signed, err := feed.SignChannelNote(s.root, note)
	if err != nil {
		return err
	}
	return f.Install(signed, time.Now())
}

// union is a, then those of b that are not in it.
func union(a, b []feed.PublicKey) []feed.PublicKey {
	all := slices.Clone(a)
	for _, key := range b {
		if !slices.Contains(all, key) {
			all = append(all, key)
		}
	}
	return all
}
