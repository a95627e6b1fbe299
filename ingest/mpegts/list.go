package mpegts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
)

// What a list may hold.
const (
	maxListBytes = 4 << 20
	maxListItems = 100_000
)

// IsList tells whether a path names a list of recordings, .m3u or .m3u8: one path a line, relative to the list's folder; lines with #
// are comments. A list that HLS packagers write is understood as well, as long as its segments are plain TS.
func IsList(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".m3u", ".m3u8":
		return true
	}
	return false
}

// expand is what a name on the command line stands for.
func expand(name string) ([]item, error) {
	if !IsList(name) {
		return []item{{path: name}}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxListBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxListBytes {
		return nil, fmt.Errorf("the list is longer than %d bytes", maxListBytes)
	}
	return parseList(text, filepath.Dir(name))
}

// parseList reads a list that lies in dir.
func parseList(text []byte, dir string) ([]item, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var items []item
	var err error
	switch {
	case bytes.Contains(text, []byte("#EXT-X-STREAM-INF:")):
		return nil, errors.New("this is a master playlist of HLS: name one of the playlists in it")
	case bytes.Contains(text, []byte("#EXT-X-TARGETDURATION:")):
		items, err = parseHLS(text)
	default:
		items = parseLines(text)
	}
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0:
		return nil, errors.New("the list is empty")
	case len(items) > maxListItems:
		return nil, fmt.Errorf("the list names %d files, %d are the most", len(items), maxListItems)
	}
	for i := range items {
		items[i].path, items[i].err = locate(items[i].path, dir)
	}
	return items, nil
}

// parseLines reads a plain list.
func parseLines(text []byte) (items []item) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxListBytes+1)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			items = append(items, item{path: line})
		}
	}
	return items
}

// parseHLS reads a media playlist of HLS (RFC 8216) whose segments are files.
func parseHLS(text []byte) (items []item, err error) {
	var list playlist.Media
	if err := list.Unmarshal(append(text, '\n')); err != nil {
		return nil, fmt.Errorf("this is no playlist of HLS: %w", err)
	}
	if list.Map != nil {
		return nil, errors.New("its segments are fMP4: serve it over HTTP and give its URL, or remux it to .ts")
	}
	for i, s := range list.Segments {
		switch {
		case s.Key != nil && s.Key.Method != playlist.MediaKeyMethodNone:
			return nil, errors.New("its segments are encrypted: serve it over HTTP and give its URL")
		case s.ByteRangeLength != nil:
			return nil, errors.New("its segments are parts of a file: name the file instead")
		case s.Gap:
			continue
		}
		items = append(items, item{path: s.URI, continues: i > 0 && !s.Discontinuity})
	}
	return items, nil
}

// locate is the path that a line of a list in dir means.
func locate(line, dir string) (string, error) {
	if strings.HasPrefix(strings.ToLower(line), "file://") {
		u, err := url.Parse(line)
		if err != nil {
			return line, fmt.Errorf("this is no URL: %w", err)
		}
		return filepath.FromSlash(u.Path), nil
	}
	if strings.Contains(line, "://") {
		return line, errors.New("this is no file: a list names .ts files")
	}
	if IsList(line) {
		return line, errors.New("this is another list: a list names .ts files")
	}
	if filepath.IsAbs(line) {
		return line, nil
	}
	return filepath.Join(dir, filepath.FromSlash(line)), nil
}
