package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes of every command; scripts rely on them. 78 is EX_CONFIG of sysexits.h, 130 is 128 + SIGINT.
const (
	ExitOK            = 0
	ExitRuntime       = 1
	ExitUsage         = 2
	ExitConfiguration = 78
	ExitInterrupt     = 130
)

// ShutdownTime bounds how long a command takes to say goodbye after SIGTERM or SIGINT.
const ShutdownTime = 10 * time.Second

// coded is an error that knows its exit code.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// Usagef reports a command line that cannot be meant: exit code 2.
func Usagef(format string, args ...any) error {
	return coded{fmt.Errorf(format, args...), ExitUsage}
}

// Configuration marks err as trouble with what the command was given to work with (a file, a directory, an environment
// variable): exit code 78. Nil stays nil.
func Configuration(err error) error {
	if err == nil {
		return nil
	}
	return coded{err, ExitConfiguration}
}

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ os.Signal }

func (i interrupted) Error() string { return "stopped by " + i.Signal.String() }

// Main runs root until it ends by itself or by a signal, reports an error on stderr in one sentence and returns the exit code.
// A second signal, or ShutdownTime after the first, ends the process at once.
func Main(root *cobra.Command) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		first := interrupted{<-signals}
		cancel(first)
		select {
		case <-signals:
		case <-time.After(ShutdownTime):
			fmt.Fprintln(os.Stderr, "could not finish in time, ending now")
		}
		os.Exit(exitCode(ctx, first))
	}()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return coded{err, ExitUsage} })
	err := root.ExecuteContext(ctx)
	return report(ctx, os.Stderr, root.Name(), err)
}

func report(ctx context.Context, stderr io.Writer, name string, err error) int {
	code := exitCode(ctx, err)
	if err != nil && code != ExitOK && code != ExitInterrupt {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
	}
	if code == ExitUsage {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", name)
	}
	return code
}

// exitCode: an end that a signal asked for is not an error.
func exitCode(ctx context.Context, err error) int {
	var stop interrupted
	if errors.As(context.Cause(ctx), &stop) && (err == nil || errors.Is(err, context.Canceled) || errors.As(err, &stop)) {
		if stop.Signal == syscall.SIGTERM {
			return ExitOK
		}
		return ExitInterrupt
	}
	var c coded
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &c):
		return c.code
	default:
		return ExitRuntime
	}
}
