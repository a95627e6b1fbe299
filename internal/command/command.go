// Package command runs our own commands as a script would: it starts one, reads the object it prints with --json once it is
// ready, and stops it. The demo and the end-to-end tests use it.
package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Ready is what a command says on stdout when it is up.
type Ready struct {
	Event  string   `json:"event"`
	Role   string   `json:"role"`
	Link   string   `json:"link"`
	HTTP   string   `json:"http"`
	Listen []string `json:"listen"`
	RTSP   string   `json:"rtsp"`
	RTMP   string   `json:"rtmp"`
	RTMPS  string   `json:"rtmps"`
	SRT    string   `json:"srt"`
	Links  []string `json:"links"` // of a relay
	Pin    string   `json:"pin"`   // likewise
	LAN    []string `json:"lan"`   // of a viewer with --lan
}

// Process is a running command. Who started it calls Stop or Kill.
type Process struct {
	Ready
	Name   string
	cmd    *exec.Cmd
	stderr tail
	done   chan struct{} // closed when the process has ended
	err    error         // how; to be read once done is closed
}

// Config says how to start a process.
type Config struct {
	Bin    string    // folder of the commands
	Name   string    // streamer, viewer; digits after it tell several apart
	Args   []string  // besides --json, --listen and --http on free loopback ports
	Stdin  io.Reader // If nil, nothing
	Env    []string  // besides our own environment
	Stderr io.Writer // If nil, kept in part, see Process.Stderr
}

// Start returns when the command says that it is ready. If it ends before, the error holds what it wrote to stderr.
func Start(c Config) (*Process, error) {
	args := append([]string{}, c.Args...)
	args = append(args, "--json", "--log-format", "text")
	for _, flag := range []string{"--listen", "--http"} {
		if !has(args, flag) {
			args = append(args, flag, "127.0.0.1:0")
		}
	}
	p := &Process{Name: c.Name, done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(c.Bin, strings.TrimRight(c.Name, "0123456789")), args...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is the parent's to pass on, in order
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdin, p.cmd.Stderr = c.Stdin, &p.stderr
	if c.Stderr != nil {
		p.cmd.Stderr = io.MultiWriter(&p.stderr, c.Stderr)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (`make build` makes the commands)", err)
	}
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadBytes('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err == nil {
		err = json.Unmarshal(line, &p.Ready)
	}
	if err != nil {
		_ = p.Kill()
		return nil, fmt.Errorf("%s did not start: %s", c.Name, p.Stderr())
	}
	return p, nil
}

func has(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}

// LinkTo is the channel's link with this process as its only anchor.
func (p *Process) LinkTo() string {
	key, _, _ := strings.Cut(p.Link, "?")
	return key + "?a=" + p.Listen[0]
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stderr is the newest part of what the process wrote there.
func (p *Process) Stderr() string { return p.stderr.String() }

// Stop asks the process to end and waits until it has; an exit code other than 0 is an error.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

// Kill ends the process at once and waits until it has.
func (p *Process) Kill() error {
	err := p.end(syscall.SIGKILL)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// Interrupt is what Ctrl-C does; it returns the exit code.
func (p *Process) Interrupt() int {
	_ = p.end(syscall.SIGINT)
	return p.cmd.ProcessState.ExitCode()
}

func (p *Process) end(s syscall.Signal) error {
	_ = p.cmd.Process.Signal(s) // an error means that it has ended
	<-p.done
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.Name, p.err, p.Stderr())
	}
	return nil
}

// tailSize bounds what is kept of stderr.
const tailSize = 64 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}

// Signal sends a signal that does not end the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }
