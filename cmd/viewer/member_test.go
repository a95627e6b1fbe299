package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"tailcast/node"
)

// A fakeChannel is told how much it may send.
type fakeChannel struct{ up uint64 }

func (f *fakeChannel) Pause(string)      {}
func (f *fakeChannel) Resume()           {}
func (f *fakeChannel) SetUp(bits uint64) { f.up = bits }

// TestUplinkIsShared among the channels that are followed: one that rests leaves its share to the others, and gets it back when it is wanted.
func TestUplinkIsShared(t *testing.T) {
	up := &uplink{bits: 12e6}
	first, second := &fakeChannel{}, &fakeChannel{}
	up.add(first)
	s := sharing{second, up}
	check := func(when string, a, b uint64) {
		t.Helper()
		if first.up != a || second.up != b && b > 0 {
			t.Errorf("%s: %d and %d bit/s, want %d and %d", when, first.up, second.up, a, b)
		}
	}
	s.Pause("")
	check("one rests", 12e6, 0)
	s.Resume()
	check("both are followed", 6e6, 6e6)
	s.Pause("")
	check("it rests again", 12e6, 0)
	s.Resume()
	check("it is back", 6e6, 6e6)
}

// TestRestingChannelsTakeNoShare: of two channels the second rests, and the first has all of --up.
func TestRestingChannelsTakeNoShare(t *testing.T) {
	o := &options{}
	set := pflag.NewFlagSet("viewer", pflag.ContinueOnError)
	o.Register(set, t.TempDir())
	if err := set.Parse([]string{"--no-lan", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--up", "12M"}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	members, err := o.open([]channel{{link: aLink(t)}, {link: aLink(t)}}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(members)
	host, err := node.NewHost(node.HostConfig{Role: node.Viewer, Flags: &o.Flags, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := o.join(host, members, log); err != nil {
		t.Fatal(err)
	}
	if got := members[0].node.Status().Upload.Limit; got != 12e6 {
		t.Errorf("the channel that is followed may send %d bit/s, want 12000000", got)
	}
}

// TestShareIsACap: a share that comes to nothing is still a cap, and without --up there is none.
func TestShareIsACap(t *testing.T) {
	for _, c := range []struct {
		bits     uint64
		channels int
		want     uint64
	}{{12e6, 1, 12e6}, {12e6, 200, 60e3}, {1000, maxChannels, 5}, {3, 5, 1}, {0, 5, 0}} {
		if got := (&uplink{bits: c.bits}).share(c.channels); got != c.want {
			t.Errorf("%d bit/s among %d: %d each, want %d", c.bits, c.channels, got, c.want)
		}
	}
}

// TestStatusLine: the line is the last one, and what is logged comes above it, whole.
func TestStatusLine(t *testing.T) {
	var out bytes.Buffer
	l := &statusLine{out: &out, shown: true, width: func() int { return 12 }}
	l.set("Live, 0.3 s behind")
	_, _ = l.Write([]byte("logged\n"))
	l.set("Stalled")
	want := "\r\x1b[KLive, 0.3 s\r\x1b[Klogged\nLive, 0.3 s\r\x1b[KStalled"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	quiet := &statusLine{out: &out}
	quiet.set("nobody sees this")
	_, _ = quiet.Write([]byte("logged\n"))
	if out.String() != "logged\n" {
		t.Errorf("where nobody looks: %q", out.String())
	}
}

func TestSummary(t *testing.T) {
	s := node.Status{Reason: "Live, 0.3 s behind", Peers: []node.Peer{{Up: 2e6, Down: 4e6}, {Up: 1e6}}}
	s.Bytes.Received.Media, s.Bytes.Sent.Media, s.Blocks.Rejected = 100, 230, 2
	want := "Live, 0.3 s behind · 2 peers · in 4.0 Mbit/s, out 3.0 · passed on 2.3x · 2 forged blocks refused"
	if got := summary(&s); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestQRIsForTerminals: a log gets none.
func TestQRIsForTerminals(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	showQR(log, []string{"http://192.168.1.7:8080/" + strings.Repeat("a", 26) + "/"})
	if info, err := log.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%v bytes were written to a file, %v", info.Size(), err)
	}
}
