package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// Each network has its own; small changes are not worth a write.
func TestUplinkIsRemembered(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		network string
		bits    uint64
		want    uint64
	}{
		{"192.168.1.0/24", 12e6, 12e6},
		{"10.0.0.0/8", 2e6, 2e6},
		{"192.168.1.0/24", 12.5e6, 12e6},
		{"192.168.1.0/24", 0, 12e6},
		{"192.168.1.0/24", 20e6, 20e6},
		{"192.168.1.0/24", 5e6, 5e6},
		{"", 5e6, 0},
	} {
		if err := saveUplink(dir, c.network, c.bits); err != nil {
			t.Fatal(err)
		}
		if got := knownUplink(dir, c.network); got != c.want {
			t.Errorf("%q with %d: got %d, want %d", c.network, c.bits, got, c.want)
		}
	}
	if got := knownUplink(dir, "10.0.0.0/8"); got != 2e6 {
		t.Errorf("the other network: got %d", got)
	}
	for k := range 2 * maxNetworks {
		if err := saveUplink(dir, fmt.Sprintf("172.16.%d.0/24", k), 1e6); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(readUplinks(dir)); got != maxNetworks {
		t.Errorf("%d networks are remembered, want %d", got, maxNetworks)
	}
	for _, text := range []string{"", "null", "{", "[1]", `{"x":-1}`} {
		if err := os.WriteFile(filepath.Join(dir, uplinkFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := saveUplink(dir, "10.0.0.0/8", 3e6); err != nil || knownUplink(dir, "10.0.0.0/8") != 3e6 {
			t.Errorf("after a file of %q: got %d, %v", text, knownUplink(dir, "10.0.0.0/8"), err)
		}
	}
	if err := saveUplink(filepath.Join(dir, "nowhere"), "x", 1); err == nil {
		t.Error("a folder that is not there: got no error")
	}
}

// It is kept now and then, and at the end.
func TestUplinkIsKeptInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, bits := t.TempDir(), make(chan uint64, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			remember(ctx, dir, "here", func() uint64 { return <-bits }, slog.New(slog.DiscardHandler))
		}()
		bits <- 7e6
		time.Sleep(rememberEvery + time.Second)
		if got := knownUplink(dir, "here"); got != 7e6 {
			t.Errorf("after a while: got %d", got)
		}
		bits <- 9e6
		cancel()
		<-done
		if got := knownUplink(dir, "here"); got != 9e6 {
			t.Errorf("at the end: got %d", got)
		}
	})
}

func TestSubnet(t *testing.T) {
	if got := subnetOf(netip.MustParseAddr("127.0.0.1")); got != "127.0.0.0/8" {
		t.Errorf("got %q, want that of the loopback interface", got)
	}
	if got := subnetOf(netip.MustParseAddr("192.0.2.77")); got != "" {
		t.Errorf("an address that is not ours: got %q", got)
	}
}
