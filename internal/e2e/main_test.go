package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"tailcast/internal/clip"
	"tailcast/internal/command"
)

// bin is the folder of the commands under test, clipFile the demo clip, or another one of up to a minute that TAILCAST_CLIP names;
// both are made once by TestMain and only read after.
var bin, clipFile string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "villain" {
		os.Exit(villainMain(os.Args[1:]))
	}
	_ = flag.Set("test.parallel", "64") // room is what bounds them
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run()) // all is skipped: nothing is built
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tailcast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, clipFile = dir, filepath.Join(dir, "clip.ts")
	if err := lookAtSources(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if out, err := exec.Command("go", "build", "-o", dir, "tailcast/cmd/...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	if self, err := os.Executable(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	} else if err := os.Symlink(self, filepath.Join(dir, "villain")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if own := os.Getenv("TAILCAST_CLIP"); own != "" {
		clipFile = own
	} else if err := os.WriteFile(clipFile, clip.Bytes(), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// lookAtSources tells the test cache what these tests depend on: it sees files that a test looks at, not those that `go build` does. Without
// it, a changed command would be answered with the result of the old one.
func lookAtSources() error {
	pageFiles := []string{".js", ".mjs", ".css", ".html"}
	return filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"), slices.Contains(pageFiles, filepath.Ext(path)):
			_, err = os.Stat(path)
		}
		return err
	})
}

// patience bounds every wait of these tests; none passes because time went by.
const patience = 75 * time.Second

// need skips where a program is missing; CI has them all and makes skips failures.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests are left out by -short")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// room is how many streamers with a viewer may be at work at once. They wait most of the time, for pictures that come when they are due, so that there
// are more than processors; a browser counts as two. Tests that judge by the second run alone, before all that run side by side, or take nearly all of it.
var room = semaphore.NewWeighted(wholeRoom)

const (
	wholeRoom = 6
	browser   = 2
)

// beside lets a test run beside others as soon as there is so much room, which includes that for parts of it that run side by side.
func beside(t *testing.T, takes int64) {
	t.Helper()
	t.Parallel()
	if err := room.Acquire(t.Context(), takes); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { room.Release(takes) })
}

// start runs a command and kills it at the test's end, if the test has not stopped it.
func start(t *testing.T, name string, stdin io.Reader, args ...string) *command.Process {
	t.Helper()
	p, err := command.Start(command.Config{Bin: bin, Name: name, Args: args, Stdin: stdin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.Stderr())
		}
	})
	return p
}

// streamer goes live with a data directory of its own.
func streamer(t *testing.T, args ...string) *command.Process {
	t.Helper()
	return start(t, "streamer", nil, append(args, "--data", t.TempDir())...)
}

func viewer(t *testing.T, link string, args ...string) *command.Process {
	t.Helper()
	return start(t, "viewer", nil, append([]string{link, "--data", t.TempDir()}, args...)...)
}

// status is the part of /api/v1/status that the tests look at.
type status struct {
	State      string
	Reason     string
	Renditions []struct {
		Name, Epoch      string
		Head             uint64
		Chosen, Followed bool
	}
	Stripes []struct{ Log, From string }
	Peers   []struct{ Addr, Role string }
	Blocks  struct{ Verified, Rejected, Missed uint64 }
	Notes   []string
}

func getStatus(p *command.Process) (s status, err error) {
	return s, getJSON(p, "/api/v1/status", &s)
}

func getJSON(p *command.Process, path string, into any) error {
	r, err := http.Get(p.HTTP + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// until polls the status of p until ok says so; what names the wish in the error.
func until(t *testing.T, p *command.Process, what string, ok func(status) bool) status {
	t.Helper()
	return untilAt(t, p, "/api/v1/status", what, ok)
}

// untilAt is until for another path, or another part of what is answered there.
func untilAt[S any](t *testing.T, p *command.Process, path, what string, ok func(S) bool) S {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var s S
		err := getJSON(p, path, &s)
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-p.Done():
			t.Fatalf("%s ended while waiting until %s: %s", p.Name, what, p.Stderr())
		case <-ctx.Done():
			t.Fatalf("%s: waited %v until %s; status %+v, error %v", p.Name, patience, what, s, err)
		}
	}
}

func live(s status) bool { return s.State == "live" }

// freePort is one nobody listens on now; for programs that cannot report one they chose, or are to come back to it. It is below those that Linux gives to
// who asks for any (32768 and up), of whom there are many while such a program is away.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(10_000 + rand.IntN(22_000))
		if _, taken := ports.LoadOrStore(port, true); taken {
			continue
		}
		if c, err := net.ListenPacket("udp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// ports are those that freePort gave away.
var ports sync.Map

// ffmpeg runs ffmpeg to its end.
func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"-hide_banner", "-loglevel", "error", "-nostdin", "-y"}, args...)
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// record copies the stream at url into a file until it ends or ctx does.
func record(ctx context.Context, t *testing.T, url, file string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, r.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, r.Body); err != nil && ctx.Err() == nil {
		t.Fatalf("GET %s: %v", url, err)
	}
}
