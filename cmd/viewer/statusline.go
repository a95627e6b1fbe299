package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mdp/qrterminal/v3"
	"golang.org/x/term"

	"tailcast/node"
)

// A statusLine is the last line of a terminal: what the node says of itself, written anew each second. What is logged comes above it. Where nobody
// looks there is none, and the log is all.
type statusLine struct {
	out   io.Writer
	shown bool // there is one
	width func() int

	mu   sync.Mutex // guards what follows, and writes to out
	text string
}

func newStatusLine(f *os.File, wanted bool) *statusLine {
	return &statusLine{
		out: f, shown: wanted && node.IsTerminal(f) && os.Getenv("TERM") != "dumb",
		width: func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil {
				return w
			}
			return 80
		},
	}
}

// wipe returns to the line's beginning and wipes it (ECMA-48, EL).
const wipe = "\r\x1b[K"

// Write writes what is logged, above the line.
func (l *statusLine) Write(b []byte) (int, error) {
	if !l.shown {
		return l.out.Write(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := io.WriteString(l.out, wipe+string(b)+l.text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// run writes the line until ctx ends.
func (l *statusLine) run(ctx context.Context, c *node.Channel) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.set("")
			return ctx.Err()
		case <-tick.C:
		}
		if l.shown {
			s := c.Status()
			l.set(summary(&s))
		}
	}
}

func (l *statusLine) set(text string) {
	if !l.shown {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = cut(text, l.width()-1)
	_, _ = io.WriteString(l.out, wipe+l.text) // a terminal that is gone
}

func cut(s string, width int) string {
	if r := []rune(s); len(r) > max(width, 0) {
		return string(r[:max(width, 0)])
	}
	return s
}

// summary is a status in one line.
func summary(s *node.Status) string {
	var up, down float64
	for _, p := range s.Peers {
		up, down = up+p.Up, down+p.Down
	}
	parts := []string{s.Reason, fmt.Sprintf("%d peers", len(s.Peers))}
	if len(s.Peers) == 1 {
		parts[1] = "1 peer"
	}
	parts = append(parts, fmt.Sprintf("in %.1f Mbit/s, out %.1f", down/1e6, up/1e6))
	if got := s.Bytes.Received.Media + s.Bytes.Received.Repair; got > 0 {
		parts = append(parts, fmt.Sprintf("passed on %.1fx", float64(s.Bytes.Sent.Media+s.Bytes.Sent.Repair)/float64(got)))
	}
	if s.Blocks.Rejected > 0 {
		parts = append(parts, fmt.Sprintf("%d forged blocks refused", s.Blocks.Rejected))
	}
	return strings.Join(parts, " · ")
}

// showQR draws the first address for the camera of a phone, if somebody looks.
func showQR(f *os.File, urls []string) {
	if len(urls) == 0 || !node.IsTerminal(f) {
		return
	}
	qrterminal.GenerateWithConfig(urls[0], qrterminal.Config{
		Level: qrterminal.L, Writer: f, HalfBlocks: true, QuietZone: 2,
		BlackChar: qrterminal.BLACK_BLACK, WhiteBlackChar: qrterminal.WHITE_BLACK, WhiteChar: qrterminal.WHITE_WHITE, BlackWhiteChar: qrterminal.BLACK_WHITE,
	})
}
