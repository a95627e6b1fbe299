package quicwire

import (
	"fmt"
	"time"
)

// A Start says with which block a subscription begins.
type Start uint8

// The starts of version 1.
const (
	StartSegment Start = 0 // the first block of the stripe in the newest segment: to watch at once
	StartNext    Start = 1 // the next block of the stripe that the parent gets
	StartIndex   Start = 2 // block From, or the first one after it that the parent has
)

// Sub (0x04) asks a node to push one stripe from now on. The answer is SubOK or SubNo. A Sub for a stripe already pushed by that
// node replaces the one before.
type Sub struct {
	Log      LogID
	Stripe   uint8
	Stripes  uint8 // how many the log has: 1 to 32, from the catalog; the catalog itself has 1
	Start    Start
	From     uint64        // with StartIndex
	Urgent   bool          // no parent for this stripe at all
	Home     bool          // the sender will be interior in this stripe
	Patience time.Duration // streams of segments older than this may be reset, ms
}

func (m *Sub) spec() *spec { return specSub }

func (m *Sub) fields(c *codec) {
	c.mine(&m.Log)
	c.stripeOf(&m.Stripe, &m.Stripes)
	c.u8((*uint8)(&m.Start))
	c.check(m.Start <= StartIndex, "start %d, want at most %d", m.Start, StartIndex)
	c.size(&m.From)
	c.flags(&m.Urgent, &m.Home)
	c.ms(&m.Patience)
}

// stripeOf carries the number of a stripe and how many there are.
func (c *codec) stripeOf(stripe, stripes *uint8) {
	c.u8(stripe)
	c.u8(stripes)
	c.check(*stripe < *stripes && *stripes <= MaxStripes, "stripe %d of %d, want at most %d of them", *stripe, *stripes, MaxStripes)
}

// SubOK (0x05) takes a subscription on: block First and those after it in its stripe will come.
type SubOK struct {
	Log    LogID
	Stripe uint8
	First  uint64
	Lag    time.Duration // of the sender in this stripe, ms
	Path   []ShortID     // from the source to the sender, both included
}

func (m *SubOK) spec() *spec { return specSubOK }

func (m *SubOK) fields(c *codec) {
	c.yours(&m.Log)
	c.stripe(&m.Stripe)
	c.size(&m.First)
	c.ms(&m.Lag)
	c.path(&m.Path)
}

// A Refusal says why a node does not serve, or serves no more. Unknown ones count as RefusedBusy.
type Refusal uint8

// The refusals of version 1.
const (
	RefusedBusy      Refusal = 1  // no slot, no uplink
	RefusedNotHeld   Refusal = 2  // it has not got this
	RefusedLog       Refusal = 3  // it does not follow this log
	RefusedStripes   Refusal = 4  // the log has another number of stripes
	RefusedLoop      Refusal = 5  // the asker is on the path
	RefusedDeep      Refusal = 6  // the path would be longer than 24
	RefusedUnwilling Refusal = 7  // it shares nothing, or not with the asker
	RefusedTooLarge  Refusal = 8  // more than it gives at once
	RefusedLate      Refusal = 9  // it could not be there in time
	Preempted        Refusal = 10 // a better child took the slot
	Redrawn          Refusal = 11 // the slot goes by lot, and the lot fell on another
	Shed             Refusal = 12 // less uplink than was thought
)

// String says it in a few words.
func (r Refusal) String() string {
	names := [...]string{
		RefusedBusy: "busy", RefusedNotHeld: "not held", RefusedLog: "log not followed", RefusedStripes: "another number of stripes",
		RefusedLoop: "the asker is on the path", RefusedDeep: "path too long", RefusedUnwilling: "not willing", RefusedTooLarge: "too much at once",
		RefusedLate: "too late", Preempted: "preempted", Redrawn: "redrawn", Shed: "shed",
	}
	if int(r) < len(names) && names[r] != "" {
		return names[r]
	}
	return fmt.Sprintf("refusal %d", r)
}

// SubNo (0x06) refuses a subscription.
type SubNo struct {
	Log       LogID
	Stripe    uint8
	Reason    Refusal
	Retry     time.Duration // do not ask again earlier, ms
	Referrals []Referral    // who may have room, at most 8
}

func (m *SubNo) spec() *spec { return specSubNo }

func (m *SubNo) fields(c *codec) {
	c.yours(&m.Log)
	c.stripe(&m.Stripe)
	c.u8((*uint8)(&m.Reason))
	c.ms(&m.Retry)
	c.referrals(&m.Referrals)
}

// Moved (0x07) ends a subscription from the parent's side: nothing after block Until comes. The receiver should turn to a referral.
type Moved struct {
	Log       LogID
	Stripe    uint8
	Reason    Refusal
	Until     uint64
	Retry     time.Duration // do not ask again earlier, ms
	Referrals []Referral    // at most 8; the first is the child that took the place, if one did
}

func (m *Moved) spec() *spec { return specMoved }

func (m *Moved) fields(c *codec) {
	c.yours(&m.Log)
	c.stripe(&m.Stripe)
	c.u8((*uint8)(&m.Reason))
	c.index(&m.Until)
	c.ms(&m.Retry)
	c.referrals(&m.Referrals)
}

// An UnsubReason says why a child leaves. Unknown ones count as UnsubDone.
type UnsubReason uint8

// The reasons of version 1.
const (
	UnsubDone        UnsubReason = 0 // not needed any more, or there is a better parent
	UnsubUnsolicited UnsubReason = 1 // it was never asked for
	UnsubLoop        UnsubReason = 2 // the child found itself on the path
	UnsubStalled     UnsubReason = 3 // blocks did not come in time
)

// Unsub (0x08) ends a subscription from the child's side. The parent resets its open streams of that stripe.
type Unsub struct {
	Log    LogID
	Stripe uint8
	Reason UnsubReason
}

func (m *Unsub) spec() *spec { return specUnsub }

func (m *Unsub) fields(c *codec) {
	c.mine(&m.Log)
	c.stripe(&m.Stripe)
	c.u8((*uint8)(&m.Reason))
}

// A ShortID names a node on a path: the first 4 bytes of SHA-256 of its key. A hint against loops, nothing to rely on.
type ShortID [4]byte

// MaxPath is the longest path, in nodes.
const MaxPath = 24

// Path (0x09) tells a child that the way to it has changed; the child passes its own on at once.
type Path struct {
	Log    LogID
	Stripe uint8
	Path   []ShortID // from the source to the sender, both included
}

func (m *Path) spec() *spec { return specPath }

func (m *Path) fields(c *codec) {
	c.yours(&m.Log)
	c.stripe(&m.Stripe)
	c.path(&m.Path)
}

func (c *codec) path(list *[]ShortID) {
	count(c, list, MaxPath)
	for i := range *list {
		c.fixed((*list)[i][:])
	}
}
