// Demo shows the whole way of a block on one machine: `streamer demo` and three viewers in a chain, each of which knows only the
// one before it. It uses the commands as a user would, reads what they print for scripts, and ends all of them on Ctrl-C.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const viewers = 3

// ready is what a command prints with --json once it is up.
type ready struct {
	Link   string   `json:"link"`
	HTTP   string   `json:"http"`
	Listen []string `json:"listen"`
}

// process is a running command; its owner calls stop, once.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how, once done is closed
	ready
}

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
	var chain []*process
	defer func() {
		for _, p := range chain {
			err = errors.Join(err, p.stop())
		}
	}()
	streamer, err := start(dir, "streamer", "demo")
	if err != nil {
		return err
	}
	chain = append(chain, streamer)
	for i := range viewers {
		before := chain[len(chain)-1]
		v, err := start(dir, fmt.Sprint("viewer", i+1), before.link())
		if err != nil {
			return err
		}
		chain = append(chain, v)
	}
	introduce(out, chain)
	return wait(ctx, chain)
}

// start runs bin/<kind of name> and waits until it is ready.
func start(dir, name, arg string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	kind := strings.TrimRight(name, "0123456789")
	cmd := exec.Command(filepath.Join(filepath.Dir(self), kind), arg, "--json", "--data", filepath.Join(dir, name),
		"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "warn")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on, in order
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (has `make build` been run?)", err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err == nil {
		err = json.Unmarshal(line, &p.ready)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", name, err), p.stop())
	}
	return p, nil
}

// link leads to this process only, so that each viewer knows just the one before it.
func (p *process) link() string {
	key, _, _ := strings.Cut(p.Link, "?")
	return key + "?a=" + p.Listen[0]
}

func introduce(out io.Writer, chain []*process) {
	fmt.Fprintf(out, "\nOn air: %s\n\n", chain[0].Link)
	for i, p := range chain[1:] {
		fmt.Fprintf(out, "  %s watches %-9s %s\n", p.name, chain[i].name, p.HTTP)
	}
	last := chain[len(chain)-1]
	fmt.Fprintf(out, "\nOpen %s\n  or  mpv --profile=low-latency '%s/live.ts?join=next'\n\nCtrl-C ends the demo.\n", last.HTTP, last.HTTP)
	openBrowser(last.HTTP)
}

// openBrowser does so where there is a desktop; the address has been printed anyway.
func openBrowser(url string) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	if cmd := exec.Command("xdg-open", url); cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // a browser that outlives us is the user's
	}
}

// wait returns when ctx ends, or with an error as soon as one of the processes does.
func wait(ctx context.Context, chain []*process) error {
	ended := make(chan string, len(chain))
	for _, p := range chain {
		go func() {
			<-p.done
			ended <- p.name
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case name := <-ended:
		return fmt.Errorf("%s ended unexpectedly", name)
	}
}

// stop asks the process to end and waits until it has.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means it has ended
	<-p.done
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}
