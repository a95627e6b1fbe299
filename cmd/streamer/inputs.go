package main

import (
	"net/url"
	"os"
	"strings"

	"tailcast/node"
)

// kind of an INPUT, told by its spelling.
type kind int

const (
	push kind = iota // none given: wait for an encoder
	file
	stdin
	udp
	rtspPull
	httpPull
)

// input is what the command line asked for; url is nil for a file.
type input struct {
	kind kind
	text string
	url  *url.URL
}

// schemes of inputs that are URLs.
var schemes = map[string]kind{"udp": udp, "rtsp": rtspPull, "rtsps": rtspPull, "http": httpPull, "https": httpPull}

// parseInput refuses early, with a hint, what could not work later.
func parseInput(args []string) (input, error) {
	switch {
	case len(args) == 0:
		return input{kind: push}, nil
	case len(args) > 1:
		return input{}, node.Usagef("%d inputs: one at a time, please; several renditions of a channel cannot be aired yet", len(args))
	case args[0] == "-":
		return input{kind: stdin, text: "standard input"}, nil
	case strings.Contains(args[0], "://"):
		return parseURL(args[0])
	}
	return parseFile(args[0])
}

func parseURL(text string) (input, error) {
	u, err := url.Parse(text)
	if err != nil {
		return input{}, node.Usagef("INPUT is no URL: %v", err)
	}
	k, ok := schemes[u.Scheme]
	if !ok {
		return input{}, node.Usagef("INPUT %s://: want a .ts file, - (standard input), udp://, rtsp:// or http(s)://", u.Scheme)
	}
	if u.Host == "" || k == udp && u.Port() == "" {
		return input{}, node.Usagef("INPUT %s: want %s://host:port", shown(u), u.Scheme)
	}
	return input{kind: k, text: shown(u), url: u}, nil
}

// shown is a URL as it may be shown: without password and query, either of which may hold a secret.
func shown(u *url.URL) string {
	public := *u
	public.RawQuery = ""
	return public.Redacted()
}

func parseFile(path string) (input, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil && !strings.ContainsAny(path, "./"):
		return input{}, node.Usagef("INPUT %s: no such file or command; `demo` airs the built-in clip", path)
	case err != nil:
		return input{}, node.Usagef("INPUT: %v", err)
	case info.IsDir():
		return input{}, node.Usagef("INPUT %s is a directory: name a .ts file in it", path)
	}
	return input{kind: file, text: path}, nil
}
