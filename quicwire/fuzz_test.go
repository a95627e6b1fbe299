package quicwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// FuzzMessage decodes arbitrary bytes as a message. What can be decoded encodes again, and comes back equal.
func FuzzMessage(f *testing.F) {
	for _, s := range samples() {
		if b, err := appendMessage(nil, s.m, boundLogs()); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, body, size, err := parseFrame(b)
		if err != nil && !errors.Is(err, errMalformed) {
			t.Fatal(err)
		}
		if size > len(b) || len(body) > size {
			t.Fatalf("a frame of %d with a body of %d in %d bytes", size, len(body), len(b))
		}
		if sp := specOf(kind); size > 0 && sp != nil {
			roundTrip(t, sp, body)
		}
	})
}

// FuzzHello does the same for the first message, which strangers who know the link can send.
func FuzzHello(f *testing.F) {
	for _, s := range samples() {
		if _, ok := s.m.(*Hello); ok {
			b, _ := appendMessage(nil, s.m, boundLogs())
			_, body, _, _ := parseFrame(b)
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { roundTrip(t, specHello, body) })
}

// roundTrip decodes, encodes and decodes again.
func roundTrip(t *testing.T, sp *spec, body []byte) {
	m, err := decodeMessage(sp, body, boundLogs())
	if err != nil {
		if !errors.Is(err, errMalformed) {
			t.Fatal(err)
		}
		return
	}
	b, err := appendMessage(nil, m, boundLogs())
	if err != nil {
		t.Fatalf("%+v cannot be encoded: %v", m, err)
	}
	_, again, _, err := parseFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	m2, err := decodeMessage(sp, again, boundLogs())
	if err != nil || !reflect.DeepEqual(m, m2) {
		t.Fatalf("%+v came back as %+v, %v", m, m2, err)
	}
}

// FuzzStripe reads arbitrary bytes as a stripe or repair stream. Blocks that can be read can be sent again, and come back equal.
func FuzzStripe(f *testing.F) {
	for _, v := range streamVectorsFor(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var blocks []StripeBlock
		h, n, err := decodeStripe(b, func(_ feed.Block, b StripeBlock) { blocks = append(blocks, b) })
		if err != nil && !errors.Is(err, errMalformed) && !errors.Is(err, errUnknownStream) {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		again := stripeStream(t, h, blocks...)
		var got []StripeBlock
		h2, _, err := decodeStripe(again, func(_ feed.Block, b StripeBlock) { got = append(got, b) })
		if err != nil || h2 != h || !reflect.DeepEqual(got, blocks) {
			t.Fatalf("%d blocks came back as %d, %v", len(blocks), len(got), err)
		}
	})
}

func streamVectorsFor(f *testing.F) (list [][]byte) {
	blocks := testBlocks(30, 20)
	stripe := StripeHeader{Log: testLog(), Stripe: 1, Stripes: 4, Segment: 2, First: 21}
	blocks[29].Path = []ShortID{{1}, {2}}
	repair := StripeHeader{Log: testLog(), Repair: true, Request: 77, First: 5}
	return [][]byte{
		stripeStream(f, stripe, blocks[21], blocks[25], blocks[29]),
		stripeStream(f, repair, blocks[5], blocks[8]),
		stripeStream(f, StripeHeader{Log: testLog(), Stripes: 1, First: merkle.MaxSize - 1}, lastBlock(f)),
		append([]byte{streamStripe, 1, 0, 1, 0}, quicvarint.Append(nil, merkle.MaxSize)...),
		append([]byte{streamRepair, 1, 7}, quicvarint.Append(nil, merkle.MaxSize)...),
		{streamStripe},
		{0x7f},
		{},
	}
}

// FuzzRange reads arbitrary bytes as a request for a range and as an answer.
func FuzzRange(f *testing.F) {
	blocks := testBlocks(30, 20)
	request, _ := (&Range{Log: testLog(), From: 3, To: 5, Deadline: time.Second}).append(nil)
	f.Add(request[1:])
	f.Add(rangeStream(blocks[3], blocks[4]))
	f.Add(rangeStream(blocks[23]))
	f.Add(rangeRefusal(RangeRefused{RefusedNotHeld, 100, 200, time.Second}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRequest(t, b)
		fuzzAnswer(t, b)
	})
}

func fuzzRequest(t *testing.T, b []byte) {
	var r, again Range
	in := newRangeDecoder(b).blockInput
	if err := in.parse(maxRangeHeader, r.fields); err != nil {
		if !errors.Is(err, errMalformed) {
			t.Fatal(err)
		}
		return
	}
	request, err := r.append(nil)
	if err != nil {
		t.Fatalf("%+v cannot be encoded: %v", r, err)
	}
	in = newRangeDecoder(request[1:]).blockInput
	if err := in.parse(maxRangeHeader, again.fields); err != nil || again != r {
		t.Fatalf("%+v came back as %+v, %v", r, again, err)
	}
}

func fuzzAnswer(t *testing.T, b []byte) {
	d := newRangeDecoder(b)
	err := d.answer()
	var blocks []StripeBlock
	for err == nil {
		var s StripeBlock
		if s.Block, s.Frontier, err = d.block(); err == nil {
			blocks = append(blocks, s)
		}
	}
	if refused := new(RangeRefused); !errors.Is(err, errMalformed) && err != io.EOF && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if err == io.EOF && !bytes.HasPrefix(b, rangeStream(blocks...)) && len(b) < 64 {
		t.Fatalf("%s came back as %s", hex.EncodeToString(b), hex.EncodeToString(rangeStream(blocks...)))
	}
}

// FuzzFork reads arbitrary bytes as a FORK of either form, and as a FAULT. What can be read comes back equal, and proves nothing against a
// key that has signed nothing, at whatever sizes.
func FuzzFork(f *testing.F) {
	for _, s := range samples() {
		if kind := s.m.spec().kind; kind == typeFork || kind == typeFault {
			b, _ := appendMessage(nil, s.m, boundLogs())
			_, body, _, _ := parseFrame(b)
			f.Add(kind == typeFork, body)
		}
	}
	f.Fuzz(func(t *testing.T, fork bool, body []byte) {
		if !fork {
			roundTrip(t, specFault, body)
			return
		}
		roundTrip(t, specFork, body)
		m, err := decodeMessage(specFork, body, boundLogs())
		if err != nil {
			return
		}
		p := m.(*Fork).Proof(testRoot())
		if p == nil {
			return
		}
		if p.Verify(public("nobody")) == nil {
			t.Fatalf("%+v is a proof", p)
		}
		again, err := FaultMessage(m.(*Fork).Log, p)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v is sent as %+v, %v", m, again, err)
		}
	})
}
