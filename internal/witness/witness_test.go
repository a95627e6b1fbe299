package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"tailcast/feed/merkle"
)

// binaries is the folder of litewitness, built once for all tests.
var binaries string

func TestMain(m *testing.M) {
	code := 1
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "couldn't build the witness:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(binaries)
	os.Exit(code)
}

// build builds litewitness of the version that go.mod names, unchanged.
func build() (err error) {
	if binaries, err = os.MkdirTemp("", "witness"); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-o", binaries+"/", "filippo.io/torchwood/cmd/litewitness").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// witnessName is what the witness calls itself.
const witnessName = "witness.example/test"

// A witness is a litewitness with a database, a key and an address of its own.
type witness struct {
	t      *testing.T
	dir    string
	public ed25519.PublicKey

	addr string // while it runs
	stop func() // ends the process and waits for it
}

// newWitness makes a witness that knows the logs of that key and those origins.
func newWitness(t *testing.T, key ed25519.PublicKey, origins ...string) *witness {
	t.Helper()
	w := &witness{t: t, dir: t.TempDir()}
	w.startAgent()
	w.start()
	for _, origin := range origins {
		w.know(key, origin)
	}
	return w
}

// know tells the witness about a log, as `witnessctl add-log` and `witnessctl add-key` do. (That program needs sigsum-go, which not every
// proxy has; the witness itself does not.)
func (w *witness) know(key ed25519.PublicKey, origin string) {
	w.t.Helper()
	vkey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		w.t.Fatal(err)
	}
	db, err := sqlite.OpenConn(w.path("db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	empty := sha256.Sum256(nil)
	for _, row := range []struct {
		insert string
		args   []any
	}{
		{"INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", []any{origin, base64.StdEncoding.EncodeToString(empty[:])}},
		{"INSERT INTO key (origin, key) VALUES (?, ?)", []any{origin, vkey}},
	} {
		if err := sqlitex.Execute(db, row.insert, &sqlitex.ExecOptions{Args: row.args}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *witness) path(name string) string { return filepath.Join(w.dir, name) }

// startAgent makes the key of the witness, and serves it as ssh-agent does: litewitness holds no keys itself.
func (w *witness) startAgent() {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		w.t.Fatal(err)
	}
	w.public = public
	socket, err := net.Listen("unix", w.path("agent"))
	if err != nil {
		w.t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := socket.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				_ = agent.ServeAgent(keys, c) // until the witness ends
			})
		}
	})
	w.t.Cleanup(func() { socket.Close(); served.Wait() })
}

// start runs litewitness, and returns when it answers.
func (w *witness) start() {
	w.t.Helper()
	for range 5 {
		if err := w.tryStart(); err == nil {
			w.t.Cleanup(w.stop)
			return
		} else if !strings.Contains(err.Error(), "address already in use") {
			w.t.Fatal(err)
		}
	}
	w.t.Fatal("no free port in five attempts")
}

// tryStart runs litewitness on a port that was free a moment ago: it cannot tell which it chose itself.
func (w *witness) tryStart() error {
	w.addr = freeAddr(w.t)
	fingerprint, err := ssh.NewPublicKey(w.public)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "litewitness"), "-db", w.path("db"), "-name", witnessName,
		"-ssh-agent", w.path("agent"), "-key", ssh.FingerprintSHA256(fingerprint), "-listen", w.addr)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = cmd.Wait() }()
	w.stop = sync.OnceFunc(func() { cancel(); <-over })
	if err := w.answers(over); err != nil {
		w.stop()
		return fmt.Errorf("%w: %s", err, &said)
	}
	return nil
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers returns when litewitness listens. It says "listening" before it does, so asking is the only way to know.
func (w *witness) answers(over <-chan struct{}) error {
	for {
		if c, err := net.Dial("tcp", w.addr); err == nil {
			return c.Close()
		}
		select {
		case <-over:
			return errors.New("litewitness ended")
		case <-w.t.Context().Done():
			return w.t.Context().Err()
		default:
		}
	}
}

// vkey returns the key of the cosignatures as witnesses publish it. https://c2sp.org/tlog-cosignature
func (w *witness) vkey() string {
	key := append([]byte{4}, w.public...) // 4 says cosignature/v1
	id := sha256.Sum256([]byte(witnessName + "\n" + string(key)))
	return fmt.Sprintf("%s+%x+%s", witnessName, id[:4], base64.StdEncoding.EncodeToString(key))
}

// verifier returns that of the cosignatures, from the reference implementation.
func (w *witness) verifier() note.Verifier {
	w.t.Helper()
	v, err := torchwood.NewCosignatureVerifier(w.vkey())
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// addCheckpoint asks the witness to sign a head after one of size old. https://c2sp.org/tlog-witness#add-checkpoint
func (w *witness) addCheckpoint(old uint64, proof []merkle.Hash, head []byte) (status int, body string) {
	w.t.Helper()
	request := fmt.Sprintf("old %d\n", old)
	for _, h := range proof {
		request += h.String() + "\n"
	}
	response, err := http.Post("http://"+w.addr+"/add-checkpoint", "text/plain", strings.NewReader(request+"\n"+string(head)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, string(b)
}
