package mpegts

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"golang.org/x/net/ipv4"

	"tailcast/ingest"
	"tailcast/internal/clip"
)

// datagrams are the clip in portions of seven packets.
func datagrams() (out [][]byte) {
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

func TestUDP(t *testing.T) {
	header := func(b []byte, seq uint16) []byte {
		p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 33, SequenceNumber: seq, SSRC: 7}, Payload: b}
		out, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		name string
		rtp  bool
	}{{"bare", false}, {"RTP", true}} {
		t.Run(c.name, func(t *testing.T) {
			stats := new(ingest.Stats)
			u, err := ListenUDP(Config{Stats: stats}, "127.0.0.1:0", "")
			if err != nil {
				t.Fatal(err)
			}
			s := newSink(567)
			stop := start(t, u, s)
			packets := datagrams()
			for i, p := range packets {
				if c.rtp {
					packets[i] = header(p, uint16(i))
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
	u, err := ListenUDP(Config{Stats: stats}, "@239.255.77.1:0", lo.Name)
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
	send(t, conn, stats, datagrams())
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
	for _, c := range []struct{ addr, ifname, want string }{
		{taken.LocalAddr().String(), "", "address already in use"},
		{"127.0.0.1", "", "missing port"},
		{"239.255.77.1:0", "no-such-interface", `interface "no-such-interface"`},
	} {
		u, err := ListenUDP(Config{}, c.addr, c.ifname)
		if err == nil {
			u.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "couldn't listen for a stream on") {
			t.Errorf("%s: got %v, want %q", c.addr, err, c.want)
		}
	}
}

func TestTransportPackets(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"bare", "G" + strings.Repeat("x", 187), "G" + strings.Repeat("x", 187)},
		{"RTP", "\x80\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00G...", "G..."},
		{"RTP with extension", "\x90\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01abcdG...", "G..."},
		{"RTP with padding", "\xa0\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00G...\x00\x02", "G..."},
		{"RTP of something else", "\x80\x60\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00G...", "\x80\x60\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00G..."},
		{"cut", "\x8f\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00G", "\x8f\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00G"},
		{"nothing", "", ""},
	} {
		if got := string(transportPackets([]byte(c.in))); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzTransportPackets(f *testing.F) {
	f.Add([]byte("\xb3\x21\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\xbe\xde\x00\x01abcdG...\x00\x02"))
	f.Add([]byte("G..."))
	f.Fuzz(func(t *testing.T, in []byte) {
		if got := transportPackets(in); len(got) > len(in) {
			t.Errorf("got %d bytes of %d", len(got), len(in))
		}
	})
}
