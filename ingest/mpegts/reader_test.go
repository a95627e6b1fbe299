package mpegts

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := newSink(0)
		go func() {
			for in := clip.Bytes(); len(in) > 0; {
				n, _ := w.Write(in[:min(1000, len(in))])
				in = in[n:]
			}
			w.Close()
		}()
		if err := (&Reader{R: r}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		same(t, s.of(pictures), want(t).of(pictures))
		same(t, s.of(sound), want(t).of(sound))
	})
}

// TestReaderSilence: a picture without a declared length comes out after 20 ms without bytes, not with the next picture.
func TestReaderSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := newSink(0)
		stop := start(t, &Reader{R: r}, s)
		write := func(in []byte) {
			t.Helper()
			if _, err := w.Write(in); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		in := clip.Bytes()
		from, to := pictureAt(in, 15), pictureAt(in, 16)
		write(in[:from])
		before := len(s.of(pictures))
		write(in[from : to-188])
		time.Sleep(time.Second)
		if n := len(s.of(pictures)); n != before+1 {
			t.Fatalf("got %d pictures after a pause within one, want %d", n, before+1)
		}
		write(in[to-188 : to])
		time.Sleep(19 * time.Millisecond)
		if n := len(s.of(pictures)); n != before+1 {
			t.Fatalf("got %d pictures after 19 ms, want %d", n, before+1)
		}
		time.Sleep(2 * time.Millisecond)
		if n := len(s.of(pictures)); n != before+2 {
			t.Fatalf("got %d pictures after 21 ms, want %d", n, before+2)
		}
		write(in[to:])
		w.Close()
		synctest.Wait()
		same(t, s.of(pictures), want(t).of(pictures))
		if err := stop(); err != nil {
			t.Errorf("got %v, want the end of the stream", err)
		}
	})
}

// pictureAt is where the first packet of a picture begins. Sound between the pictures does not matter.
func pictureAt(in []byte, n int) int {
	for i := 0; i < len(in); i += 188 {
		if pid := int(in[i+1]&0x1f)<<8 | int(in[i+2]); pid == pictures && in[i+1]&0x40 != 0 {
			if n == 0 {
				return i
			}
			n--
		}
	}
	return -1
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("the pipe is broken")
	for _, c := range []struct {
		name, want string
		r          io.Reader
	}{
		{"broken", "the pipe is broken", errorReader{broken}},
		{"empty", "couldn't take the stream: the input is empty", strings.NewReader("")},
		{"not TS", "couldn't take the stream: this is not MPEG-TS", strings.NewReader(strings.Repeat("Hello! ", 10))},
		{"endless and not TS", "couldn't take the stream: this is not MPEG-TS", zeros{}},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := (&Reader{R: c.r}).Run(t.Context(), newSink(0))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestReaderEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		stop := start(t, &Reader{R: r}, newSink(0))
		synctest.Wait()
		began := time.Now()
		canceled(t, stop())
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v to stop, want no time", d)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want the pipe closed", err)
		}
	})
}

// TestReaderPacesFiles: stdin may be a file.
func TestReaderPacesFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.ts")
	if err := os.WriteFile(path, clip.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s := newSink(0)
		if err := (&Reader{R: f}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 7*time.Second || s.len() != 567 {
			t.Errorf("took %v for %d samples, want about 8 s for 567", d, s.len())
		}
	})
}

// gate blocks what it gets until it is opened, as a full disk might.
type gate struct {
	ingest.Sink
	open chan struct{}
}

func (g *gate) WriteSample(s ingest.Sample) {
	<-g.open
	g.Sink.WriteSample(s)
}

// TestReaderBoundsWhatItHolds: behind a sink that blocks, no more than two portions are read.
func TestReaderBoundsWhatItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{newSink(0), make(chan struct{})}
		r := &countingReader{in: clip.Bytes()}
		done := make(chan error)
		go func() { done <- (&Reader{R: r}).Run(context.Background(), g) }()
		synctest.Wait()
		if r.n > 4*portion {
			t.Errorf("read %d bytes, want %d at most", r.n, 4*portion)
		}
		close(g.open)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type countingReader struct {
	in []byte
	n  int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n := copy(p, r.in)
	if n == 0 {
		return 0, io.EOF
	}
	r.in, r.n = r.in[n:], r.n+n
	return n, nil
}
