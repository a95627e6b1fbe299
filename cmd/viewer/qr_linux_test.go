package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal (pty(7)): what is written to screen can be read from the other end, until screen is closed.
func terminal(t *testing.T) (screen, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { other.Close() })
	number, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, other
}

// TestQR: who looks at a terminal gets something of the size that a code of that length has, and nothing if there is no address.
func TestQR(t *testing.T) {
	for _, c := range []struct {
		urls        []string
		least, most int // lines
	}{{nil, 0, 0}, {[]string{"http://192.168.1.7:8080/" + strings.Repeat("a", 26) + "/", "http://192.0.2.1/"}, 15, 30}} {
		screen, other := terminal(t)
		drawn := make(chan string)
		go func() {
			text, _ := io.ReadAll(other) // EIO ends it
			drawn <- string(text)
		}()
		showQR(screen, c.urls)
		screen.Close()
		text := <-drawn
		if lines := strings.Count(text, "\n"); lines < c.least || lines > c.most {
			t.Errorf("%q: %d lines:\n%s", c.urls, lines, text)
		}
	}
}
