package mpegts

import (
	"errors"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"golang.org/x/net/ipv4"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// portions are the clip in portions of seven packets.
func portions() (out [][]byte) {
	for in := clip.Bytes(); len(in) > 0; {
		n := min(7*188, len(in))
		out = append(out, in[:n])
		in = in[n:]
	}
	return out
}

// sender is a socket on the loopback that sends to a UDP source.
func sender(t *testing.T, to net.Addr) *net.UDPConn {
	t.Helper()
	a := to.(*net.UDPAddr)
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: a.Port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send sends datagrams, never far ahead of what the source has taken, so that none is lost on a busy machine.
func send(t *testing.T, conn *net.UDPConn, stats *ingest.Stats, packets [][]byte) {
	t.Helper()
	const ahead = 32
	began, deadline := stats.Bytes.Load(), time.Now().Add(10*time.Second)
	for i, p := range packets {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
		for i > ahead && stats.Bytes.Load() < began+uint64(i-ahead)*7*188 {
			if runtime.Gosched(); time.Now().After(deadline) {
				t.Fatal("the source does not receive")
			}
		}
	}
}

// inRTP is an RTP packet.
func inRTP(t testing.TB, h rtp.Header, payload []byte) []byte {
	t.Helper()
	h.Version = 2
	out, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUDP(t *testing.T) {
	for _, c := range []struct {
		name string
		rtp  bool
	}{{"bare", false}, {"RTP", true}} {
		t.Run(c.name, func(t *testing.T) {
			stats := new(ingest.Stats)
			u, err := ListenUDP(UDPConfig{Config: Config{Stats: stats}, Addr: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			s := newSink(567)
			stop := start(t, u, s)
			packets := portions()
			for i, p := range packets {
				if c.rtp {
					packets[i] = inRTP(t, rtp.Header{PayloadType: 33, SequenceNumber: uint16(i), SSRC: 7}, p)
				}
			}
			// The encoder restarts at another address in the middle. The last picture comes out by silence.
			send(t, sender(t, u.Addr()), stats, packets[:300])
			send(t, sender(t, u.Addr()), stats, packets[300:])
			wait(t, s.full, "all samples")
			canceled(t, stop())
			same(t, s.of(pictures), want(t).of(pictures))
			same(t, s.of(sound), want(t).of(sound))
			if n := stats.LostPackets.Load() + stats.SkippedBytes.Load(); n != 0 {
				t.Errorf("got %d lost or skipped, want none", n)
			}
		})
	}
}

func TestUDPMulticast(t *testing.T) {
	lo := loopback(t)
	stats := new(ingest.Stats)
	u, err := ListenUDP(UDPConfig{Config: Config{Stats: stats}, Addr: "@239.255.77.1:0", Interface: lo.Name})
	if err != nil {
		t.Skipf("needs multicast on the loopback interface: %v", err)
	}
	s := newSink(567)
	stop := start(t, u, s)
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(239, 255, 77, 1), Port: u.Addr().(*net.UDPAddr).Port})
	if err != nil {
		canceled(t, stop())
		t.Skipf("needs multicast on the loopback interface: %v", err)
	}
	defer conn.Close()
	p := ipv4.NewPacketConn(conn)
	if err := p.SetMulticastInterface(lo); err != nil {
		t.Fatal(err)
	}
	if err := p.SetMulticastLoopback(true); err != nil {
		t.Fatal(err)
	}
	send(t, conn, stats, portions())
	wait(t, s.full, "all samples")
	canceled(t, stop())
	same(t, s.of(pictures), want(t).of(pictures))
}

func loopback(t *testing.T) *net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Flags&net.FlagLoopback != 0 && all[i].Flags&net.FlagUp != 0 {
			return &all[i]
		}
	}
	t.Skip("needs a loopback interface")
	return nil
}

func TestListenUDPErrors(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct{ addr, ifname, source, want string }{
		{taken.LocalAddr().String(), "", "", "address already in use"},
		{"127.0.0.1", "", "", "missing port"},
		{"239.255.77.1:0", "no-such-interface", "", `interface "no-such-interface"`},
		{"127.0.0.1:0", "", "somebody", `source "somebody" is no IP address`},
		{"127.0.0.1:0", "", "::1", "both be IPv4 or both IPv6"},
	} {
		u, err := ListenUDP(UDPConfig{Addr: c.addr, Interface: c.ifname, Source: c.source})
		if err == nil {
			u.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "couldn't listen for a stream on") {
			t.Errorf("%s: got %v, want %q", c.addr, err, c.want)
		}
	}
}

// TestUDPSource: only the named sender is listened to, of a group too.
func TestUDPSource(t *testing.T) {
	lo := loopback(t)
	for _, c := range []struct{ name, addr, source, want string }{
		{"unicast", "127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"group", "232.7.7.1:0", "127.0.0.1", "127.0.0.1"},
		{"group, the other sender", "232.7.7.2:0", "127.0.0.2", "127.0.0.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stats := new(ingest.Stats)
			u, err := ListenUDP(UDPConfig{Config: Config{Stats: stats}, Addr: c.addr, Interface: lo.Name, Source: c.source})
			if err != nil {
				t.Skipf("needs multicast on the loopback interface: %v", err)
			}
			s := newSink(567)
			stop := start(t, u, s)
			to, port := net.ParseIP(strings.TrimSuffix(c.addr, ":0")), u.Addr().(*net.UDPAddr).Port
			dial := func(from string) *net.UDPConn {
				conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: to, Port: port})
				if err != nil {
					t.Skipf("needs several addresses on the loopback interface: %v", err)
				}
				t.Cleanup(func() { conn.Close() })
				if p := ipv4.NewPacketConn(conn); to.IsMulticast() {
					if err := errors.Join(p.SetMulticastInterface(lo), p.SetMulticastLoopback(true)); err != nil {
						t.Fatal(err)
					}
				}
				return conn
			}
			right, wrong := dial("127.0.0.1"), dial("127.0.0.2")
			if c.want == "127.0.0.2" {
				right, wrong = wrong, right
			}
			for _, p := range portions() { // each from both; those of the stranger would be repetitions and gaps
				if _, err := wrong.Write(p[:188]); err != nil {
					t.Fatal(err)
				}
				send(t, right, stats, [][]byte{p})
				for before := stats.Bytes.Load(); stats.Bytes.Load() < before; {
					runtime.Gosched()
				}
			}
			wait(t, s.full, "all samples")
			canceled(t, stop())
			same(t, s.of(pictures), want(t).of(pictures))
			if got := stats.Bytes.Load(); got != uint64(len(clip.Bytes())) {
				t.Errorf("got %d bytes, want only the %d of the named sender", got, len(clip.Bytes()))
			}
		})
	}
}

// TestUDPSourceV6: a group of IPv6 is joined with its source. Few machines route such groups over the loopback, so the kernel is asked.
func TestUDPSourceV6(t *testing.T) {
	lo := loopback(t)
	u, err := ListenUDP(UDPConfig{Addr: "[ff31::7:7]:0", Interface: lo.Name, Source: "::1"})
	if err != nil {
		t.Skipf("needs IPv6 on the loopback interface: %v", err)
	}
	defer u.Close()
	list, err := os.ReadFile("/proc/net/mcfilter6")
	if err != nil {
		t.Skipf("needs Linux: %v", err)
	}
	want := regexp.MustCompile(`(?m)^\s*\d+\s+` + lo.Name + `\s+ff310000000000000000000000070007\s+00000000000000000000000000000001\s+1\s+0$`)
	if !want.Match(list) {
		t.Errorf("the group is not joined for ::1 alone:\n%s", list)
	}
}
