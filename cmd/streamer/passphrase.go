package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"tailcast/node"
)

const (
	// shortestPassphrase is for new ones; what was sealed elsewhere with a shorter one can be opened.
	shortestPassphrase = 8
	longestPassphrase  = 1024
)

// passphrases come from --passphrase-file, or from whoever sits at the terminal. They are never taken from arguments or the environment, where
// every process of this user could read them, and no message holds one.
type passphrases struct {
	file string // If empty, the terminal is asked.
}

// known asks for a passphrase that something was sealed with.
func (p passphrases) known(ctx context.Context, what string) (string, error) {
	if p.file != "" {
		return p.read()
	}
	return askTerminal(ctx, "Passphrase of "+what+": ")
}

// chosen asks for a new passphrase: twice, for what is mistyped seals for ever.
func (p passphrases) chosen(ctx context.Context, what string) (string, error) {
	if p.file != "" {
		return longEnough(p.read())
	}
	first, err := longEnough(askTerminal(ctx, "New passphrase for "+what+": "))
	if err != nil {
		return "", err
	}
	second, err := askTerminal(ctx, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", node.Configuration(errors.New("the two passphrases differ; nothing was changed"))
	}
	return first, nil
}

func longEnough(passphrase string, err error) (string, error) {
	if err == nil && len(passphrase) < shortestPassphrase {
		err = node.Configuration(fmt.Errorf("a passphrase of %d characters can be guessed: take %d at least, better five random words", len(passphrase), shortestPassphrase))
	}
	return passphrase, err
}

// read returns the first line of the file, which nobody else may read.
func (p passphrases) read() (string, error) {
	f, err := os.Open(p.file)
	if err != nil {
		return "", node.Configuration(fmt.Errorf("--passphrase-file: %w", err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", node.Configuration(fmt.Errorf("--passphrase-file: %s can be read by others (mode %04o): run chmod 600 %s", p.file, mode, p.file))
	}
	text, err := io.ReadAll(io.LimitReader(f, longestPassphrase+2))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > longestPassphrase {
		return "", node.Configuration(fmt.Errorf("--passphrase-file: want 1 to %d characters in the first line of %s", longestPassphrase, p.file))
	}
	return line, nil
}

// askTerminal asks without showing what is typed. The terminal is put right again when ctx ends; the read itself cannot be interrupted, and ends
// with the process, which is about to.
func askTerminal(ctx context.Context, question string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", node.Usagef("there is no terminal to ask for a passphrase: name a file that holds it with --passphrase-file")
	}
	defer tty.Close()
	fd := int(tty.Fd())
	shown, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(tty, question)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		fmt.Fprintln(tty)
		if a.err != nil {
			return "", fmt.Errorf("terminal: %w", a.err)
		}
		return string(a.text), nil
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, shown))
	}
}
