package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tailcast/feed"
)

// Window is the value of --window: how much of the past stays on disk, as a time (2h, 7d), a size (50GB), or both (2h,50GB). It is a pflag.Value.
type Window struct {
	feed.Retention
	text string
}

func (w *Window) String() string { return w.text }

// Type implements pflag.Value.
func (w *Window) Type() string { return "window" }

// Set implements pflag.Value. The value replaces the one before.
func (w *Window) Set(text string) error {
	var r feed.Retention
	for part := range strings.SplitSeq(text, ",") {
		if err := setPart(&r, part); err != nil {
			return err
		}
	}
	w.Retention, w.text = r, text
	return nil
}

// setPart reads a time, which ends in a small letter, or a size, which ends in B.
func setPart(r *feed.Retention, part string) (err error) {
	switch {
	case strings.HasSuffix(part, "B") && r.Bytes > 0 || !strings.HasSuffix(part, "B") && r.For > 0:
		return errors.New("want one time and one size at most, as in 2h,50GB")
	case strings.HasSuffix(part, "B"):
		r.Bytes, err = parseSize(part)
	default:
		r.For, err = parseTime(part)
	}
	return err
}

const day = 24 * time.Hour

// parseTime is time.ParseDuration with days before the rest.
func parseTime(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	var d time.Duration
	if rest != "" && err == nil {
		d, err = time.ParseDuration(rest)
	}
	if d += time.Duration(n) * day; err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is neither a time, as in 90m, 2h or 7d, nor a size, as in 50GB", text)
	}
	return d, nil
}

// History is what a node keeps of a channel's past on disk.
type History struct {
	Keep   bool // blocks at all
	Window feed.Retention
}

// History returns what the flags ask for, given what a node of its kind does without them.
func (f *Flags) History(otherwise bool) (History, error) {
	windowed := f.Window.Retention != feed.Retention{}
	if f.Archive && windowed {
		return History{}, Usagef("--archive keeps everything, --window %v does not: want one of them", &f.Window)
	}
	return History{Keep: f.Archive || windowed || otherwise, Window: f.Window.Retention}, nil
}
