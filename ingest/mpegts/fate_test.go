package mpegts

import (
	"bytes"
	"hash/maphash"
	"slices"
	"testing"

	"tailcast/ingest"
)

// What follows says, from the packets alone and without the scanner, which samples harm must have spared and which it cannot have, and how many
// bytes are between packets. It knows what a receiver cannot: which packet is which.

// fate is what became of a packet.
type fate byte

const (
	whole   fate = iota
	suspect      // it came, and was cut short, or nobody can tell whether it was: something else than a packet follows
	gone         // it did not come, or not so that it could be found
)

// tracked are packets that are told apart by where they lie in memory.
type tracked struct {
	list  [][]byte // as they were
	order map[*byte]int
}

func track(packets [][]byte) (k tracked) {
	k.list, k.order = slices.Concat(copyOf([][][]byte{packets})...), map[*byte]int{}
	for i, p := range packets {
		k.order[&p[0]] = i
	}
	return k
}

// fates looks for what was sent in what came. A receiver that has lost the packets finds them again where three follow one another.
func (k tracked) fates(came [][]byte) (list []fate, skipped uint64) {
	list = slices.Repeat([]fate{gone}, len(k.list))
	isPacket := func(i int) bool {
		_, ok := k.order[&came[i][0]]
		return ok || len(came[i]) == 188 && came[i][0] == 0x47 && pidOf(came[i]) == 0x1fff // stuffing that was put in
	}
	found := func(i int) bool {
		return i+2 >= len(came) || isPacket(i) && isPacket(i+1) && isPacket(i+2) && len(came[i]) == 188 && len(came[i+1]) == 188
	}
	for i := 0; i < len(came); {
		over := 0 // bytes that are taken for the rest of a packet
		if isPacket(i) {
			if n, ok := k.order[&came[i][0]]; ok {
				list[n] = judged(came[i], k.list[n], i+1 == len(came) || isPacket(i+1))
			}
			over = 188 - len(came[i])
			if i++; over == 0 && (i == len(came) || isPacket(i)) {
				continue
			}
		}
		for ; i < len(came) && (over > 0 || !found(i)); i++ {
			n := min(over, len(came[i]))
			over -= n
			skipped += uint64(len(came[i]) - n)
		}
	}
	return list, skipped
}

// judged is the fate of a packet that was found; followed says that another packet comes next.
func judged(p, sent []byte, followed bool) fate {
	switch {
	case len(p) < 4 || !bytes.Equal(p[1:4], sent[1:4]): // reported as wrong, scrambled, another PID
		return gone
	case len(p) < 188 || !followed:
		return suspect
	}
	return whole
}

// wanted is a unit of a stream, and what must have become of it.
type wanted struct {
	sample heard // pid, pts, sum and size alone
	spared bool  // all of its packets came whole
	open   bool  // where it ends is not declared, and what came next was missing: whether it is whole nobody can know
}

// units are the PES packets of pictures and sound, one a sample, of packets with these fates. Packets from anew on are of another multiplexer.
func (k tracked) units(seed maphash.Seed, fates []fate, anew int) (list []wanted) {
	type open struct {
		wanted
		data []byte
	}
	now := map[uint16]*open{}
	end := func(pid uint16) {
		if u := now[pid]; u != nil && len(u.data) > 9 && len(u.data) > 9+int(u.data[8]) {
			u.sample = heard{pid: pid, pts: timeIn(u.data[9:]), sum: maphash.Bytes(seed, u.data[9+int(u.data[8]):]), size: len(u.data) - 9 - int(u.data[8])}
			list = append(list, u.wanted)
		}
		delete(now, pid)
	}
	for i, p := range k.list {
		pid, payload := pidOf(p), payloadOf(p)
		if len(payload) == 0 {
			continue
		}
		u := now[pid]
		if p[1]&0x40 != 0 {
			if u != nil {
				undeclared := u.data[4] == 0 && u.data[5] == 0
				u.open = undeclared && (fates[i] == gone || anew > 0 && i >= anew)
			}
			end(pid)
			if u = nil; bytes.HasPrefix(payload, []byte{0, 0, 1}) {
				u = &open{wanted: wanted{spared: true}}
				now[pid] = u
			}
		}
		if u != nil {
			u.data = append(u.data, payload...)
			u.spared = u.spared && fates[i] == whole
		}
	}
	for pid := range now {
		end(pid)
	}
	return list
}

// overrun counts the bytes that belong to nothing: what follows a unit of declared length that was filled up by the next one, whose beginning is lost.
func (k tracked) overrun(fates []fate) (skipped uint64) {
	type stream struct {
		open, gap  bool
		need, have int
	}
	now := map[uint16]*stream{}
	for i, p := range k.list {
		pid, payload := pidOf(p), payloadOf(p)
		starts := p[1]&0x40 != 0
		if now[pid] == nil && starts && bytes.HasPrefix(payload, []byte{0, 0, 1}) {
			now[pid] = &stream{}
		}
		x := now[pid]
		switch {
		case x == nil || len(payload) == 0:
			continue
		case fates[i] == gone:
			x.gap = true
			continue
		case starts:
			*x = stream{open: true, have: len(payload), need: 6 + int(payload[4])<<8 + int(payload[5])}
		case x.open:
			x.have += len(payload)
		case x.gap:
			*x = stream{open: true, have: len(payload), need: 6}
		default:
			skipped += uint64(len(payload))
		}
		x.gap = false
		x.open = x.need == 6 || x.have < x.need
	}
	return skipped
}

func timeIn(h []byte) int64 {
	return int64(h[0]>>1&7)<<30 | int64(h[1])<<22 | int64(h[2]>>1)<<15 | int64(h[3])<<7 | int64(h[4]>>1)
}

// checkSpared: what was spared came, whole and unmarked, and nothing else did.
func checkSpared(t *testing.T, want []wanted, got []heard) {
	t.Helper()
	came := map[heard]int{}
	for _, x := range got {
		if x.flags&ingest.Damaged == 0 {
			came[heard{pid: x.pid, pts: x.pts & (1<<33 - 1), sum: x.sum, size: x.size}]++
		}
	}
	lost, spared, either := 0, 0, 0
	for _, w := range want {
		n := came[w.sample]
		switch {
		case w.spared && w.open:
			either++
		case w.spared && n != 1:
			t.Errorf("PID %d, PTS %d: %d bytes of which no packet was harmed came %d times whole and unmarked", w.sample.pid, w.sample.pts, w.sample.size, n)
		case !w.spared && n != 0:
			t.Errorf("PID %d, PTS %d: %d bytes of which a packet was harmed came whole and unmarked", w.sample.pid, w.sample.pts, w.sample.size)
		case w.spared:
			spared++
		default:
			lost++
		}
	}
	t.Logf("of %d samples %d must have been spared and were, %d cannot have been and were not, of %d nobody can know", len(want), spared, lost, either)
}
