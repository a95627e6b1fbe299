package quicwire

import (
	"net/netip"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// Size returns how many bytes a message takes on the control stream, without encoding it: for simulations that send millions of them. The
// NOTES with which a session binds a log number is not in it.
func Size(m Message) int {
	n := 0
	switch m := m.(type) {
	case *Hello:
		n = 2 + sizeVarint(uint64(m.Flags)) + sizeVarint(m.Features) + 8 + sizeAddr(m.Seen) + sizeVarint(uint64(m.Limits.Slots)) +
			sizeVarint(m.Limits.Uplink) + sizeNotes(&m.Notes)
	case *Notes:
		n = sizeNotes(&m.Notes) + 1
		for i := range m.Logs {
			n += 1 + len(m.Logs[i].Log.Epoch) + sizeText(len(m.Logs[i].Log.Name))
		}
	case *Status:
		n = 1 + sizeVarint(m.Size) + 1 + 8 + sizeVarint(m.Base) + 1 + len(m.Lags) + sizeVarint(uint64(m.Homes)) + sizeVarint(uint64(m.Slots)) +
			sizeMS(m.Backlog) + sizeVarint(m.Rate)
		if m.Signed != nil {
			n += merkle.HashSize + feed.SignatureSize - 8
		}
	case *Sub:
		n = 4 + sizeVarint(m.From) + 1 + sizeMS(m.Patience)
	case *SubOK:
		n = 2 + sizeVarint(m.First) + sizeMS(m.Lag) + sizePath(m.Path)
	case *SubNo:
		n = 3 + sizeMS(m.Retry) + sizeReferrals(m.Referrals)
	case *Moved:
		n = 3 + sizeVarint(m.Until) + sizeMS(m.Retry) + sizeReferrals(m.Referrals)
	case *Unsub:
		n = 3
	case *Path:
		n = 2 + sizePath(m.Path)
	case *Req:
		n = sizeVarint(m.ID) + 2 + sizeMS(m.Deadline) + sizeIndices(m.Blocks)
	case *Nack:
		n = sizeVarint(m.ID) + 2 + sizeMS(m.Backlog) + sizeVarint(m.Size) + sizeIndices(m.Blocks)
	case *Cancel:
		n = 1 + sizeIndices(m.Blocks)
	case *Ping:
		n = sizeVarint(m.ID) + 2 + sizeVarint(m.Index)
	case *Pong:
		n = sizeVarint(m.ID) + 3 + sizeVarint(m.Next) + sizeMS(m.Lag) + sizeMS(m.Backlog) + 8
	case *Pex:
		n = 1
		for i := range m.Peers {
			n += len(m.Peers[i].Node) + sizeAddr(m.Peers[i].Addr) + 1 + sizeVarint(uint64(m.Peers[i].Flags)) + 8 + feed.SignatureSize
		}
	case *Fork:
		n = 1 + sizeHead(&m.A) + 1
		if m.B != nil {
			n += sizeHead(m.B) + (len(m.Frontier)+len(m.Cover))*merkle.HashSize
		}
	case *Bye:
		n = sizeText(len(m.Reason)) + sizeMS(m.Leaving) + sizeReferrals(m.Referrals)
	case *Fault:
		n = sizeText(len(m.Proof))
	}
	return 1 + sizeVarint(uint64(n)) + n
}

func sizeVarint(v uint64) int { return quicvarint.Len(v) }

func sizeMS(d time.Duration) int {
	return sizeVarint(uint64(max(0, min((d+time.Millisecond/2)/time.Millisecond, 1<<32-1))))
}

func sizeText(n int) int { return sizeVarint(uint64(n)) + n }

func sizeNotes(n *feed.Notes) int { return sizeText(len(n.Channel)) + sizeText(len(n.Epoch)) }

func sizePath(path []ShortID) int { return 1 + len(path)*len(ShortID{}) }

func sizeHead(h *feed.Head) int { return sizeVarint(h.Size) + merkle.HashSize + feed.SignatureSize }

func sizeAddr(a netip.AddrPort) int {
	switch {
	case !a.IsValid():
		return 1
	case a.Addr().Unmap().Is4():
		return 1 + 4 + 2
	}
	return 1 + 16 + 2
}

func sizeReferrals(list []Referral) int {
	n := 1
	for i := range list {
		n += len(list[i].Node) + sizeAddr(list[i].Addr)
	}
	return n
}

func sizeIndices(v []uint64) int {
	if len(v) == 0 {
		return 2
	}
	bits := v[len(v)-1] - v[0] + 1
	return sizeVarint(v[0]) + sizeVarint(bits) + int(bits+7)/8
}
