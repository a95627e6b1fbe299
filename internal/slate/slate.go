// Package slate holds the clip that a streamer can show while none of its inputs delivers: "One moment, please" on a plain ground, with
// silence. README.md says how it was made. It is coded already, since nothing here encodes.
package slate

import (
	_ "embed"
	"io"
	"strings"
)

//go:embed slate.ts
var ts string

// Open is the clip as a file would be opened.
func Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(ts)), nil }
