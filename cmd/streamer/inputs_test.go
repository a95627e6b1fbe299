package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInputsByTheirSpelling(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "channel.m3u")
	if err := os.WriteFile(list, nil, 0o600); err != nil {
		t.Fatal(err)
	}
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
		{args: []string{"rtp://239.1.1.1:5000?source=10.0.0.1"}, kind: udp, text: "rtp://239.1.1.1:5000"},
		{args: []string{"https://u:secret@cdn/live/index.M3U8?token=secret#bandwidth=3M"}, kind: hlsPull, text: "https://u:xxxxx@cdn/live/index.M3U8#bandwidth=3M"},
		{args: []string{"inputs_test.go", "none.ts"}, kind: playout, text: "inputs_test.go and 1 more"},
		{args: []string{list}, kind: playout, text: list},
		{args: []string{"a", "b"}, bad: true, text: "none of the 2 files is there"},
		{args: []string{"inputs_test.go", "udp://u:secret@239.1.1.1:5000"}, bad: true, text: "udp://… is no file: only files are aired one after the other"},
		{args: []string{"inputs_test.go", "-"}, bad: true, text: "--rendition 1080p=INPUT"},
		{args: []string{"inputs_test.go", dir}, bad: true, text: "is a directory"},
		{args: []string{"demmo"}, bad: true, text: "`demo` airs the built-in clip"},
		{args: []string{dir}, bad: true, text: "is a directory"},
		{args: []string{filepath.Join(dir, "none.ts")}, bad: true, text: "no such file"},
		{args: []string{"srt://gateway:9000?streamid=secret&latency=200"}, kind: srtInput, text: "srt://gateway:9000"},
		{args: []string{"srt://:8890?mode=listener"}, kind: srtInput, text: "srt://:8890"},
		{args: []string{"srt://gateway:9000?passphrase=sesame-open"}, bad: true, text: "passphrase-file=FILE"},
		{args: []string{"srt://gateway"}, bad: true, text: "needs a port"},
		{args: []string{"srt://gateway:9000?mode=rendezvous"}, bad: true, text: "want caller or listener"},
		{args: []string{"rtmp://host/live"}, bad: true, text: "srt://"},
		{args: []string{"udp://host"}, bad: true, text: "want udp://host:port"},
		{args: []string{"http://%zz"}, bad: true, text: "no URL"},
	} {
		got, err := parseInputs(c.args, nil)
		switch {
		case c.bad && (err == nil || !strings.Contains(err.Error(), c.text)):
			t.Errorf("%q: got %v, want an error that says %q", c.args, err, c.text)
		case !c.bad && (err != nil || len(got) != 1 || got[0].name != mainRendition || got[0].kind != c.kind || got[0].text != c.text):
			t.Errorf("%q: got %+v and %v, want kind %d %q", c.args, got, err, c.kind, c.text)
		}
	}
}

func TestRenditionsByTheirSpelling(t *testing.T) {
	many := []string{}
	for i := range 16 {
		many = append(many, fmt.Sprintf("r%d=push", i))
	}
	for _, c := range []struct {
		args, named []string
		want        string // names and kinds, or part of the error
		bad         bool
	}{
		{named: []string{"1080p=rtsp://camera/high", "radio=udp://127.0.0.1:5000"}, want: "1080p 4, radio 3"},
		{args: []string{"-"}, named: []string{"480p=push", "radio="}, want: "main 2, 480p 0, radio 0"},
		{named: many[:15], want: "r0 0"},
		{named: many, want: "16 renditions: a channel has 15 at most", bad: true},
		{named: []string{"a=push", "a=-"}, want: "rendition a twice", bad: true},
		{args: []string{"-"}, named: []string{"main=push"}, want: "rendition main twice", bad: true},
		{named: []string{"a=-", "b=-"}, want: "both read standard input", bad: true},
		{named: []string{"HD=push"}, want: "HD\" cannot name a log", bad: true},
		{named: []string{"-x=push"}, want: "cannot name a log", bad: true},
		{named: []string{"catalog=push"}, want: "is taken", bad: true},
		{named: []string{"rtsp://u:secret@camera/?a=b"}, want: "want NAME=INPUT", bad: true},
		{named: []string{"a=rtmp://host/x"}, want: "--rendition a: INPUT rtmp://", bad: true},
	} {
		list, err := parseInputs(c.args, c.named)
		var got []string
		for _, in := range list {
			got = append(got, fmt.Sprint(in.name, " ", int(in.kind)))
		}
		switch text := strings.Join(got, ", "); {
		case c.bad && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%q %q: got %v, want an error that says %q", c.args, c.named, err, c.want)
		case !c.bad && (err != nil || !strings.HasPrefix(text, c.want)):
			t.Errorf("%q %q: got %q and %v, want %q", c.args, c.named, text, err, c.want)
		}
	}
}
