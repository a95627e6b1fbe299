package main

import (
	"net/url"
	"strings"

	"tailcast/feed"
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
	hlsPull
	playout // several files, or lists of them
	srtInput
)

// input is what the command line asked for; url is nil for files.
type input struct {
	name  string // of the rendition
	kind  kind
	text  string
	url   *url.URL
	files []string // of playout
}

// schemes of inputs that are URLs.
var schemes = map[string]kind{
	"udp": udp, "rtp": udp, "rtsp": rtspPull, "rtsps": rtspPull, "http": httpPull, "https": httpPull, "srt": srtInput,
}

// mainRendition is what the rendition of INPUT is called.
const mainRendition = "main"

// parseInputs reads INPUT and each --rendition, NAME=INPUT, best first. It refuses early, with a hint, what could not work later.
func parseInputs(args, renditions []string) (list []input, err error) {
	switch {
	case len(args) > 1:
		in, err := parseFiles(args)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	case len(args) == 1 || len(renditions) == 0:
		in, err := parseInput(strings.Join(args, ""))
		if err != nil {
			return nil, err
		}
		in.name = mainRendition
		list = append(list, in)
	}
	for _, text := range renditions {
		in, err := parseRendition(text)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	if len(list) >= feed.MaxLogs {
		return nil, node.Usagef("%d renditions: a channel has %d at most", len(list), feed.MaxLogs-1)
	}
	return list, checkTogether(list)
}

// parseRendition reads NAME=INPUT.
func parseRendition(text string) (input, error) {
	name, from, ok := strings.Cut(text, "=")
	if !ok || strings.Contains(name, "://") { // which may have a password in it
		return input{}, node.Usagef("--rendition: want NAME=INPUT, as 1080p=rtsp://camera/high; NAME=push waits for an encoder")
	}
	if err := feed.CheckLogName(name); err != nil {
		return input{}, node.Usagef("--rendition: %v", err)
	}
	if name == feed.CatalogLog {
		return input{}, node.Usagef("--rendition: the name %s is taken, by the list of what there is", name)
	}
	if from == "push" {
		from = ""
	}
	in, err := parseInput(from)
	if err != nil {
		return input{}, node.Usagef("--rendition %s: %v", name, err)
	}
	in.name = name
	return in, nil
}

// checkTogether refuses what cannot be had at one time.
func checkTogether(list []input) error {
	names, piped := map[string]bool{}, ""
	for _, in := range list {
		switch {
		case names[in.name]:
			return node.Usagef("rendition %s twice: each needs a name of its own (INPUT without a name is %s)", in.name, mainRendition)
		case in.kind == stdin && piped != "":
			return node.Usagef("renditions %s and %s both read standard input: there is only one", piped, in.name)
		case in.kind == stdin:
			piped = in.name
		}
		names[in.name] = true
	}
	return nil
}

func parseInput(text string) (input, error) {
	switch {
	case text == "":
		return input{kind: push}, nil
	case text == "-":
		return input{kind: stdin, text: "standard input"}, nil
	case strings.Contains(text, "://"):
		return parseURL(text)
	}
	return parseFile(text)
}

func parseURL(text string) (input, error) {
	u, err := url.Parse(text)
	if err != nil {
		return input{}, node.Usagef("INPUT is no URL: %v", err)
	}
	k, ok := schemes[u.Scheme]
	if !ok {
		return input{}, node.Usagef("INPUT %s://: want a .ts file, - (standard input), udp://, rtp://, rtsp://, srt:// or http(s)://", u.Scheme)
	}
	if u.Host == "" || k == udp && u.Port() == "" {
		return input{}, node.Usagef("INPUT %s: want %s://host:port", shown(u), u.Scheme)
	}
	if k == httpPull && strings.HasSuffix(strings.ToLower(u.Path), ".m3u8") {
		k = hlsPull
	}
	if k == srtInput {
		if err := checkSRT(u); err != nil {
			return input{}, node.Usagef("%v", err)
		}
	}
	return input{kind: k, text: shown(u), url: u}, nil
}

// shown is a URL as it may be shown: without password and query, either of which may hold a secret.
func shown(u *url.URL) string {
	public := *u
	public.RawQuery = ""
	return public.Redacted()
}
