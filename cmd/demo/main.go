// Demo shows the whole way of a block on one machine: `streamer demo` and four viewers, each of which is told only of the one before
// it. They hear of the others and share the stream among them; every ten seconds a line says who has passed on how much. It uses the
// commands as a user would and ends all of them on Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"tailcast/internal/command"
)

const (
	viewers    = 4
	shareEvery = 10 * time.Second
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "tailcast-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var chain []*command.Process
	defer func() {
		for _, p := range chain {
			err = errors.Join(err, p.Stop())
		}
	}()
	for i := range 1 + viewers {
		name, source := "streamer", "demo"
		if i > 0 {
			name, source = fmt.Sprint("viewer", i), chain[i-1].LinkTo()
		}
		p, err := start(dir, name, source)
		if err != nil {
			return err
		}
		chain = append(chain, p)
	}
	introduce(out, chain)
	return wait(ctx, out, chain)
}

func start(dir, name, source string) (*command.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return command.Start(command.Config{
		Bin:    filepath.Dir(self),
		Name:   name,
		Args:   []string{source, "--data", filepath.Join(dir, name), "--log-level", "warn"},
		Stderr: os.Stderr,
	})
}

func introduce(out io.Writer, chain []*command.Process) {
	fmt.Fprintf(out, "\nOn air: %s\n\n", chain[0].Link)
	for i, p := range chain[1:] {
		fmt.Fprintf(out, "  %s was told of %-8s  %s\n", p.Name, chain[i].Name, p.HTTP)
	}
	page := chain[len(chain)-1].HTTP
	fmt.Fprintf(out, "\nOpen %s\n  or  mpv --profile=low-latency '%s/live.ts?join=next'\n\nCtrl-C ends the demo.\n\n", page, page)
	openBrowser(page)
}

// openBrowser does so where there is a desktop; the address has been printed anyway.
func openBrowser(url string) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	if cmd := exec.Command("xdg-open", url); cmd.Start() == nil {
		_ = cmd.Process.Release() // the browser is the user's
	}
}

// wait says how the load is shared until ctx ends. It returns an error as soon as one of the processes ends.
func wait(ctx context.Context, out io.Writer, chain []*command.Process) error {
	ended := make(chan string, len(chain))
	for _, p := range chain {
		go func() {
			<-p.Done() // run stops every process, so this ends too
			ended <- p.Name
		}()
	}
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintln(out, sharing(shares(chain)))
		case <-ctx.Done():
			return nil
		case name := <-ended:
			return fmt.Errorf("%s ended unexpectedly", name)
		}
	}
}
