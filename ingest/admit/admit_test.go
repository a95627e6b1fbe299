package admit

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	here  = netip.MustParseAddr("127.0.0.1")
	there = netip.MustParseAddr("192.0.2.7")
)

func TestGate(t *testing.T) {
	var open *Gate
	if err := open.Check("X", there, ""); err != nil || open.Keyed() || open.Refused() != 0 {
		t.Errorf("a gate without a key: %v", err)
	}
	var log bytes.Buffer
	g := NewGate("sesame-open", slog.New(slog.NewTextHandler(&log, nil)))
	for shown, want := range map[string]error{"sesame-open": nil, "sesame-opem": ErrKey, "": ErrKey, "sesame-open ": ErrKey} {
		if err := g.Check("X", there, shown); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", shown, err, want)
		}
	}
	if n := g.Refused(); n != 3 {
		t.Errorf("%d refused, want 3", n)
	}
	if text := log.String(); strings.Contains(text, "sesame") || !strings.Contains(text, "192.0.2.7") {
		t.Errorf("the log is %q", text)
	}
}

// TestGuessing: who guesses is slowed down, and nobody else is; even the right key waits.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate("sesame-open", slog.New(slog.DiscardHandler))
		looked := 0
		began := time.Now()
		for time.Since(began) < time.Minute {
			_ = g.Try("X", there, func() bool { looked++; return false })
			time.Sleep(100 * time.Millisecond)
		}
		if looked < 8 || looked > 15 {
			t.Errorf("%d guesses were looked at in a minute, want about a dozen", looked)
		}
		if err := g.Check("X", there, "sesame-open"); err == nil || !strings.Contains(err.Error(), "wait") {
			t.Errorf("the right key at once after wrong ones: got %v, want to wait", err)
		}
		if err := g.Check("X", here, "sesame-open"); err != nil {
			t.Errorf("another address: %v", err)
		}
		time.Sleep(longestPause)
		if err := g.Check("X", there, "sesame-open"); err != nil {
			t.Errorf("the right key after the pause: %v", err)
		}
		if err := g.Check("X", there, "guess"); strings.Contains(err.Error(), "wait") {
			t.Errorf("the first wrong one after the right one: %v", err)
		}
	})
}

// TestAsked: who has not been asked yet makes no guess, and cannot guess faster than others by never answering.
func TestAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open *Gate
		if err := open.Ask("X", there, nil); err != nil {
			t.Errorf("a gate without a key: %v", err)
		}
		var log bytes.Buffer
		g := NewGate("sesame-open", slog.New(slog.NewTextHandler(&log, nil)))
		no := func() bool { return false }
		for range freeGuesses - 1 {
			_ = g.Ask("X", there, no)
		}
		if n := g.Refused(); n != 0 || log.Len() != 0 {
			t.Errorf("%d refused, log %q, want nothing of who is asked", n, log.String())
		}
		looked := 0
		for range 600 {
			if err := g.Ask("X", there, func() bool { looked++; return false }); !errors.Is(err, ErrKey) {
				t.Errorf("got %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if looked > 15 || !strings.Contains(log.String(), "192.0.2.7") {
			t.Errorf("looked at %d times in a minute, want about a dozen; log %q", looked, log.String())
		}
		if err := g.Check("X", there, "sesame-open"); err != nil {
			t.Errorf("the right answer after all that: %v", err)
		}
		if err := g.Ask("X", there, func() bool { return true }); err != nil {
			t.Errorf("forgiven, the right one at once: %v", err)
		}
	})
}

// TestManyGuessers: memory is bounded however many addresses guess; those of one IPv6 network are one.
func TestManyGuessers(t *testing.T) {
	g := NewGate("sesame-open", slog.New(slog.DiscardHandler))
	a := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxGuessers {
		a = a.Next()
		_ = g.Check("X", a, "guess")
	}
	if n := len(g.guesses); n > maxGuessers {
		t.Errorf("%d networks remembered, want at most %d", n, maxGuessers)
	}
	one := NewGate("sesame-open", slog.New(slog.DiscardHandler))
	a = netip.MustParseAddr("2001:db8::1")
	for range freeGuesses {
		a = a.Next()
		_ = one.Check("X", a, "guess")
	}
	if err := one.Check("X", a.Next(), "guess"); !strings.Contains(err.Error(), "wait") {
		t.Errorf("a neighbour of those who guessed got %v, want to wait", err)
	}
}

func TestAddr(t *testing.T) {
	keyed := NewGate("sesame-open", slog.New(slog.DiscardHandler))
	for _, c := range []struct{ addr, open, keyed string }{
		{":1935", "127.0.0.1:1935", ":1935"},
		{"127.0.0.1:1935", "127.0.0.1:1935", "127.0.0.1:1935"},
		{"[::1]:1935", "[::1]:1935", "[::1]:1935"},
		{"localhost:1935", "localhost:1935", "localhost:1935"},
		{"0.0.0.0:1935", "anybody could publish", "0.0.0.0:1935"},
		{"[::]:1935", "anybody could publish", "[::]:1935"},
		{"192.0.2.7:1935", "anybody could publish", "192.0.2.7:1935"},
		{"1935", "not host:port", "not host:port"},
	} {
		for g, want := range map[*Gate]string{nil: c.open, keyed: c.keyed} {
			got, err := g.Addr(t.Context(), c.addr)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s, keyed %v: got %s, want %s", c.addr, g.Keyed(), got, want)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	keyed := NewGate("sesame-open", slog.New(slog.DiscardHandler))
	for _, c := range []struct{ path, name, shown, open string }{
		{"/live/KEY", "live", "KEY", "live/KEY"},
		{"KEY", "", "KEY", "KEY"},
		{"/a/b/KEY/", "a/b", "KEY", "a/b/KEY"},
		{"", "", "", ""},
	} {
		if name, shown := keyed.Split(c.path); name != c.name || shown != c.shown {
			t.Errorf("%q: got %q and %q", c.path, name, shown)
		}
		var open *Gate
		if name, shown := open.Split(c.path); name != c.open || shown != "" {
			t.Errorf("%q without a key: got %q and %q", c.path, name, shown)
		}
	}
}

// TestPick: a rendition may be called as what stands before every name.
func TestPick(t *testing.T) {
	rooms := map[string]int{"live": 1, "high": 2, "low": 3}
	for path, want := range map[string]int{"/live/high": 2, "live/low/": 3, "live": 1, "live/live": 1, "high/other": 2, "other": 0, "": 0} {
		if got, ok := Pick(rooms, path); got != want || ok != (want != 0) {
			t.Errorf("%q: got %d, %v, want %d", path, got, ok, want)
		}
	}
	if got, ok := Pick(map[string]int{"high": 2}, "live/any"); got != 2 || !ok {
		t.Errorf("one alone: got %d, %v", got, ok)
	}
}

// TestListener: the 65th connection is closed at once, a place is free again when one leaves, and who says nothing is cut off.
func TestListener(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(plain)
	accepted := make(chan net.Conn, 2*MaxConns)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var last net.Conn
	for range MaxConns {
		dial()
		last = <-accepted
	}
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many got %v, want to be closed", err)
	}
	last.Close()
	last.Close() // twice counts once
	dial()
	c := <-accepted
	_ = c.SetReadDeadline(time.Time{})
	c.(*Conn).Trust(true)
	c.(*Conn).Trust(false)
	l.Close()
	for range accepted {
		t.Error("accepted after Close")
	}
}

// Strangers are cut off after a while; publishers are not.
func TestConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		c := &Conn{Conn: a, leave: func() {}}
		defer c.Close()
		began := time.Now()
		_ = c.SetReadDeadline(time.Time{})
		if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(began) != becomeWithin {
			t.Errorf("a stranger's read ended after %v with %v, want a timeout after %v", time.Since(began), err, becomeWithin)
		}
		c.Trust(true)
		go func() {
			time.Sleep(time.Hour)
			b.Write([]byte{1})
		}()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("a publisher's read ended with %v", err)
		}
	})
}
