package player

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// put appends chunks named by letters; an upper-case letter is a start.
func put(s *stream, names string) {
	for _, r := range names {
		s.append(chunk{data: []byte(string(r)), jump: fmt.Appendf(nil, "<%c>", r), at: time.Now(), start: r < 'a'})
	}
}

// names reads what is there, as letters.
func names(t *testing.T, c *cursor) (got string, skipped bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	chunks, skipped, err := c.read(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	for _, k := range chunks {
		got += string(k.data)
	}
	return got, skipped
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(time.Minute, 1<<20)
		put(s, "AabBc")
		last, next := s.join(false), s.join(true)
		if got, _ := names(t, last); got != "Bc" {
			t.Errorf("join=last got %q, want from the newest start on", got)
		}
		if got, _ := names(t, next); got != "" {
			t.Errorf("join=next got %q before the next start", got)
		}
		put(s, "dCe")
		if got, _ := names(t, last); got != "dCe" {
			t.Errorf("join=last then got %q", got)
		}
		if got, skipped := names(t, next); got != "Ce" || skipped {
			t.Errorf("join=next got %q, skipped %v; want Ce", got, skipped)
		}
	})
}

func TestJoinNextIgnoresWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(time.Minute, 1<<20)
		c := s.join(true) // before anything came, as the first client does
		s.append(chunk{data: []byte("A"), start: true, old: true})
		s.append(chunk{data: []byte("a"), old: true})
		if got, _ := names(t, c); got != "" {
			t.Errorf("got %q from before the live edge", got)
		}
		put(s, "bBc")
		if got, _ := names(t, c); got != "Bc" {
			t.Errorf("got %q, want Bc", got)
		}
	})
}

func TestSlowReaderSkipsToNewestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(4*time.Second, 1<<20)
		put(s, "Aa")
		c := s.join(false)
		if got, _ := names(t, c); got != "Aa" {
			t.Fatalf("got %q", got)
		}
		put(s, "bB")
		time.Sleep(5 * time.Second)
		put(s, "cCd")
		if got, skipped := names(t, c); got != "<C>Cd" || !skipped {
			t.Errorf("got %q, skipped %v; want what leads to the newest start", got, skipped)
		}
		put(s, "e")
		if got, skipped := names(t, c); got != "e" || skipped {
			t.Errorf("then got %q, skipped %v", got, skipped)
		}
	})
}

func TestStreamIsBounded(t *testing.T) {
	s := newStream(time.Minute, 100)
	c := s.join(false)
	s.append(chunk{data: make([]byte, 60), start: true})
	for range 50 {
		s.append(chunk{data: make([]byte, 30)})
		if s.size > 100 {
			t.Fatalf("stream holds %d bytes, limit is 100", s.size)
		}
	}
	if got, _, _, _ := c.poll(); len(got) > 0 {
		t.Errorf("got %d chunks though the start is gone", len(got))
	}
	s.append(chunk{data: make([]byte, 500), start: true}) // larger than all: kept alone
	if got, _, _, _ := c.poll(); len(got) != 1 {
		t.Errorf("got %d chunks, want the large start", len(got))
	}
}

func TestEndedStreamIsReadToItsEnd(t *testing.T) {
	s := newStream(time.Minute, 1<<20)
	put(s, "Aab")
	c := s.join(false)
	s.end()
	if got, _ := names(t, c); got != "Aab" {
		t.Errorf("got %q", got)
	}
	chunks, _, err := c.read(t.Context())
	if len(chunks) != 0 || err != nil {
		t.Errorf("after the end got %d chunks, %v", len(chunks), err)
	}
}

func TestOutlet(t *testing.T) {
	o := newOutlet()
	first, second := newStream(time.Second, 1), newStream(time.Second, 1)
	got := func() (*stream, error) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return o.wait(ctx)
	}
	if _, err := got(); !errors.Is(err, context.Canceled) {
		t.Errorf("while waiting: %v", err)
	}
	o.open(first)
	if s, err := got(); s != first || err != nil {
		t.Errorf("open: %v, %v", s, err)
	}
	o.open(second)
	if s, _ := got(); s != second || !first.ended {
		t.Error("the second stream does not replace the first and end it")
	}
	o.refuse("no")
	var no refusal
	if _, err := got(); !errors.As(err, &no) || no != "no" || !second.ended {
		t.Errorf("refused: %v", err)
	}
	o.close()
	if _, err := got(); !errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
}

func TestReadersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(time.Minute, 1<<20)
		slow := s.join(false) // never reads
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c := s.join(false); ; {
				chunks, _, _ := c.read(t.Context())
				if len(chunks) == 0 {
					return
				}
				for _, k := range chunks {
					got = append(got, string(k.data))
				}
			}
		}()
		for _, r := range "Aabcd" {
			put(s, string(r))
			synctest.Wait()
		}
		s.end()
		<-done
		if want := []string{"A", "a", "b", "c", "d"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		_ = slow
	})
}
