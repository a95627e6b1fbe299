package discovery

import (
	"net"
	"testing"
)

func TestNetworkName(t *testing.T) {
	home := networkName([]string{"wlan0 192.168.1.0/24\n", "docker0 172.17.0.0/16\n"}, []string{"wlan0 2606:4700:1::/64\n"})
	if len(home) != 16 {
		t.Errorf("got %q, want 16 characters", home)
	}
	for name, c := range map[string]struct {
		got  string
		same bool
	}{
		"in another order":             {networkName([]string{"docker0 172.17.0.0/16\n", "wlan0 192.168.1.0/24\n"}, nil), true},
		"a new IPv6 prefix of the day": {networkName([]string{"docker0 172.17.0.0/16\n", "wlan0 192.168.1.0/24\n"}, []string{"wlan0 2606:4700:2::/64\n"}), true},
		"another network":              {networkName([]string{"docker0 172.17.0.0/16\n", "wlan0 192.168.2.0/24\n"}, nil), false},
		"by cable":                     {networkName([]string{"docker0 172.17.0.0/16\n", "eth0 192.168.1.0/24\n"}, nil), false},
		"IPv6 alone":                   {networkName(nil, []string{"wlan0 2606:4700:1::/64\n"}), false},
		"none":                         {networkName(nil, nil), false},
	} {
		if (c.got == home) != c.same {
			t.Errorf("%s: got %q, at home %q, want the same: %v", name, c.got, home, c.same)
		}
	}
	if got := networkName(nil, nil); got != "" {
		t.Errorf("nowhere: got %q, want no name", got)
	}
}

// What this machine has, it has twice.
func TestNetworkNameOfThisMachine(t *testing.T) {
	if a, b := NetworkName(), NetworkName(); a != b {
		t.Errorf("got %q, then %q", a, b)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	loopback := false
	for _, i := range interfaces {
		for _, p := range Prefixes(i) {
			loopback = loopback || p.Addr().IsLoopback()
		}
	}
	if !loopback {
		t.Error("no interface has a loopback address: prefixes are not read")
	}
}
