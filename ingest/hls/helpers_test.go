package hls

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/ts"
)

// origin is a server in memory, so that tests run in virtual time.
type origin struct {
	mu     sync.Mutex
	files  map[string][]byte
	answer func(r *http.Request) *http.Response // before files; nil for them
	asked  []asked
}

type asked struct {
	path  string // and query
	bytes string // of the Range header
	at    time.Time
}

const base = "http://origin.example/"

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	o.asked = append(o.asked, asked{strings.TrimPrefix(r.URL.RequestURI(), "/"), r.Header.Get("Range"), time.Now()})
	body, ok := o.files[path]
	o.mu.Unlock()
	if o.answer != nil {
		if resp := o.answer(r); resp != nil {
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			resp.Request = r
			return resp, nil
		}
	}
	if !ok {
		return reply(r, 404, []byte("not here")), nil
	}
	return reply(r, 200, body), nil
}

func (o *origin) put(path string, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.files == nil {
		o.files = make(map[string][]byte)
	}
	o.files[path] = b
}

// requests are those for a path.
func (o *origin) requests(path string) (out []asked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.asked {
		if p, _, _ := strings.Cut(a.path, "?"); p == path {
			out = append(out, a)
		}
	}
	return out
}

func reply(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Header: http.Header{},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}
}

// taken is what came of one track, in the order and at the time in which it did.
type taken struct {
	ingest.Sample
	at time.Time
}

// sink keeps what it gets.
type sink struct {
	mu       sync.Mutex
	programs []*ingest.Program
	samples  []taken
}

func (s *sink) SetProgram(p *ingest.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs = append(s.programs, p)
}

func (s *sink) WriteSample(x ingest.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.Data = bytes.Clone(x.Data)
	s.samples = append(s.samples, taken{x, time.Now()})
}

func (s *sink) program(t *testing.T) *ingest.Program {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.programs) == 0 {
		t.Fatal("no program came")
	}
	return s.programs[len(s.programs)-1]
}

// of is what came of the nth track of pictures (or sound).
func (s *sink) of(t *testing.T, pictures bool, n int) (out []taken) {
	t.Helper()
	p := s.program(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, track := range p.Tracks {
		if track.Codec.IsVideo() != pictures {
			continue
		}
		if n--; n >= 0 {
			continue
		}
		for _, x := range s.samples {
			if x.Track == track.ID {
				out = append(out, x)
			}
		}
		return out
	}
	t.Fatalf("there is no such track in %v", p.Tracks)
	return nil
}

// source is the clip in segments of one group of pictures each.
type source struct {
	program  *ingest.Program
	segments [][]ingest.Sample
	all      *sink
}

func newSource(t testing.TB) *source {
	t.Helper()
	s := &source{all: &sink{}}
	scanner := ts.NewScanner(ts.Config{Sink: s.all})
	scanner.Write(clip.Bytes())
	scanner.Flush()
	s.program = s.all.programs[len(s.all.programs)-1]
	var cuts []int64
	for _, x := range s.all.samples {
		if x.Flags&ingest.RandomAccess != 0 {
			cuts = append(cuts, x.DTS)
		}
	}
	s.segments = make([][]ingest.Sample, len(cuts))
	for _, x := range s.all.samples {
		k := max(0, sort.Search(len(cuts), func(i int) bool { return cuts[i] > x.DTS })-1)
		s.segments[k] = append(s.segments[k], x.Sample)
	}
	for _, seg := range s.segments {
		slices.SortStableFunc(seg, func(a, b ingest.Sample) int { return int(a.DTS - b.DTS) })
	}
	return s
}

// ts is a segment with its times moved.
func (s *source) ts(t testing.TB, samples []ingest.Sample, by int64) []byte {
	t.Helper()
	var out bytes.Buffer
	m := ts.NewMuxer(&out)
	p := *s.program
	p.Tracks = append([]ingest.Track(nil), p.Tracks...)
	if err := m.SetProgram(&p); err != nil {
		t.Fatal(err)
	}
	for _, x := range samples {
		x.DTS, x.PTS = x.DTS+by, x.PTS+by
		if err := m.WriteSample(x); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// of are the samples of one kind.
func of(pictures bool, p *ingest.Program, samples []ingest.Sample) (out []ingest.Sample) {
	for _, x := range samples {
		for _, t := range p.Tracks {
			if t.ID == x.Track && t.Codec.IsVideo() == pictures {
				out = append(out, x)
			}
		}
	}
	return out
}
