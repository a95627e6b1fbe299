// Testrun runs `go test -json` and says at the end what `go test` keeps to itself: which tests were skipped, and why. A test
// that needs ffmpeg or a browser is skipped where there is none; with TAILCAST_NO_SKIP set, as in CI, that is a failure. Those that failed are
// named again, since hours of output may lie between, with what they say after "failed: ".
//
//	go run ./internal/testrun [-modules .,folder] [-first packages] -- [go test flags and packages]
//
// Modules within ours are not among the packages ./... of ours: -modules names the folders in which to run the same command. go test begins with the
// packages that are named first: -first names those of the first module that take longest, so that the others run beside them and not before.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// results gathers events into what a person wants to read.
type results struct {
	out                     io.Writer
	output                  map[string]*strings.Builder // of each test and package, until its result is known
	passed, failed, skipped int
	reasons, failures       []string
	blamed                  map[string]bool // packages with a failing test of their own
}

func main() {
	modules := flag.String("modules", ".", "folders of modules to test, with commas between them")
	first := flag.String("first", "", "packages of the first module to begin with, with spaces between them")
	flag.Parse()
	r := &results{out: os.Stdout, output: map[string]*strings.Builder{}, blamed: map[string]bool{}}
	var err error
	for module := range strings.SplitSeq(*modules, ",") {
		cmd := exec.Command("go", arguments(flag.Args(), *first)...)
		cmd.Dir, *first = module, ""
		err = errors.Join(err, r.run(cmd))
	}
	r.summary()
	if err != nil || r.failed > 0 || r.skipped > 0 && os.Getenv("TAILCAST_NO_SKIP") != "" {
		os.Exit(1)
	}
}

// arguments are those of go, with what comes first before the last of what was given, which is ./... .
func arguments(given []string, first string) []string {
	args := append([]string{"test", "-json"}, given...)
	return slices.Insert(args, len(args)-1, strings.Fields(first)...)
}

func (r *results) run(cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err != nil {
			break
		}
	}
	return cmd.Wait()
}

func (r *results) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(r.out, "%s", line) // the go command's own words, such as a build failure
		return
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
		if e.Action == "build-output" {
			fmt.Fprint(r.out, e.Output)
		}
	case "pass", "fail", "skip":
		r.result(key, e)
		delete(r.output, key)
	}
}

func (r *results) result(key string, e event) {
	text := ""
	if b := r.output[key]; b != nil {
		text = b.String()
	}
	switch {
	case e.Test == "" && e.Action != "skip":
		fmt.Fprintf(r.out, "%-5s %-28s %6.1f s\n", e.Action, e.Package, e.Elapsed)
		if e.Action == "fail" && !r.blamed[e.Package] {
			r.failed++ // it does not build, or something outside a test panicked
			fmt.Fprint(r.out, text)
		}
	case e.Test == "":
	case e.Action == "pass":
		r.passed++
	case e.Action == "fail":
		r.failed++
		r.blamed[e.Package] = true
		r.failures = append(r.failures, fmt.Sprintf("  %s.%s%s", e.Package, e.Test, failure(text)))
		fmt.Fprint(r.out, text)
	case e.Action == "skip":
		r.skipped++
		r.reasons = append(r.reasons, fmt.Sprintf("  %s.%s: %s", e.Package, e.Test, reason(text)))
	}
}

// reason is the last line that a skipped test printed which is not the framework's.
func reason(output string) string {
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(output), "\n")) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			if _, after, ok := strings.Cut(line, ".go:"); ok {
				_, line, _ = strings.Cut(after, ": ")
			}
			return line
		}
	}
	return "no reason given"
}

// failure is what a test says after "failed: ", if it does.
func failure(output string) string {
	if _, why, ok := strings.Cut(output, ": failed: "); ok {
		line, _, _ := strings.Cut(why, "\n")
		return ": " + line
	}
	return ""
}

func (r *results) summary() {
	if len(r.failures) > 0 {
		fmt.Fprintf(r.out, "\nfailed:\n%s\n", strings.Join(r.failures, "\n"))
	}
	if r.skipped > 0 {
		fmt.Fprintf(r.out, "\nskipped:\n%s\n", strings.Join(r.reasons, "\n"))
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
