package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummaryTellsSkipsAndReasons(t *testing.T) {
	var out bytes.Buffer
	r := &results{out: &out, output: map[string]*strings.Builder{}, blamed: map[string]bool{}}
	for _, line := range []string{
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: ffmpeg is not installed\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA"}`,
		`{"Action":"pass","Package":"p","Test":"TestB"}`,
		`{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: got 1, want 2\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestC"}`,
		`{"Action":"output","Package":"p","Test":"TestD","Output":"    d_test.go:9: a log\n    d_test.go:10: failed: page: no picture\n    d_test.go:11: more\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestD"}`,
		`{"Action":"fail","Package":"p","Elapsed":0.5}`,
	} {
		r.line([]byte(line + "\n"))
	}
	r.summary()
	for _, want := range []string{"p.TestA: ffmpeg is not installed", "got 1, want 2", "\n1 passed, 2 failed, 1 skipped\n", "\nfailed:\n  p.TestC\n  p.TestD: page: no picture\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestFirstPackagesComeFirst(t *testing.T) {
	for first, want := range map[string]string{"": "test -json -v ./...", "./b ./a": "test -json -v ./b ./a ./..."} {
		if got := strings.Join(arguments([]string{"-v", "./..."}, first), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
