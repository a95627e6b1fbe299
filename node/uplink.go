package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tailcast/internal/durable"
)

// What an uplink carries is found out by using it, which takes a while. So it is remembered, for each network that this machine was in: a
// notebook has several. It is a place to begin, no more; a file that is damaged or cannot be written costs nothing but that.
const (
	uplinkFile    = "uplink.json" // {"192.168.1.0/24":12000000}, in bits per second
	maxNetworks   = 32
	rememberEvery = 10 * time.Minute
)

// knownUplink returns what was remembered in dir of the network that this machine is in now, in bits per second; 0 if nothing was.
func knownUplink(dir, network string) uint64 { return readUplinks(dir)[network] }

func readUplinks(dir string) map[string]uint64 {
	known := make(map[string]uint64)
	if text, err := os.ReadFile(filepath.Join(dir, uplinkFile)); err == nil {
		_ = json.Unmarshal(text, &known)
	}
	if known == nil { // the file says null
		known = make(map[string]uint64)
	}
	return known
}

// saveUplink remembers bits per second, if that is news.
func saveUplink(dir, network string, bits uint64) error {
	known := readUplinks(dir)
	if before := known[network]; network == "" || bits == 0 || bits > before-before/10 && bits < before+before/10 {
		return nil
	}
	if len(known) >= maxNetworks {
		delete(known, slices.Sorted(maps.Keys(known))[0])
	}
	known[network] = bits
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, uplinkFile), append(text, '\n'), 0o600)
}

// network names the one by which this machine reaches the world: the subnet of the address that it would send from. Empty if there is none. No
// packet is sent.
func network() string {
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", far)
		if err != nil {
			continue
		}
		addr, ok := conn.LocalAddr().(*net.UDPAddr)
		conn.Close()
		if ok {
			return subnetOf(addr.AddrPort().Addr().Unmap().WithZone(""))
		}
	}
	return ""
}

// subnetOf returns the subnet of one of this machine's addresses.
func subnetOf(ip netip.Addr) string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == ip {
			return p.Masked().String()
		}
	}
	return ""
}

// remember keeps what the uplink carries until ctx ends, and then once more.
func remember(ctx context.Context, dir, network string, uplink func() uint64, log *slog.Logger) {
	tick := time.NewTicker(rememberEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		if err := saveUplink(dir, network, uplink()); err != nil {
			log.Debug("couldn't remember the uplink", "err", err)
		}
	}
}
