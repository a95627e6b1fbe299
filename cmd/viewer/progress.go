package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A progress is one line on a terminal that says how far a long reading is. Elsewhere it says nothing.
type progress struct {
	w     io.Writer // nil: say nothing
	what  string
	begin time.Time
	said  time.Time
	width int // of what stands there
}

const progressEvery = 200 * time.Millisecond

func newProgress(f *os.File, what string) *progress {
	p := &progress{what: what, begin: time.Now()}
	if term.IsTerminal(int(f.Fd())) {
		p.w = f
	}
	return p
}

// at tells that done bytes of total are read.
func (p *progress) at(done, total int64) {
	now := time.Now()
	if p.w == nil || now.Sub(p.said) < progressEvery {
		return
	}
	p.said = now
	const bar = 30
	part := 1.0
	if total > 0 {
		part = min(1, float64(done)/float64(total))
	}
	full := int(part * bar)
	rate := float64(done) / 1e6 / max(0.001, now.Sub(p.begin).Seconds())
	p.say(fmt.Sprintf("%s [%s%s] %3.0f %%  %.0f of %.0f MB, %.0f MB/s", p.what, strings.Repeat("=", full), strings.Repeat(" ", bar-full),
		100*part, float64(done)/1e6, float64(total)/1e6, rate))
}

// done clears the line.
func (p *progress) done() {
	if p.w != nil && p.width > 0 {
		p.say("")
		fmt.Fprint(p.w, "\r")
	}
}

func (p *progress) say(line string) {
	fmt.Fprintf(p.w, "\r%-*s", p.width, line)
	p.width = len(line)
}

// A progressReader tells how far a file has been read.
type progressReader struct {
	io.Reader
	done, total int64
	progress    *progress
}

func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.done += int64(n)
	r.progress.at(r.done, r.total)
	return n, err
}
