package node

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestExitCodes(t *testing.T) {
	stopped := func(s syscall.Signal) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(interrupted{s})
		return ctx
	}
	running := context.Background()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		code   int
		stderr string
	}{
		{"nothing wrong", running, nil, ExitOK, ""},
		{"runtime", running, errors.New("the port is in use"), ExitRuntime, "x: the port is in use\n"},
		{"usage", running, Usagef("two inputs"), ExitUsage, "x: two inputs\nTry 'x --help'.\n"},
		{"configuration", running, Configuration(fs.ErrPermission), ExitConfiguration, "x: permission denied\n"},
		{"SIGTERM", stopped(syscall.SIGTERM), context.Canceled, ExitOK, ""},
		{"SIGINT", stopped(syscall.SIGINT), nil, ExitInterrupt, ""},
		{"trouble while stopping", stopped(syscall.SIGTERM), errors.New("disk full"), ExitRuntime, "x: disk full\n"},
	} {
		var stderr bytes.Buffer
		if code := report(c.ctx, &stderr, "x", c.err); code != c.code || stderr.String() != c.stderr {
			t.Errorf("%s: got %d %q, want %d %q", c.name, code, stderr.String(), c.code, c.stderr)
		}
	}
	if Configuration(nil) != nil {
		t.Error("Configuration(nil) is not nil")
	}
	if !strings.Contains(Configuration(fs.ErrPermission).Error(), "permission") {
		t.Error("Configuration hides its cause")
	}
}
