package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tailcast/feed"
)

// TestMain lets scripts run this test binary as the relay.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector sleeps for a second at the end of each process
	testscript.Main(m, map[string]func(){"relay": main})
}

// TestScripts runs the scripts in testdata: what operators type, and what they get. LINK is that of a channel that nobody airs.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TAILCAST_LISTEN", "127.0.0.1:0")
			e.Setenv("TAILCAST_HTTP", "127.0.0.1:0")
			e.Setenv("KEY", testRoot(t, 1).String())
			e.Setenv("LINK", testLink(t, 1, "127.0.0.1:9").String())
			e.Setenv("OTHER", testLink(t, 2, "127.0.0.1:9").String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "lock": lock},
	})
}

// fails CODE COMMAND... wants that exit code.
func fails(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("got %v, want exit code %s", err, args[0])
	}
}

// lock DIR takes a data directory, as another relay does.
func lock(ts *testscript.TestScript, _ bool, args []string) {
	f, err := feed.LockDir(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() })
}
