package main

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tailcast/internal/cpu"
	"tailcast/swarm"
)

// A report is what a child measures.
type report struct {
	From, To sample
	Resident float64         // bytes, at the end of the window
	Memory   float64         // bytes of heap and stacks in use after a collection, likewise; sessions are still open
	Left     int             // goroutines of ours after everything has been closed: leaks
	Late     []time.Duration `json:",omitempty"` // of the streamer: how much later than due blocks were signed
	Lags     []time.Duration `json:",omitempty"` // of viewers: of all blocks that were pushed to them
	Viewers  []viewerReport  `json:",omitempty"`
	MissedAt []int           `json:",omitempty"` // of viewers: blocks missed, by second of the window
}

// A sample is what all nodes of a process have done until a moment.
type sample struct {
	At         time.Time
	CPU        time.Duration
	Goroutines int
	Nodes      []totals
}

// totals are what one node has done since it started.
type totals struct {
	Wire, Packets            uint64 // sent, without UDP and IP headers
	Media, Proofs            uint64 // sent
	Control, Repair          uint64 // likewise
	Verified, Rejected       uint64
	Missed, Duplicate        uint64
	Repaired, Skipped        uint64
	Banned                   uint64
	Sessions, Children, Used int // now
	Missing                  int // stripes without a parent, now
}

// udpHeaders are the bytes of IPv4 and UDP that each packet has on the wire.
const udpHeaders = 28

// wire returns the bytes on the wire, headers included.
func (t totals) wire() float64 { return float64(t.Wire + udpHeaders*t.Packets) }

// since returns what was done after an earlier moment; what is of the moment stays.
func (t totals) since(o totals) totals {
	for _, x := range []struct {
		now    *uint64
		before uint64
	}{
		{&t.Wire, o.Wire},
		{&t.Packets, o.Packets},
		{&t.Media, o.Media},
		{&t.Proofs, o.Proofs},
		{&t.Control, o.Control},
		{&t.Repair, o.Repair},
		{&t.Verified, o.Verified},
		{&t.Rejected, o.Rejected},
		{&t.Missed, o.Missed},
		{&t.Duplicate, o.Duplicate},
		{&t.Repaired, o.Repaired},
		{&t.Skipped, o.Skipped},
		{&t.Banned, o.Banned},
	} {
		*x.now -= x.before
	}
	return t
}

func totalsOf(st swarm.Status) totals {
	return totals{
		Wire: st.WireSent, Packets: st.PacketsSent,
		Media: st.Sent.Media, Proofs: st.Sent.Proofs, Control: st.Sent.Control, Repair: st.Sent.Repair,
		Verified: st.Blocks.Verified, Rejected: st.Blocks.Rejected, Missed: st.Blocks.Missed, Duplicate: st.Blocks.Duplicate,
		Repaired: st.Blocks.Repaired, Skipped: st.Skipped, Banned: st.Banned,
		Sessions: len(st.Peers), Children: st.Children, Used: st.Used, Missing: st.Missing,
	}
}

func takeSample(nodes []*swarm.Swarm) sample {
	if len(nodes) == 1 {
		awaitStatus(nodes[0])
	}
	s := sample{At: time.Now(), CPU: cpu.Used(), Goroutines: runtime.NumGoroutine()}
	for _, n := range nodes {
		s.Nodes = append(s.Nodes, totalsOf(n.Status()))
	}
	return s
}

// awaitStatus returns when the Status of a node is new: it may be 200 ms old, which is a hundredth of the window. What stands still has no new one.
func awaitStatus(n *swarm.Swarm) {
	old := totalsOf(n.Status())
	for range 100 {
		if totalsOf(n.Status()) != old {
			return
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// measureWindow measures what the nodes of this process do in w, and returns when ctx ends.
func measureWindow(ctx context.Context, w window, profile string, nodes []*swarm.Swarm) (r report) {
	if !sleep(ctx, w.From) {
		return r
	}
	stop := startProfiles(profile)
	r.From = takeSample(nodes)
	if !sleep(ctx, w.To) {
		stop()
		return r
	}
	r.To = takeSample(nodes)
	r.Resident = resident()
	r.Memory = memoryInUse()
	stop()
	<-ctx.Done()
	return r
}

// memoryInUse is what heap and stacks take after a collection.
func memoryInUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}

// resident is what is in memory of this process, in bytes (proc(5), VmRSS); where there is no /proc, the most that ever was.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if kb, ok := field(string(text), "VmRSS:"); err == nil && ok {
		return kb * 1024
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(u.Maxrss)
	}
	return float64(u.Maxrss) * 1024
}

// field returns the number after a name.
func field(text, name string) (float64, bool) {
	_, after, ok := strings.Cut(text, name)
	words := strings.Fields(after)
	if !ok || len(words) == 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(words[0], 64)
	return v, err == nil
}

// goroutinesLeft counts the goroutines that are still there after all was closed, but for those of this program: main, and the one that
// reads stdin. Those that are about to end get a moment.
func goroutinesLeft() (n int) {
	for range 100 {
		if n = runtime.NumGoroutine() - 1; n <= 0 {
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n
}
