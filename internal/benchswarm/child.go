package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

// A spec says what a child is to do: the first thing that it reads.
type spec struct {
	Stream  stream
	Dir     string // of the streamer: where its channel is kept
	Copies  int    // of the streamer: how often it sends each block. If zero, as the swarm does
	Idle    bool   // the streamer has room for all viewers, whatever they want; these want nothing but the catalog
	Viewers int    // in this process; of the streamer: at all
	NoShare bool
	Link    string    // of viewers
	Begin   time.Time // when the first block was due
	Join    time.Time // when the first viewer starts
	Every   time.Duration
	Profile string // how the names of profiles begin. If empty, there are none
}

// A ready is what the streamer says when it is up.
type ready struct {
	Link  string
	Begin time.Time // when the first block was due
}

// A window is what is measured.
type window struct{ From, To time.Time }

// seconds is how many there are, the last perhaps not a whole one.
func (w window) seconds() int { return int((w.To.Sub(w.From) + time.Second - 1) / time.Second) }

func (w window) contains(t time.Time) bool { return !t.Before(w.From) && t.Before(w.To) }

// roleFlag comes before the role of a child: streamer or viewers.
const roleFlag = "-role"

// child runs a role until stdin ends, and returns the exit code.
func child(role string) int {
	signal.Ignore(os.Interrupt) // Ctrl-C is for the parent
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var s spec
	err := in.Decode(&s)
	if err == nil {
		switch role {
		case "streamer":
			err = streamer(s, in, out)
		case "viewers":
			err = viewers(s, in, out)
		default:
			err = fmt.Errorf("unknown role %q", role)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "benchswarm %s: %v\n", role, err)
		return 1
	}
	return 0
}

// untilEOF ends ctx when the parent closes our stdin, or is gone.
func untilEOF(in *json.Decoder) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, io.MultiReader(in.Buffered(), os.Stdin))
	}()
	return ctx
}

// sleep waits until t. It returns false if ctx ended before.
func sleep(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A process is a child as its parent sees it.
type process struct {
	role   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	done   chan struct{} // closed when the child has ended
	result report        // to be read once done is closed, as err
	err    error
}

// launch starts this program in a role. The child is killed when ctx ends.
func launch(ctx context.Context, role string, s spec) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{role: role, cmd: exec.CommandContext(ctx, self, roleFlag, role), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	_ = p.send(s) // if the child has died, it is known when it says nothing
	return p, nil
}

func (p *process) send(v any) error { return json.NewEncoder(p.in).Encode(v) }

// await takes in the report, until when the child reads and says nothing else. If there is none, it calls died.
func (p *process) await(died func(error)) {
	defer close(p.done)
	err := p.out.Decode(&p.result)
	if p.err = p.cmd.Wait(); err != nil {
		p.err = fmt.Errorf("the %s reported nothing: %w", p.role, errors.Join(err, p.err))
		died(p.err)
	}
}

// report ends the child and returns what it has measured.
func (p *process) report() (report, error) {
	p.in.Close()
	<-p.done
	return p.result, p.err
}
