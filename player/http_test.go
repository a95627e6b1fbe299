package player

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"tailcast/ingest"
)

// exchange is one request of testdata/http.txt and what is expected of the answer.
type exchange struct {
	line     int
	state    string
	request  string
	headers  []string
	expected []string
	absent   []string
	body     []string
}

func readExchanges(t *testing.T, name string) (out []exchange) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	state := ""
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		mark, rest, _ := strings.Cut(scanner.Text(), " ")
		if mark == "" || mark == "#" {
			continue
		}
		e := &exchange{}
		if len(out) > 0 {
			e = &out[len(out)-1]
		}
		switch mark {
		case "=":
			state = rest
		case ">":
			e.headers = append(e.headers, rest)
		case "<":
			e.expected = append(e.expected, rest)
		case "-":
			e.absent = append(e.absent, rest)
		case "~":
			e.body = append(e.body, rest)
		default:
			out = append(out, exchange{line: n, state: state, request: scanner.Text()})
		}
	}
	return out
}

// channel is a bench in one of the states that http.txt names.
func channel(t *testing.T, state string) *bench {
	b := newBenchOf(Config{StartTimeout: time.Millisecond, Status: func() any { return map[string]string{"state": "live"} }})
	program := syntheticProgram()
	switch state {
	case "playing":
		b.SetProgram(program)
		b.feed(synthetic(2, 0))
	case "vp9":
		program.Tracks = []ingest.Track{{ID: 0, Codec: ingest.VP9}}
		b.SetProgram(program)
	case "text":
		program.Tracks = program.Tracks[text:]
		b.SetProgram(program)
	case "nothing":
	default:
		t.Fatalf("unknown state %q", state)
	}
	return b
}

func TestHTTP(t *testing.T) {
	servers := map[string]*httptest.Server{}
	for _, e := range readExchanges(t, "testdata/http.txt") {
		if servers[e.state] == nil {
			servers[e.state] = httptest.NewServer(channel(t, e.state).server)
			defer servers[e.state].Close()
		}
		e.check(t, servers[e.state].URL)
	}
}

func (e exchange) check(t *testing.T, url string) {
	t.Helper()
	method, path, _ := strings.Cut(e.request, " ")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url+path, nil)
	if err != nil {
		t.Fatalf("http.txt:%d: %v", e.line, err)
	}
	for _, h := range e.headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("http.txt:%d: %v", e.line, err)
	}
	defer answer.Body.Close()
	if got := answer.Status[:3]; got != e.expected[0] {
		t.Errorf("http.txt:%d: %s: got %s, want %s", e.line, e.request, got, e.expected[0])
	}
	for _, want := range e.expected[1:] {
		name, value, _ := strings.Cut(want, ": ")
		if got := answer.Header.Get(name); got != value {
			t.Errorf("http.txt:%d: %s: %s is %q, want %q", e.line, e.request, name, got, value)
		}
	}
	for _, name := range e.absent {
		if got := answer.Header.Get(name); got != "" {
			t.Errorf("http.txt:%d: %s: %s is %q, want none", e.line, e.request, name, got)
		}
	}
	if len(e.body) > 0 {
		body, _ := io.ReadAll(answer.Body)
		for _, want := range e.body {
			if !strings.Contains(string(body), want) {
				t.Errorf("http.txt:%d: %s: body %q, want %q in it", e.line, e.request, cmp.Or(string(body), "empty"), want)
			}
		}
	}
}
