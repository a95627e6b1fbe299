package mpegts

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/segmenter"
)

// harm is what happens to the second part of a programme, and what may come of it.
type harm struct {
	name    string
	parts   func(x []part)                                    // before it is multiplexed
	packets func(r *rand.Rand, p [][]byte) (changed [][]byte) // after; of the second part
	exact   bool                                              // what is missing is counted to the packet
	known   bool                                              // which samples are spared, and how many bytes are no packets, follows from which packets were harmed
	marked  bool                                              // whatever differs is marked as damaged
	jumps   int                                               // of each track; -1: as it comes
	start   time.Duration                                     // until a segment begins that can be joined; 0: 3 s
}

// altered tells whether the harm changes packets at all.
func (h *harm) altered() bool { return h.parts != nil || h.packets != nil }

// but are those of a list that are not called so: what does nothing to a programme tests nothing.
func but(list []harm, names ...string) []harm {
	return slices.DeleteFunc(slices.Clone(list), func(h harm) bool { return slices.Contains(names, h.name) })
}

// back is how long after the end of the harm all must be as if nothing had been.
const back = 3 * time.Second

// lose drops packets by lot.
func lose(share float64) func(*rand.Rand, [][]byte) [][]byte {
	return func(r *rand.Rand, p [][]byte) [][]byte {
		return slices.DeleteFunc(p, func([]byte) bool { return r.Float64() < share })
	}
}

// some calls f for packets picked by lot.
func some(share float64, f func(r *rand.Rand, p []byte)) func(*rand.Rand, [][]byte) [][]byte {
	return func(r *rand.Rand, list [][]byte) [][]byte {
		for _, p := range list {
			if r.Float64() < share {
				f(r, p)
			}
		}
		return list
	}
}

// each makes new packets of each.
func each(f func(r *rand.Rand, p []byte) [][]byte) func(*rand.Rand, [][]byte) [][]byte {
	return func(r *rand.Rand, list [][]byte) (out [][]byte) {
		for _, p := range list {
			out = append(out, f(r, p)...)
		}
		return out
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// harms are what a line, a multiplexer or an encoder does to the packets of any stream.
var harms = []harm{
	{name: "none", exact: true, known: true, marked: true},
	{name: "0.1 % lost", packets: lose(.001), exact: true, known: true, marked: true},
	{name: "1 % lost", packets: lose(.01), exact: true, known: true, marked: true},
	{name: "10 % lost", packets: lose(.1), exact: true, known: true, marked: true},
	{name: "a second lost", packets: func(_ *rand.Rand, p [][]byte) [][]byte {
		return slices.Delete(p, len(p)*3/8, len(p)/2)
	}, exact: true, known: true, jumps: -1},
	{name: "all lost", packets: func(*rand.Rand, [][]byte) [][]byte { return nil }, exact: true, known: true, jumps: -1},
	{name: "1 % overtaken", packets: func(r *rand.Rand, p [][]byte) [][]byte {
		for i := range len(p) - 1 {
			if r.Float64() < .01 {
				p[i], p[i+1] = p[i+1], p[i]
			}
		}
		return p
	}, exact: true, jumps: -1},
	{name: "5 % twice", packets: each(func(r *rand.Rand, p []byte) [][]byte {
		if r.Float64() < .05 {
			return [][]byte{p, p}
		}
		return [][]byte{p}
	}), exact: true, known: true, marked: true},
	{name: "1 % cut short", packets: each(func(r *rand.Rand, p []byte) [][]byte {
		if r.Float64() < .01 {
			p = p[:1+r.IntN(187)]
		}
		return [][]byte{p}
	}), known: true, jumps: -1},
	{name: "a bit in 2 % flipped", packets: some(.02, func(r *rand.Rand, p []byte) { p[r.IntN(len(p))] ^= 1 << r.IntN(8) }), jumps: -1},
	{name: "a bit of each flipped", packets: some(1, func(r *rand.Rand, p []byte) { p[r.IntN(len(p))] ^= 1 << r.IntN(8) }), jumps: -1},
	{name: "1 % reported as wrong", packets: some(.01, func(_ *rand.Rand, p []byte) { p[1] |= 0x80 }), exact: true, known: true, marked: true},
	{name: "noise in between", packets: each(func(r *rand.Rand, p []byte) [][]byte {
		if r.Float64() < .01 {
			return [][]byte{p, bytes.ReplaceAll(noise(r, 1+r.IntN(1000)), []byte{0x47}, []byte{0x46})} // nothing that looks like a packet
		}
		return [][]byte{p}
	}), known: true, jumps: -1},
	{name: "nothing but noise", packets: some(1, func(r *rand.Rand, p []byte) { copy(p, noise(r, len(p))) }), jumps: -1},
	{name: "nothing but stuffing", packets: some(1, func(_ *rand.Rand, p []byte) { copy(p, []byte{0x47, 0x1f, 0xff, 0x10}) }), exact: true, known: true, jumps: -1},
	{name: "stuffing in between", packets: each(func(_ *rand.Rand, p []byte) [][]byte {
		return [][]byte{p, append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...)}
	}), exact: true, marked: true},
	{name: "scrambled", packets: some(1, func(_ *rand.Rand, p []byte) { p[3] |= 0x80 }), exact: true, known: true, jumps: -1},
	{name: "no PCR", packets: some(1, func(_ *rand.Rand, p []byte) {
		if hasPCR(p) { // private data take its place
			p[5] = p[5]&^0x10 | 0x02
			copy(p[6:], []byte{5, 1, 2, 3, 4, 5})
		}
	}), exact: true, known: true, marked: true},
	{name: "stuffing for the PCR", packets: some(1, func(_ *rand.Rand, p []byte) {
		if hasPCR(p) { // looks like the end of a picture, until it was not
			p[5] &^= 0x10
			copy(p[6:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		}
	}), exact: true},
	{name: "a wild PCR", packets: some(1, func(r *rand.Rand, p []byte) {
		if hasPCR(p) {
			copy(p[6:12], noise(r, 6))
		}
	}), exact: true, known: true, marked: true},
	{name: "no table", packets: func(_ *rand.Rand, list [][]byte) [][]byte {
		return slices.DeleteFunc(list, func(p []byte) bool { return pidOf(p) == 0 || pidOf(p) == 4096 })
	}, marked: true},
	{name: "unbounded PES", packets: some(1, func(_ *rand.Rand, p []byte) {
		if b := payloadOf(p); p[1]&0x40 != 0 && len(b) > 6 && bytes.HasPrefix(b, []byte{0, 0, 1, 0xe0}) {
			b[4], b[5] = 0, 0
		}
	}), exact: true, marked: true},
}

// changes are what happens before a multiplexer, of ours: times, tables, sizes.
var changes = []harm{
	{name: "PMT change", known: true, parts: func(x []part) {
		p := *x[1].program
		p.Descriptors = []byte{0x09, 0}
		p.Tracks = append(slices.Clone(p.Tracks), ingest.Track{ID: 9, Codec: ingest.Data, PID: 700, StreamType: 6, StreamID: 0xbd})
		x[1].program = &p
		x[1].samples = append(slices.Clone(x[1].samples), ingest.Sample{Track: 9, PTS: x[2].samples[0].PTS, DTS: x[2].samples[0].PTS, Data: []byte("new")})
	}, exact: true},
	{name: "PIDs swapped", known: true, parts: func(x []part) {
		p := *x[1].program
		p.Tracks = slices.Clone(p.Tracks)
		p.Tracks[0].PID, p.Tracks[1].PID = p.Tracks[1].PID, p.Tracks[0].PID
		p.PCRPID, p.PMTPID = p.Tracks[0].PID, 4097
		x[1].program = &p
	}, exact: true},
	{name: "wrap", known: true, parts: func(x []part) { shift(x, 1<<33-partTicks*3/2) }, exact: true},
	{name: "an hour back", known: true, parts: func(x []part) { shift(x, 3600*ingest.ClockRate); shift(x[1:], -3600*ingest.ClockRate) }, exact: true, jumps: 1},
	{name: "two seconds back", known: true, parts: func(x []part) { shift(x[1:], -2*ingest.ClockRate) }, exact: true, jumps: 1},
	{name: "an hour ahead", known: true, parts: func(x []part) { shift(x[1:], 3600*ingest.ClockRate) }, exact: true, jumps: 1},
	{name: "sound comes late", known: true, parts: func(x []part) {
		for i := range 2 {
			x[i].samples = slices.DeleteFunc(slices.Clone(x[i].samples), func(s ingest.Sample) bool { return s.Track == 1 })
		}
	}, exact: true},
	{name: "empty PES", known: true, parts: func(x []part) {
		var out []ingest.Sample
		for _, s := range x[1].samples {
			out = append(out, s, ingest.Sample{Track: s.Track, PTS: s.PTS, DTS: s.PTS})
		}
		x[1].samples = out
	}, exact: true, marked: true},
	{name: "killed and back, from zero", known: true, parts: func(x []part) {
		x[1].samples = x[1].samples[:60]
		x[2].fresh = true
		shift(x[2:], -x[2].samples[0].DTS)
	}, packets: func(_ *rand.Rand, p [][]byte) [][]byte {
		last := len(p) - 1
		return append(p[:last], p[last][:100])
	}, jumps: 1},
	{name: "killed and back, as if it had gone on", known: true, parts: func(x []part) {
		x[1].samples = x[1].samples[:60]
		x[2].fresh = true
	}},
}

// bigs are pictures that nobody wants to send.
var bigs = []harm{
	{name: "a picture of 2 MB", parts: func(x []part) {
		x[1].samples[50].Data = coded([]byte{0x65, 0x88}, 1, 2<<20)
		x[1].samples[100].Data = coded([]byte{0x41, 0x9a}, 2, 2<<20)
	}, exact: true, known: true, marked: true},
	{name: "a picture of 2 MB and 1 % lost", parts: func(x []part) { x[1].samples[50].Data = coded([]byte{0x65, 0x88}, 1, 2<<20) }, packets: lose(.01), exact: true, known: true, marked: true},
}

func shift(x []part, ticks int64) {
	for i := range x {
		for j := range x[i].samples {
			x[i].samples[j].PTS += ticks
			x[i].samples[j].DTS += ticks
		}
	}
}

func pidOf(p []byte) uint16 { return uint16(p[1]&0x1f)<<8 | uint16(p[2]) }

func hasPCR(p []byte) bool { return p[3]&0x20 != 0 && p[4] >= 7 && p[5]&0x10 != 0 }

func payloadOf(p []byte) []byte {
	switch {
	case p[3]&0x10 == 0:
		return nil
	case p[3]&0x20 != 0:
		return p[min(5+int(p[4]), len(p)):]
	}
	return p[4:]
}

// missing counts what H.222.0, 2.4.3.3 says is missing on the PIDs that matter, by the continuity counters of a stream without any harm
// but missing, doubled and exchanged packets.
func missing(packets [][]byte, matters func(pid uint16) bool) (n uint64) {
	last := map[uint16][]byte{}
	for _, p := range packets {
		pid := pidOf(p)
		if !matters(pid) || p[1]&0x80 != 0 || p[3]&0x10 == 0 {
			continue
		}
		if before := last[pid]; before != nil && !bytes.Equal(before, p) {
			n += uint64(p[3]-before[3]-1) & 15
		}
		last[pid] = p
	}
	return n
}

// TestDamage is the matrix: whatever happens to the second part, the third plays within three seconds, everything is counted, and what
// came in is what viewers get.
func TestDamage(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, m := range []struct {
		name  string
		parts func(testing.TB) []part
		harms []harm
	}{
		{"television", television, slices.Concat(harms, changes)},
		{"radio", radio, but(harms, "0.1 % lost", "unbounded PES")}, // of so few packets none is lost, and the lengths of pictures are meant
		{"a key picture each ten seconds", synthetic(250, 5000), withStart(harms, 11*time.Second)},
		{"television of hand", synthetic(25, 5000), bigs},
	} {
		clean := airDamaged(t, seed, m.parts, harm{}, 0)
		for i, h := range m.harms {
			t.Run(fmt.Sprintf("%s/%s", m.name, h.name), func(t *testing.T) {
				checkDamage(t, clean, airDamaged(t, seed, m.parts, h, uint64(i)), h)
			})
		}
	}
}

func withStart(list []harm, d time.Duration) []harm {
	list = slices.Clone(list)
	for i := range list {
		list[i].start = d
	}
	return list
}

// damaged is a run and what the packets say that should be counted, and should have come.
type damaged struct {
	*run
	missing uint64
	skipped uint64
	garbled uint64 // bytes of packets that were cut short and filled with what followed, which may be understood or not
	wanted  []wanted
	altered bool // harm has changed something
}

func airDamaged(t *testing.T, seed maphash.Seed, make func(testing.TB) []part, h harm, random uint64) (d damaged) {
	t.Helper()
	parts := make(t)
	if h.parts != nil {
		h.parts(parts)
	}
	packets := multiplexed(t, parts)
	anew := 0
	if parts[2].fresh {
		anew = len(packets[0]) + len(packets[1])
	}
	d = airPackets(t, seed, packets, h, random, anew)
	d.altered = d.altered || h.parts != nil
	return d
}

// airPackets does harm to the second of parts and airs them. Packets from anew on, if not 0, are of another multiplexer.
func airPackets(t *testing.T, seed maphash.Seed, parts [][][]byte, h harm, random uint64, anew int) (d damaged) {
	t.Helper()
	sent := track(slices.Concat(parts...))
	if h.packets != nil {
		parts[1] = h.packets(rand.New(rand.NewPCG(random, 1)), parts[1])
	}
	came := slices.Concat(parts...)
	d.altered = !slices.EqualFunc(sent.list, came, bytes.Equal)
	fates, between := sent.fates(came)
	d.skipped = between + sent.overrun(fates)
	d.garbled = 184 * uint64(len(fates)-len(slices.DeleteFunc(slices.Clone(fates), func(f fate) bool { return f == suspect })))
	d.wanted = sent.units(seed, fates, anew)
	if h.exact {
		d.missing = missing(came, func(pid uint16) bool { return pid != 0x1fff })
	}
	synctest.Test(t, func(t *testing.T) {
		var streams [][]byte
		for _, p := range parts {
			streams = append(streams, bytes.Join(p, nil))
		}
		d.run = onAir(t, seed, streams)
	})
	return d
}

func checkDamage(t *testing.T, clean, got damaged, h harm) {
	t.Helper()
	if got.err != nil {
		t.Errorf("the source ended with %v", got.err)
	}
	if h.altered() && !got.altered {
		t.Error("the harm did none: nothing was tested")
	}
	checkCounters(t, got, h)
	if h.known {
		checkSpared(t, got.wanted, got.in)
	}
	if !slices.EqualFunc(got.in, got.out, sameBut) {
		t.Errorf("viewers get %d samples that are not the %d of the source", len(got.out), len(got.in))
	}
	checkOrder(t, got.in)
	if h.marked {
		checkMarked(t, clean.in, got.wanted, got.in)
	}
	checkPlays(t, clean, got, h)
}

// sameBut compares what does not depend on when a block was full.
func sameBut(a, b heard) bool {
	a.at, b.at = 0, 0
	return a == b
}

func checkCounters(t *testing.T, got damaged, h harm) {
	t.Helper()
	count := func(f ingest.Flags) (n uint64) {
		for _, x := range got.in {
			if x.flags&f != 0 {
				n++
			}
		}
		return n
	}
	s := got.stats
	if a, b, c := s.Samples.Load(), s.DamagedSamples.Load(), s.Discontinuities.Load(); a != uint64(len(got.in)) || b != count(ingest.Damaged) || c != count(ingest.Discontinuity) {
		t.Errorf("%d samples, %d damaged and %d jumps are counted, and %d, %d, %d came", a, b, c, len(got.in), count(ingest.Damaged), count(ingest.Discontinuity))
	}
	if n := s.LostPackets.Load(); h.exact && n != got.missing {
		t.Errorf("%d packets are counted as lost, %d are missing", n, got.missing)
	}
	if n := s.SkippedBytes.Load(); h.known && (n < got.skipped || n > got.skipped+got.garbled) {
		t.Errorf("%d bytes are counted as skipped, and %d belong to nothing, %d more may", n, got.skipped, got.garbled)
	}
	tracks := map[uint16]bool{}
	for _, x := range got.in {
		tracks[x.pid] = true
	}
	if n := int(s.Discontinuities.Load()); h.jumps >= 0 && n != h.jumps*len(tracks) {
		t.Errorf("%d jumps of %d tracks are counted, want %d of each", n, len(tracks), h.jumps)
	}
	t.Logf("%d samples, %d damaged, %d packets lost, %d bytes skipped, %d jumps, %d blocks, %d programs", len(got.in), s.DamagedSamples.Load(),
		s.LostPackets.Load(), s.SkippedBytes.Load(), s.Discontinuities.Load(), got.blocks, got.programs)
}

// checkOrder: no track of a program goes back without saying so, and nothing is shown before it is decoded.
func checkOrder(t *testing.T, list []heard) {
	t.Helper()
	type track struct {
		program int
		pid     uint16
	}
	last := map[track]int64{}
	for i, x := range list {
		k := track{x.program, x.pid}
		before, seen := last[k]
		if seen && x.dts < before && x.flags&ingest.Discontinuity == 0 || x.pts < x.dts {
			t.Fatalf("sample %d of PID %d: DTS %d after %d, PTS %d", i, x.pid, x.dts, before, x.pts)
		}
		last[k] = x.dts
	}
}

// checkMarked: what is not marked as damaged is what comes without harm, or one of those that were put in its place.
func checkMarked(t *testing.T, clean []heard, sent []wanted, got []heard) {
	t.Helper()
	known := map[heard]bool{}
	strip := func(x heard) heard { return heard{pid: x.pid, pts: x.pts, sum: x.sum, size: x.size} }
	for _, x := range clean {
		known[strip(x)] = true
	}
	for _, w := range sent {
		known[w.sample] = true
	}
	for _, x := range got {
		if x.flags&ingest.Damaged == 0 && !known[strip(x)] {
			t.Errorf("a sample of PID %d, PTS %d, %d bytes is wrong and not marked", x.pid, x.pts, x.size)
			return
		}
	}
}

// checkPlays: the third part begins with a segment that can be joined, in time, and then is what it would have been.
func checkPlays(t *testing.T, clean, got damaged, h harm) {
	t.Helper()
	start := h.start
	if start == 0 {
		start = back
	}
	if !slices.ContainsFunc(got.starts, func(at time.Duration) bool { return at >= 2*partTime && at <= 2*partTime+start }) {
		t.Errorf("no segment to join within %v: they begin at %v", start, got.starts)
	}
	want, have := byPID(clean.out), byPID(got.out)
	for pid, list := range want {
		list = slices.DeleteFunc(list, func(x heard) bool { return x.at <= 2*partTime+back })
		if len(list) < 50 || len(have[pid]) < len(list) || !slices.EqualFunc(list, have[pid][len(have[pid])-len(list):], inTime(list[0].pts, have[pid][len(have[pid])-len(list)].pts)) {
			t.Errorf("PID %d: %v after the input is back its last %d samples are not what and when they are without harm", pid, back, len(list))
		}
	}
}

func byPID(list []heard) map[uint16][]heard {
	m := map[uint16][]heard{}
	for _, x := range list {
		m[x.pid] = append(m[x.pid], x)
	}
	return m
}

// inTime compares samples, whose times count from those given. One may come as much later as a block lasts.
func inTime(from, otherFrom int64) func(a, b heard) bool {
	return func(a, b heard) bool {
		return a.sum == b.sum && a.size == b.size && a.flags == b.flags && a.pts-from == b.pts-otherFrom && b.at-a.at < 250*time.Millisecond
	}
}

// TestDamageKeepsMemoryFlat: one source through all harm to all programmes, again and again.
func TestDamageKeepsMemoryFlat(t *testing.T) {
	var list []harmful
	for _, make := range []func(testing.TB) []part{television, radio} {
		clean := multiplexed(t, make(t))
		for _, h := range harms {
			list = append(list, harmful{clean, h})
		}
	}
	for _, h := range changes {
		parts := television(t)
		h.parts(parts)
		list = append(list, harmful{multiplexed(t, parts), h})
	}
	for _, h := range bigs {
		parts := synthetic(25, 5000)(t)
		h.parts(parts)
		list = append(list, harmful{multiplexed(t, parts), h})
	}
	checkFlat(t, list)
}

// harmful are three parts and what is done to the second.
type harmful struct {
	parts [][][]byte
	harm
}

// packets are those of the second part, after the harm.
func (h harmful) packets(r *rand.Rand) [][]byte {
	second := copyOf(h.parts[1:2])[0]
	if h.harm.packets != nil {
		second = h.harm.packets(r, second)
	}
	return second
}

// checkFlat sends all of a list through one scanner, nine times, and looks at what stays in memory.
func checkFlat(t *testing.T, list []harmful) {
	t.Helper()
	viewer := segmenter.NewAssembler(nowhere{})
	cutter := segmenter.New(segmenter.Config{}, func(b segmenter.Block) error { return viewer.Write(b.Payload, b.SegmentFirst) })
	scanner := Config{}.scanner(cutter)
	var first uint64
	for round := range uint64(9) {
		for i, h := range list {
			for _, p := range h.packets(rand.New(rand.NewPCG(uint64(i), round))) {
				scanner.Write(p)
			}
		}
		if round == 2 {
			first = heapInUse()
		}
	}
	if last := heapInUse(); last > first+1<<20 {
		t.Errorf("%d bytes are in use after nine rounds, %d were after three", last, first)
	}
	runtime.KeepAlive(list) // else it is gone from the second figure, and what has leaked may take its place; so is what the scanner holds
	runtime.KeepAlive(scanner)
	if err := cutter.Close(); err != nil {
		t.Errorf("a block cannot be read: %v", err)
	}
}

type nowhere struct{}

func (nowhere) SetProgram(*ingest.Program)  {}
func (nowhere) WriteSample(s ingest.Sample) {}
