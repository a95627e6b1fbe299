package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"tailcast/feed"
)

// maxList bounds the files that are read: a list of ten thousand links has a megabyte.
const maxList = 8 << 20

// readList returns what stands in the lines of a file, each read by parse. What follows # is a comment. An error names the line.
func readList[T any](file string, parse func(string) (T, error)) (list []T, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	whole := &io.LimitedReader{R: f, N: maxList}
	lines := bufio.NewScanner(whole)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		item, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, number, err)
		}
		list = append(list, item)
	}
	switch {
	case errors.Is(lines.Err(), bufio.ErrTooLong):
		return nil, fmt.Errorf("%s is no list: a line is longer than %d characters", file, bufio.MaxScanTokenSize)
	case whole.N == 0:
		return nil, fmt.Errorf("%s is no list: it is longer than %d bytes", file, maxList)
	}
	return list, lines.Err()
}

// parseRoot reads a root key: 52 characters, a whole link, or what stands between tailcast: and ? in one.
func parseRoot(text string) (feed.PublicKey, error) {
	const named = 56 // characters of a link's name: root key, checksum, version
	if len(text) == named {
		text = "tailcast:" + text
	}
	if link, err := feed.ParseLink(text); err == nil || strings.Contains(text, ":") {
		return link.Root, err
	}
	root, err := feed.DecodePublicKey(strings.ToLower(text))
	if err != nil {
		return root, fmt.Errorf("neither a root key nor a link: %w", err)
	}
	return root, nil
}

// lists are where a relay takes its channels from.
type lists struct {
	links []feed.Link // of the command line
	file  string      // with more of them; empty: none
	deny  string      // file of root keys that are not seeded; empty: none
}

// read returns the channels to seed, one link for each, and those of them that the deny list forbids.
func (l *lists) read() (wanted, denied []feed.Link, err error) {
	links := l.links
	if l.file != "" {
		more, err := readList(l.file, feed.ParseLink)
		if err != nil {
			return nil, nil, fmt.Errorf("--links: %w", err)
		}
		links = slices.Concat(links, more)
	}
	var forbidden []feed.PublicKey
	if l.deny != "" {
		if forbidden, err = readList(l.deny, parseRoot); err != nil {
			return nil, nil, fmt.Errorf("--deny: %w", err)
		}
	}
	for _, link := range merge(links) {
		if slices.Contains(forbidden, link.Root) {
			denied = append(denied, link)
		} else {
			wanted = append(wanted, link)
		}
	}
	return wanted, denied, nil
}

// merge makes one link of all that name a channel, with the addresses of each.
func merge(links []feed.Link) (merged []feed.Link) {
	for _, link := range links {
		at := slices.IndexFunc(merged, func(m feed.Link) bool { return m.Root == link.Root })
		if at < 0 {
			at = len(merged)
			merged = append(merged, feed.Link{Root: link.Root})
		}
		for _, a := range link.Anchors {
			if !slices.ContainsFunc(merged[at].Anchors, func(b feed.Anchor) bool { return a.String() == b.String() }) {
				merged[at].Anchors = append(merged[at].Anchors, a)
			}
		}
	}
	return merged
}
