package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestInputsByTheirSpelling(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		kind kind
		text string // of the input, or part of the error
		bad  bool
	}{
		{args: nil, kind: push},
		{args: []string{"-"}, kind: stdin, text: "standard input"},
		{args: []string{"udp://239.1.1.1:5000?interface=lo"}, kind: udp, text: "udp://239.1.1.1:5000"},
		{args: []string{"rtsp://user:secret@camera/x?token=secret"}, kind: rtspPull, text: "rtsp://user:xxxxx@camera/x"},
		{args: []string{"https://encoder/live.ts"}, kind: httpPull, text: "https://encoder/live.ts"},
		{args: []string{"inputs_test.go"}, kind: file, text: "inputs_test.go"},
		{args: []string{"a", "b"}, bad: true, text: "one at a time"},
		{args: []string{"demmo"}, bad: true, text: "`demo` airs the built-in clip"},
		{args: []string{dir}, bad: true, text: "is a directory"},
		{args: []string{filepath.Join(dir, "none.ts")}, bad: true, text: "no such file"},
		{args: []string{"srt://host:1"}, bad: true, text: "srt://"},
		{args: []string{"udp://host"}, bad: true, text: "want udp://host:port"},
		{args: []string{"http://%zz"}, bad: true, text: "no URL"},
	} {
		got, err := parseInput(c.args)
		switch {
		case c.bad && (err == nil || !strings.Contains(err.Error(), c.text)):
			t.Errorf("%q: got %v, want an error that says %q", c.args, err, c.text)
		case !c.bad && (err != nil || got.kind != c.kind || got.text != c.text):
			t.Errorf("%q: got kind %d %q and %v, want kind %d %q", c.args, got.kind, got.text, err, c.kind, c.text)
		}
	}
}
