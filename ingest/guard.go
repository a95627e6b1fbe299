package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// ErrPanic is what a run of a source ends with that panicked.
var ErrPanic = errors.New("the input made its parser panic")

// Guard runs f; if it panics, that is logged and returned as an error. It covers one goroutine alone: a source that parses in goroutines of its own
// guards each.
func Guard(log *slog.Logger, f func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: %v", ErrPanic, reason)
			log.Error("panic in an input", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
		}
	}()
	return f()
}
