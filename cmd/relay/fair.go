package main

import (
	"cmp"
	"slices"
)

// divide gives each of several their part of a total: whoever wants less than an equal part gets what he wants, and the others divide what he
// leaves in the same way (max-min fairness). The sum of the parts is never above the total.
func divide(total uint64, wants []uint64) []uint64 {
	order := make([]int, len(wants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wants[a], wants[b]) })
	parts := make([]uint64, len(wants))
	for k, i := range order {
		parts[i] = min(wants[i], total/uint64(len(order)-k))
		total -= parts[i]
	}
	return parts
}

// divideAll is divide, and what nobody wants is given to all alike: a part is a cap, and who suddenly wants more need not wait.
func divideAll(total uint64, wants []uint64) []uint64 {
	parts := divide(total, wants)
	for _, part := range parts {
		total -= part
	}
	for i := range parts {
		parts[i] += total / uint64(len(parts))
	}
	return parts
}

// A load is what a channel makes of its cap.
type load struct {
	used uint64 // bits per second sent, of late
	cap  uint64 // what it was allowed then. If zero, everything
	full bool   // it has no place for another peer
}

// hungry reports whether a channel would use more if it could.
func (l load) hungry() bool { return l.full || l.cap > 0 && l.used >= l.cap-l.cap/10 }

// idleShare is the part of an equal share that a channel keeps though nobody asks for it: enough for its first peers, until it is given more.
const idleShare = 8

// shareUp divides a total of bits per second among channels. One that uses less than it may gets that and a quarter more; what it leaves goes to
// those who are at their limit. Each keeps an eighth of an equal share at least.
func shareUp(total uint64, loads []load) []uint64 {
	wants := make([]uint64, len(loads))
	for i, l := range loads {
		wants[i] = l.used + l.used/4 + total/uint64(idleShare*len(loads))
		if l.hungry() {
			wants[i] = total
		}
	}
	return divideAll(total, wants)
}

// diskStep is by how much a channel's part of the disk is above what it holds: some files of payload, until the next look.
const diskStep = 256 << 20

// shareDisk divides a total of bytes on disk among channels, given what each holds. All may grow to an equal part; what a small channel does not
// need serves the others for as long as it does not.
func shareDisk(total uint64, held []uint64) []uint64 {
	wants := make([]uint64, len(held))
	for i, h := range held {
		wants[i] = h + diskStep
	}
	return divideAll(total, wants)
}
