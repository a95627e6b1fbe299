package player

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"tailcast/feed"
	"tailcast/ingest"
)

// reopened serves what a folder holds, as another process would that comes later.
func reopened(t *testing.T, root feed.PublicKey, dir string) *channelTest {
	t.Helper()
	replica, err := feed.Open(root, feed.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	server := New(Config{Replica: replica})
	web := httptest.NewServer(server)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		web.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = replica.Close()
	})
	return &channelTest{t: t, replica: replica, server: server, url: web.URL}
}

// recorded airs seconds of the clip into a folder, and returns the playlist and what each segment was.
func recorded(t *testing.T, dir string) (root feed.PublicKey, sent []ingest.Sample, m *media, segments map[string][]byte) {
	t.Helper()
	program, in := clipSamples(t)
	c := newChannelOn(t, Config{}, feed.Config{Dir: dir, TailBytes: 256 << 10})
	b := c.broadcast(program)
	for round := range int64(3) {
		now := later(in, round*clipTicks)
		b.write(now)
		if err := c.replica.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, now...)
	}
	m = c.media("")
	segments = map[string][]byte{}
	for _, s := range m.segments {
		segments[s.uri] = c.have(s.uri)
	}
	b.stop()
	if err := c.replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.replica.Close(); err != nil {
		t.Fatal(err)
	}
	return c.replica.Root(), sent, m, segments
}

// TestHLSAfterRestart: a channel that is off the air can be watched from the folder; a segment's name means the same bytes as it did live.
func TestHLSAfterRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "feed")
	root, _, before, segments := recorded(t, dir)
	c := reopened(t, root, dir)
	m := c.past("")
	if len(m.segments) < len(before.segments) {
		t.Errorf("%d segments are listed, %d were", len(m.segments), len(before.segments))
	}
	for uri, want := range segments {
		if got := c.have(uri); !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, not the %d that it had", uri, len(got), len(want))
		}
	}
}

// TestHLSServesOnlyWhatVerifies: bits flip on the disk, and no picture that was not sent comes out.
func TestHLSServesOnlyWhatVerifies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "feed")
	root, sent, _, segments := recorded(t, dir)
	flips := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) != "payload" || filepath.Base(filepath.Dir(filepath.Dir(path))) != "main" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for at := 50_000; at < len(data); at += 100_000 {
			data[at] ^= 0x10
			flips++
		}
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil || flips < 5 {
		t.Fatalf("%d bits flipped, %v", flips, err)
	}
	known := map[[32]byte]bool{}
	for _, s := range sent {
		if frames, err := lengthPrefixed(s.Data); err == nil {
			known[sha256.Sum256(frames[0].data)] = true
		}
	}
	c := reopened(t, root, dir)
	m := c.past("")
	header := c.have(m.segments[0].mapURI)
	pictures, other := 0, 0
	for uri := range segments {
		status, data, _ := c.fetch(uri)
		if status == http.StatusNotFound {
			continue
		}
		if !bytes.Equal(data, segments[uri]) {
			other++
		}
		for _, picture := range parse(t, header, append(bytes.Clone(header), data...)).data[1] {
			pictures++
			if !known[sha256.Sum256(picture)] {
				t.Errorf("%s holds a picture that was not sent", uri)
			}
		}
	}
	if pictures < 300 || other == 0 {
		t.Errorf("%d pictures came, %d segments lack some: want most, and some", pictures, other)
	}
}

// FuzzHLSRequests: whatever is asked for, there is an answer.
func FuzzHLSRequests(f *testing.F) {
	for _, s := range []string{
		"index.m3u8", "main.m3u8?_HLS_msn=1&_HLS_part=2&_HLS_skip=YES", "main.m3u8?dvr=1h", "s/aaaaaaaaaaaaaaaa-1.m4s", "p/aaaaaaaaaaaaaaaa-1-2.m4s",
		"i/aaaaaaaaaaaaaaaa-0.mp4", "s/%2e%2e%2f", "p/-18446744073709551616--1.m4s", "main.m3u8?_HLS_msn=9223372036854775807&_HLS_part=2147483648",
	} {
		f.Add(s)
	}
	station, err := feed.OpenStation(f.TempDir(), nil)
	if err != nil {
		f.Fatal(err)
	}
	replica, err := feed.Open(station.Root(), feed.Config{}) // of which nothing has come yet
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = errors.Join(replica.Close(), station.Close()) })
	server := New(Config{StartTimeout: 1, Replica: replica})
	f.Fuzz(func(t *testing.T, s string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/hls/"+s, nil)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 503 {
			t.Errorf("%q: %s", s, fmt.Sprint(w.Code))
		}
	})
}
