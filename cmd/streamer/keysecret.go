package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tailcast/feed"
	"tailcast/internal/seal"
	"tailcast/node"
)

func (k *keyCommand) backupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write root key, station key and channel note into one file, sealed with a passphrase",
		Long: `Write root key, station key and channel note into one file, sealed with a passphrase (age, scrypt). Keep it
where a fire does not reach both it and the streamer, and the passphrase somewhere else. FILE must not exist.

A root key that is sealed goes into the backup sealed as it is; one that is kept elsewhere is not in it.`,
		Example: "  streamer key backup /media/usb/channel.backup",
		Args:    exactly(1, "one: the file to write"),
		RunE:    func(cmd *cobra.Command, args []string) error { return k.backup(cmd.Context(), args[0]) },
	}
	k.passphraseFlag(c)
	return c
}

func (k *keyCommand) restoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the keys of a backup into --data, which must hold no others",
		Long: `Put the keys of a backup into --data, which must hold no others. What is there already is never replaced, so
that a restore which was interrupted can be started again.

A restored backup never forks the channel: no key in it signs a log. The streamer opens a new epoch, as at
any start, and viewers follow. See docs/keys.md for backups from before a rotation or a renewal.`,
		Example: "  streamer key restore /media/usb/channel.backup",
		Args:    exactly(1, "one: the backup"),
		RunE:    func(cmd *cobra.Command, args []string) error { return k.restore(cmd.Context(), args[0]) },
	}
	k.passphraseFlag(c)
	return c
}

func (k *keyCommand) sealCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "seal",
		Short: "Seal the root key with a passphrase, and perhaps move it off this machine",
		Long: `Seal the root key with a passphrase: root.key becomes root.key.age, and the plain file is removed. With --move
it is written to FILE, on a USB stick say, and none stays here. Either way the streamer goes on with its
station key; before the channel note ends (see key show) it needs key renew.

The plain file is overwritten, but solid-state disks, snapshots and backups may keep what it held. Seal the
root key right after the channel was made, or on an encrypted disk.`,
		Example: "  streamer key seal\n  streamer key seal --move /media/usb/root.key.age",
		Args:    exactly(0, "none"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return k.seal(cmd.Context()) },
	}
	k.passphraseFlag(c)
	c.Flags().StringVar(&k.move, "move", "", "`file` to move the sealed root key to; it must not exist")
	return c
}

func (k *keyCommand) unsealCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "unseal",
		Short:   "Put the root key back into --data as it was before it was sealed or moved",
		Long:    "Put the root key back into --data as it was before it was sealed or moved, so that the streamer renews its\nchannel note by itself again.",
		Example: "  streamer key unseal\n  streamer key unseal --root /media/usb/root.key.age",
		Args:    exactly(0, "none"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return k.unseal(cmd.Context()) },
	}
	k.rootFlag(c)
	return c
}

func (k *keyCommand) backup(ctx context.Context, file string) error {
	if err := absent(file); err != nil {
		return err
	}
	keys, text, err := k.backupText()
	if err != nil {
		return node.Configuration(err)
	}
	passphrase, err := k.ask.chosen(ctx, file)
	if err != nil {
		return err
	}
	sealed, err := k.sealed(passphrase, text)
	if err != nil {
		return err
	}
	if err := createNew(file, sealed, 0o600); err != nil {
		return err
	}
	switch keys.Root {
	case feed.RootElsewhere:
		say("the root key is not in this backup, since it is not here: keep its file as safe as this one")
	case feed.RootSealed:
		say("the root key is in this backup as it is sealed here: restoring needs both passphrases")
	}
	return k.tell(keys)
}

// backupText reads what is to be backed up, while nobody changes it.
func (k *keyCommand) backupText() (keys feed.Keys, text []byte, err error) {
	if _, err := k.keys(); err != nil {
		return keys, nil, err
	}
	folder, err := feed.ChangeKeys(k.Data)
	if err != nil {
		return keys, nil, err
	}
	text, err = folder.Backup()
	return folder.Keys(), text, errors.Join(err, folder.Close())
}

func (k *keyCommand) restore(ctx context.Context, file string) error {
	sealed, err := readSmall(file)
	if err != nil {
		return node.Configuration(err)
	}
	if !seal.Is(sealed) {
		return node.Configuration(fmt.Errorf("%s: %w", file, seal.ErrNotSealed))
	}
	text, err := k.opened(ctx, file, sealed)
	if err != nil {
		return err
	}
	keys, err := feed.ReadBackup(text)
	if err != nil {
		return node.Configuration(fmt.Errorf("%s: %w", file, err))
	}
	if err := k.change(func(f *feed.KeyFolder) error { return f.Restore(text) }); err != nil {
		return err
	}
	if keys.Note.Expired(time.Now()) {
		say("the channel note of this backup has expired: run %s", k.helps(keys.Root))
	}
	say("if the keys were rotated after this backup was made, viewers refuse it: run %s", k.invocation("key", "rotate", "--generation", "NUMBER"))
	return nil
}

func (k *keyCommand) seal(ctx context.Context) error {
	keys, err := k.keys()
	if err != nil {
		return err
	}
	if k.move != "" {
		if err := k.mayMove(keys); err != nil {
			return err
		}
	}
	if keys.Root == feed.RootElsewhere {
		return node.Configuration(fmt.Errorf("the root key is not in %s: there is nothing to seal", k.Data))
	}
	sealed, err := k.sealedRoot(ctx, keys)
	if err != nil {
		return err
	}
	return k.change(func(f *feed.KeyFolder) error {
		if k.move == "" {
			return f.Seal(sealed)
		}
		if err := createNew(k.move, sealed, 0o600); err != nil {
			return err
		}
		// A crash here leaves the root key in both places; the file is in the way of moving it again, and may be removed.
		if again, err := readSmall(k.move); err != nil || !bytes.Equal(again, sealed) {
			return errors.Join(fmt.Errorf("%s does not hold what was written; the root key stays here", k.move), err)
		}
		return f.RemoveRoot()
	})
}

// mayMove refuses what would end badly, before anybody is asked.
func (k *keyCommand) mayMove(keys feed.Keys) error {
	if keys.Note == nil || keys.Station == nil {
		return node.Configuration(fmt.Errorf("%s has no channel note to go on with: start the streamer once", k.Data))
	}
	// By any name: what is written there would be removed with the rest.
	to, err1 := os.Stat(filepath.Dir(k.move))
	from, err2 := os.Stat(k.Data)
	if err := errors.Join(err1, err2); err != nil {
		return node.Configuration(err)
	}
	if os.SameFile(to, from) {
		return node.Usagef("--move %s: that is --data itself; leave --move out to seal the root key there", k.move)
	}
	return absent(k.move)
}

// sealedRoot returns the root key, sealed with a passphrase that was just asked for: a new one, or that of the sealed file which is there.
func (k *keyCommand) sealedRoot(ctx context.Context, keys feed.Keys) ([]byte, error) {
	file := keys.SealedRootFile()
	sealed, err := readSmall(file)
	if err == nil { // sealed before, or interrupted while it was being sealed
		inside := *k
		inside.root = file
		_, err = inside.rootKey(ctx, keys)
		return sealed, err
	}
	root, err := k.rootKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	passphrase, err := k.ask.chosen(ctx, "the root key")
	if err != nil {
		return nil, err
	}
	return k.sealed(passphrase, feed.MarshalPrivateKey(root))
}

func (k *keyCommand) unseal(ctx context.Context) error {
	keys, err := k.keys()
	if err != nil {
		return err
	}
	root, err := k.rootKey(ctx, keys)
	if err != nil {
		return err
	}
	return k.change(func(f *feed.KeyFolder) error { return f.Unseal(root) })
}

// helps is the command that renews a channel note, for a root key in that place.
func (o *options) helps(root feed.RootPlace) string {
	if root == feed.RootElsewhere {
		return o.invocation("key", "renew", "--root", "FILE") + " (FILE has the root key)"
	}
	return o.invocation("key", "renew")
}
