package player

import (
	"errors"
	"fmt"
	"io"
	"time"

	"tailcast/feed"
)

// A Container is a kind of file that a Renderer makes.
type Container string

// The containers. Which of a program's tracks MP4 can carry is told by Omitted.
const (
	TS  Container = "ts"
	MP4 Container = "mp4"
)

// ErrProgramChange says that a rendering ends where the program became one that the file cannot go on with.
var ErrProgramChange = errors.New("the program becomes another one here, which a file of this kind cannot go on with; export what follows by itself, or as .ts")

// A Renderer makes one playable file of blocks that were verified: as a viewer would have seen them, on one timeline, without the tracks that
// the container cannot carry. What it makes is a rendering; nothing in it is signed. One goroutine uses it.
type Renderer struct {
	w        io.Writer
	out      *outlet
	pipeline *pipeline
	mp4      *mp4 // nil for TS
	stream   *stream
	times    restamper
	begun    bool // something was written
	err      error
}

// NewRenderer makes a Renderer that writes to w.
func NewRenderer(w io.Writer, c Container) *Renderer {
	r := &Renderer{w: w, out: newOutlet(), pipeline: newPipeline(func() time.Time { return time.Time{} })}
	open := func() *stream { return newStream(0, 0) }
	if c == MP4 {
		r.mp4 = &mp4{out: r.out, make: open, push: r.push}
		r.pipeline.formats = []format{r.mp4}
	} else {
		r.pipeline.formats = []format{newTSFormat(r.out, open, r.push)}
	}
	return r
}

// Block renders the next block. reset says that it does not continue the one before. A payload that cannot be read costs its segment, as
// it does a viewer.
func (r *Renderer) Block(b *feed.Block, epoch feed.EpochID, reset bool) error {
	_ = r.pipeline.block(b, epoch, reset) // it goes on with the next segment
	if _, err := r.out.now(); err != nil {
		return err
	}
	return r.err
}

// Close writes what is left. The error says if there was nothing to show.
func (r *Renderer) Close() error {
	if r.mp4 != nil && r.mp4.stream != nil {
		for _, t := range r.mp4.order {
			r.mp4.sound(t)
		}
		r.mp4.flush()
	}
	r.pipeline.close()
	if r.err == nil && !r.begun {
		return errors.New("nothing in it can be shown: no segment that begins with a picture or sound that this container can carry")
	}
	return r.err
}

// Omitted names the tracks that the file lacks, "" if none.
func (r *Renderer) Omitted() string {
	if r.stream == nil {
		return ""
	}
	return r.stream.omitted
}

// push is where the container's bytes come. A file begins where decoding can begin.
func (r *Renderer) push(s *stream, c chunk) {
	if r.stream == nil && c.start {
		r.stream = s
		r.write(s.header)
	}
	switch {
	case r.stream == nil:
	case s != r.stream:
		if r.err == nil {
			r.err = ErrProgramChange
		}
	default:
		r.write(r.times.restamp(c))
	}
}

func (r *Renderer) write(b []byte) {
	if r.err != nil || len(b) == 0 {
		return
	}
	r.begun = true
	if _, err := r.w.Write(b); err != nil {
		r.err = fmt.Errorf("couldn't write the file: %w", err)
	}
}
