package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"tailcast/ingest/mpegts"
	"tailcast/node"
)

func parseFile(path string) (input, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil && !strings.ContainsAny(path, "./"):
		return input{}, node.Usagef("INPUT %s: no such file or command; `demo` airs the built-in clip", path)
	case err != nil:
		return input{}, node.Usagef("INPUT: %v", err)
	case info.IsDir():
		return input{}, node.Usagef("INPUT %s is a directory: name a .ts file in it", path)
	case mpegts.IsList(path):
		return input{kind: playout, text: path, files: []string{path}}, nil
	}
	return input{kind: file, text: path}, nil
}

// parseFiles takes several inputs, which are aired one after the other: all must be files. One that is missing now may be there when its turn comes, but
// not all of them.
func parseFiles(args []string) (input, error) {
	missing := 0
	for _, arg := range args {
		if arg == "-" || strings.Contains(arg, "://") {
			return input{}, node.Usagef("%d inputs, and %s is no file: only files are aired one after the other; several renditions of one channel are "+
				"--rendition 1080p=INPUT --rendition 480p=INPUT", len(args), spelling(arg))
		}
		if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) {
			missing++
		} else if _, err := parseFile(arg); err != nil {
			return input{}, err
		}
	}
	if missing == len(args) {
		return input{}, node.Usagef("INPUT: none of the %d files is there: %s …", len(args), args[0])
	}
	return input{name: mainRendition, kind: playout, text: fmt.Sprintf("%s and %d more", args[0], len(args)-1), files: args}, nil
}

// spelling is what of an argument may be shown: of a URL the scheme, all else may be a secret.
func spelling(arg string) string {
	if scheme, _, ok := strings.Cut(arg, "://"); ok {
		return scheme + "://…"
	}
	return arg
}
