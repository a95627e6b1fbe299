package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tailcast/feed"
	"tailcast/internal/durable"
	"tailcast/internal/seal"
	"tailcast/node"
)

// keyCommand is what the commands below `streamer key` share. Each of them is run once.
type keyCommand struct {
	*options
	sealer seal.Sealer // a low work factor in tests
	ask    passphrases

	root       string // file with the root key, if it is not in --data
	note       string // file with the present channel note, likewise
	out        string // where a note goes that is not for --data
	stations   []string
	days       int
	keepOthers bool
	generation uint64
	next       bool
	move       string
}

// keyUsage leaves out the flags of going live.
const keyUsage = `Usage:
  {{.UseLine}}{{if .HasAvailableSubCommands}} COMMAND

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

      --data DIR        directory for keys, notes and history
      --config FILE     TOML file with values for flags
      --json            print facts as one JSON object a line
`

func keyCommands(o *options, sealer seal.Sealer) *cobra.Command {
	k := &keyCommand{options: o, sealer: sealer}
	key := &cobra.Command{
		Use:   "key",
		Short: "Show, back up, seal, rotate and renew the keys of the channel",
		Long: `Show, back up, seal, rotate and renew the keys of the channel.

The root key is the channel: its public half is the link. It signs the channel note, which names up to
four station keys and ends after 90 days as a rule. A station key opens a new epoch at each start of a
streamer. All three are in --data; the root key can be sealed with a passphrase and kept elsewhere.

All of these commands may be used while the streamer runs: it sees within seconds what has changed.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return node.Usagef("key %s: there is no such command", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	key.SetUsageTemplate(keyUsage)
	key.AddCommand(k.showCommand(), k.backupCommand(), k.restoreCommand(), k.sealCommand(), k.unsealCommand(),
		k.renewCommand(), k.rotateCommand(), k.requestCommand(), k.installCommand(), k.streamCommand())
	for _, c := range key.Commands() {
		run := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := o.Load(); err != nil {
				return err
			}
			return run(cmd, args)
		}
	}
	return key
}

// exactly refuses other numbers of arguments, as a usage error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return node.Usagef("got %d arguments, want %s", len(args), what)
		}
		return nil
	}
}

func (k *keyCommand) passphraseFlag(c *cobra.Command) {
	c.Flags().StringVar(&k.ask.file, "passphrase-file", "", "`file` whose first line is the passphrase, for scripts; nobody else may read it")
}

func (k *keyCommand) rootFlag(c *cobra.Command) {
	c.Flags().StringVar(&k.root, "root", "", "`file` with the root key, sealed or not, if it is not in --data")
	k.passphraseFlag(c)
}

// keys tells what is in --data; it must be something.
func (k *keyCommand) keys() (feed.Keys, error) {
	keys, err := feed.ReadKeys(k.Data)
	if errors.Is(err, feed.ErrNoKeys) {
		err = fmt.Errorf("%w (start the streamer once to make a channel, or restore a backup, or name another --data)", err)
	}
	return keys, node.Configuration(err)
}

// change does something with the keys in --data, then tells what they are.
func (k *keyCommand) change(do func(*feed.KeyFolder) error) (err error) {
	folder, err := feed.ChangeKeys(k.Data)
	if err != nil {
		return node.Configuration(err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if err := do(folder); err != nil {
		return node.Configuration(err)
	}
	return k.tell(folder.Keys())
}

// rootKey returns the root key: that of --root, or that in --data. Passphrases are asked for here, before anything is locked.
func (k *keyCommand) rootKey(ctx context.Context, keys feed.Keys) (ed25519.PrivateKey, error) {
	file := k.root
	switch {
	case file != "":
	case keys.Root == feed.RootHere:
		file = keys.RootFile()
	case keys.Root == feed.RootSealed:
		file = keys.SealedRootFile()
	default:
		return nil, node.Usagef("the root key is not in %s: name its file with --root", k.Data)
	}
	text, err := readSmall(file)
	if err != nil {
		return nil, node.Configuration(err)
	}
	if text, err = k.opened(ctx, file, text); err != nil {
		return nil, err
	}
	root, err := feed.ParsePrivateKey(text)
	if err == nil && keys.Channel != nil && *keys.Channel != feed.PublicKeyOf(root) {
		err = fmt.Errorf("it is %w: of %v, want %v", feed.ErrOtherChannel, feed.PublicKeyOf(root), *keys.Channel)
	}
	if err != nil {
		return nil, node.Configuration(fmt.Errorf("root key in %s: %w", file, err))
	}
	return root, nil
}

// opened returns what is in a file of secrets, sealed or not.
func (k *keyCommand) opened(ctx context.Context, file string, text []byte) ([]byte, error) {
	if !seal.Is(text) {
		return text, node.Configuration(private(file))
	}
	passphrase, err := k.ask.known(ctx, file)
	if err != nil {
		return nil, err
	}
	plain, err := seal.Open(passphrase, text)
	if err != nil {
		return nil, node.Configuration(fmt.Errorf("%s: %w", file, err))
	}
	return plain, nil
}

// sealed seals, and opens again what came out: a secret is removed only after that.
func (k *keyCommand) sealed(passphrase string, plain []byte) ([]byte, error) {
	sealed, err := k.sealer.Seal(passphrase, plain)
	if err != nil {
		return nil, err
	}
	if again, err := seal.Open(passphrase, sealed); err != nil || string(again) != string(plain) {
		return nil, errors.Join(errors.New("what was sealed does not open again; nothing was changed"), err)
	}
	return sealed, nil
}

// private refuses a file with a secret that others can read.
func private(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", file, mode, file)
	}
	return nil
}

// readSmall reads a file that cannot be large.
func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, seal.MaxSealed+1))
	if err == nil && len(text) > seal.MaxSealed {
		err = fmt.Errorf("%s has more than %d bytes: it is something else", file, seal.MaxSealed)
	}
	return text, err
}

// createNew writes a file that must not exist yet. A crash leaves a part of it, and whatever it was made from.
func createNew(file string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return exists(file)
	}
	if err != nil {
		return node.Configuration(err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = durable.SyncDir(filepath.Dir(file))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("couldn't write %s: %w", file, err), os.Remove(file))
	}
	return nil
}

// absent refuses a file that exists, before people are asked for a passphrase.
func absent(file string) error {
	if _, err := os.Lstat(file); err == nil {
		return exists(file)
	}
	return nil
}

func exists(file string) error {
	return node.Configuration(fmt.Errorf("%s exists: name another file, or move that one away", file))
}

// say tells people what scripts need not know.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// invocation is a command line that people can copy: it names --data if that is not the default.
func (o *options) invocation(args ...string) string {
	line := append([]string{"streamer"}, args...)
	if o.Data != node.DataDir("streamer") {
		line = append(line, "--data", quoted(o.Data))
	}
	return strings.Join(line, " ")
}

// quoted is a word as a shell needs it.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@%") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// daysLeft is how many whole days remain until t; negative once it has passed.
func daysLeft(t time.Time) int {
	left := time.Until(t)
	if left < 0 {
		return -1 - int(-left/(24*time.Hour))
	}
	return int(left / (24 * time.Hour))
}
