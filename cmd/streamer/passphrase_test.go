//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tailcast/feed"
	"tailcast/node"
)

// terminal is a pseudo-terminal: what a person types into and looks at.
type terminal struct {
	master *os.File
	slave  *os.File

	mu    sync.Mutex
	shown bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(term, master) // ends when the last slave is closed
	}()
	t.Cleanup(func() {
		slave.Close()
		<-done
		master.Close()
	})
	return term
}

func (term *terminal) Write(b []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.Write(b)
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.String()
}

// run starts the streamer at the terminal.
func (term *terminal) run(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("streamer", args...)
	cmd.Stdin = term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error means that it has ended
		_ = cmd.Wait()
	})
	return cmd
}

// echoes reports whether the terminal shows what is typed.
func (term *terminal) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// asked waits until the terminal shows that question and hides the answer.
func (term *terminal) asked(t *testing.T, question string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !bytes.Contains([]byte(term.text()), []byte(question)) || term.echoes(t) {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal shows %q, want %q and no echo", term.text(), question)
		}
		time.Sleep(time.Millisecond)
	}
}

func newChannelFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := feed.OpenStation(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPassphraseIsNotShown while it is typed, and what was typed is what seals.
func TestPassphraseIsNotShown(t *testing.T) {
	dir := newChannelFolder(t)
	term := newTerminal(t)
	cmd := term.run(t, "key", "seal", "--data", dir)
	for _, question := range []string{"New passphrase for the root key: ", "The same again: "} {
		term.asked(t, question)
		if _, err := term.master.WriteString("correct horse\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := term.text(); bytes.Contains([]byte(got), []byte("horse")) {
		t.Errorf("the terminal shows %q", got)
	}
	if err := secret(dir, "pass", "correct horse"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("streamer", "key", "unseal", "--data", dir, "--passphrase-file", filepath.Join(dir, "pass")).CombinedOutput(); err != nil {
		t.Errorf("what was typed does not open it: %s", out)
	}
}

// TestInterruptedQuestion: Ctrl-C at the question changes nothing, and the terminal shows again what is typed.
func TestInterruptedQuestion(t *testing.T) {
	dir := newChannelFolder(t)
	term := newTerminal(t)
	cmd := term.run(t, "key", "seal", "--data", dir)
	term.asked(t, "New passphrase for the root key: ")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != node.ExitInterrupt || !term.echoes(t) {
		t.Errorf("got exit code %d, echo %v, want %d and echo", got, term.echoes(t), node.ExitInterrupt)
	}
	if keys, err := feed.ReadKeys(dir); err != nil || keys.Root != feed.RootHere {
		t.Errorf("got %+v, %v, want the root key where it was", keys, err)
	}
}
