// Package clip holds the eight seconds of video that `streamer demo` airs and that tests read, so that both work on a machine
// without ffmpeg or network. They are of Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0;
// README.md says how they were cut and why they loop without a gap.
package clip

import (
	_ "embed"
	"io"
	"strings"
	"time"
)

//go:embed bbb.ts
var ts string

// Credit is the line that goes wherever the clip is shown.
const Credit = "Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0"

// Bytes is the clip, an MPEG transport stream of one program; the slice is the caller's own.
func Bytes() []byte { return []byte(ts) }

// Duration is how long the clip plays before it begins again.
const Duration = 8 * time.Second

// Open is the clip as a file would be opened.
func Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(ts)), nil }
