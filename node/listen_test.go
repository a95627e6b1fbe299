package node

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func TestTakenPorts(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	first, err := ListenUDP(log, "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	taken := first.LocalAddr().String()
	if _, err := ListenUDP(log, taken, true); err == nil || !strings.Contains(err.Error(), "another program uses this port") {
		t.Errorf("explicit port that is taken: got %v, want a sentence", err)
	}
	second, err := ListenUDP(log, taken, false)
	if err != nil {
		t.Fatalf("default port that is taken: %v", err)
	}
	defer second.Close()
	if second.LocalAddr().String() == taken {
		t.Error("default port that is taken was opened twice")
	}
	page, err := ListenTCP(log, "--http", "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	if _, err := ListenTCP(log, "--http", page.Addr().String(), true); err == nil || !strings.Contains(err.Error(), "--http") {
		t.Errorf("explicit TCP port that is taken: got %v, want the flag named", err)
	}
	if _, err := ListenTCP(log, "--http", "nonsense", true); err == nil || !strings.Contains(err.Error(), "want host:port") {
		t.Errorf("an address without port: got %v, want a hint", err)
	}
}

func TestReachable(t *testing.T) {
	if got := Reachable(netip.MustParseAddrPort("127.0.0.1:4433")); len(got) != 1 || got[0] != "127.0.0.1:4433" {
		t.Errorf("a bound address: got %q, want itself", got)
	}
	for _, a := range Reachable(netip.MustParseAddrPort("[::]:4433")) {
		if addr, err := netip.ParseAddrPort(a); err != nil || addr.Port() != 4433 || addr.Addr().IsUnspecified() {
			t.Errorf("a socket on all interfaces: got %q, want addresses that can be dialled", a)
		}
	}
}
