package clip

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// A tally tells when enough was written.
type tally struct {
	bytes.Buffer
	want   int
	enough chan struct{}
}

func (s *tally) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if s.Len() >= s.want && s.want > 0 {
		close(s.enough)
		s.want = 0
	}
	return n, err
}

// TestRecord: what is recorded live, of a node that keeps nothing on disk, is a clip that proves itself.
func TestRecord(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 4)
	c.Append(t, 5, 8000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &tally{want: 800_000, enough: make(chan struct{})}
	type result struct {
		blocks int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		n, err := Record(ctx, out, c.Replica, "")
		done <- result{n, err}
	}()
	enough := false
	for range 4000 { // on air until there is enough: what came before the recorder is there may be gone
		c.Append(t, 5, 8000)
		select {
		case <-out.enough:
			enough = true
		case <-time.After(5 * time.Millisecond):
			continue
		}
		break
	}
	if !enough {
		t.Error("what arrives is not written")
	}
	cancel()
	got := <-done
	if got.err != nil || got.blocks < 90 {
		t.Fatalf("%d blocks, %v", got.blocks, got.err)
	}
	root := c.Replica.Root()
	report, err := Verify(bytes.NewReader(out.Bytes()), Options{Root: &root})
	if err != nil || len(report.Parts) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	broken := bytes.Clone(out.Bytes())
	broken[len(broken)/2] ^= 1
	if _, err := Verify(bytes.NewReader(broken), Options{Root: &root}); err == nil {
		t.Error("a bit was turned over and it still verifies")
	}
}

// TestRecordNothing: where nothing came there is no clip, and that is said.
func TestRecordNothing(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if n, err := Record(ctx, &out, c.Replica, "main"); n != 0 || !errors.Is(err, ErrNothing) {
		t.Errorf("%d blocks, %v", n, err)
	}
}
