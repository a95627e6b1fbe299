package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"tailcast/internal/cpu"
)

// TestFiftyReaders of /live.ts at one viewer, of 4 Mbit/s: all get the same, and `make bench-player` judges what that costs the viewer, verification and all.
func TestFiftyReaders(t *testing.T) {
	need(t, "ffmpeg")
	const readers = 50
	length := watchTime(t, 2*time.Second)
	file := made(t, "10", append(x264[:6:6], "-g", "25", "-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "1M", "-x264-params", "nal-hrd=cbr", "-c:a", "aac")...)
	s := streamer(t, file, "--loop")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	begun := make(chan struct{}, readers)
	got := make([]int64, readers)
	for i := range got {
		all.Go(func() { got[i] = reads(ctx, t, v.HTTP+"/live.ts?join=next", begun) })
	}
	for range readers {
		<-begun
	}
	before, from := cpu.Of(v.Pid()), time.Now()
	time.AfterFunc(length, cancel)
	<-ctx.Done()
	used, took := cpu.Of(v.Pid())-before, time.Since(from)
	all.Wait()
	least, most := slices.Min(got), slices.Max(got)
	t.Logf("each reader got %.1f to %.1f MB", float64(least)/1e6, float64(most)/1e6)
	if least < most/2 {
		t.Errorf("a reader got %d bytes, another %d", least, most)
	}
	atMost(t, fmt.Sprintf("a viewer with %d readers of 4 Mbit/s, %% of a core", readers), 100*used.Seconds()/took.Seconds(), 25)
}

// reads counts what comes until ctx ends; something has begun to come when it says so.
func reads(ctx context.Context, t *testing.T, url string, begun chan<- struct{}) (n int64) {
	tell := sync.OnceFunc(func() { begun <- struct{}{} })
	defer tell()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Body.Close()
	n, _ = io.CopyN(io.Discard, r.Body, 188)
	tell()
	more, _ := io.Copy(io.Discard, r.Body) // the context ends it
	return n + more
}
