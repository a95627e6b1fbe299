package quicwire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"testing"
	"time"

	"tailcast/feed"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew; only before version 1 is released")

const vectorsFile = "testdata/vectors.json"

// vectors is what testdata/vectors.json holds: docs/wire.md explains it to implementers.
type vectors struct {
	Comment  string
	Root     string // root key of the channel
	Logs     []string
	Link     []linkVector
	Peer     peerVector
	Messages []messageVector
	Streams  []streamVector
}

type linkVector struct{ Label, Exporter, Dialer, Acceptor, Proof string }

type peerVector struct{ Node, Text, Signature string }

type messageVector struct{ Name, Hex, Fields string }

type streamVector struct{ Name, Hex, Contents string }

// TestVectors keeps version 1 what it is.
func TestVectors(t *testing.T) {
	got := makeVectors(t)
	if *update {
		b, err := json.MarshalIndent(got, "", "\t")
		if err == nil {
			err = os.WriteFile(vectorsFile, append(b, '\n'), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	compareVectors(t, got, want)
}

// compareVectors compares bytes; what is written beside them for people may change.
func compareVectors(t *testing.T, got, want vectors) {
	for _, v := range []*vectors{&got, &want} {
		for i := range v.Messages {
			v.Messages[i].Fields = ""
		}
		for i := range v.Streams {
			v.Streams[i].Contents = ""
		}
	}
	for i := range min(len(got.Messages), len(want.Messages)) {
		if got.Messages[i] != want.Messages[i] {
			t.Errorf("%s encodes as\n%+v, want\n%+v", want.Messages[i].Name, got.Messages[i], want.Messages[i])
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("vectors differ from %s; the wire format has changed", vectorsFile)
	}
}

// A reader that was written from docs/wire.md alone understands the vectors, and refuses blocks with any bit flipped.
func TestForeignReader(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node (version 20 or later) to run the reader that was written from docs/wire.md")
	}
	out, err := exec.Command(node, "testdata/verify.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func makeVectors(t *testing.T) vectors {
	root, peer := testRoot(), public("c")
	v := vectors{
		Comment: "Golden vectors of the wire, version 1; docs/wire.md, section Vectors. All bytes in hex.",
		Root:    hex.EncodeToString(root[:]),
		Logs:    []string{"0: " + testCatalog().String(), "1: " + testLog().String()},
		Link:    linkVectors(),
		Streams: streamVectors(t),
	}
	for _, s := range samples() {
		b, err := appendMessage(nil, s.m, boundLogs())
		if err != nil {
			t.Fatal(s.name, err)
		}
		v.Messages = append(v.Messages, messageVector{s.name, hex.EncodeToString(b), describe(s.m)})
		if pex, ok := s.m.(*Pex); ok {
			r := pex.Peers[0]
			v.Peer = peerVector{hex.EncodeToString(peer[:]), hex.EncodeToString(r.text(root)), hex.EncodeToString(r.Signature[:])}
		}
	}
	return v
}

// describe writes the fields of a message for people.
func describe(m Message) string {
	switch m := m.(type) {
	case *Status:
		if m.Signed != nil {
			c := *m
			c.Signed = nil
			return fmt.Sprintf("%+v with root %x, signature %x", c, m.Signed.Root[:], m.Signed.Signature[:])
		}
	case *Fork:
		return fmt.Sprintf("log %v, sizes %d and %v, %d and %d hashes", m.Log, m.A.Size, m.B != nil, len(m.Frontier), len(m.Cover))
	case *Pex:
		return fmt.Sprintf("address %v, role %v, flags %d, expires %d", m.Peers[0].Addr, m.Peers[0].Role, m.Peers[0].Flags, m.Peers[0].Expires)
	case *Hello:
		c := *m
		return fmt.Sprintf("%+v, channel note %q, epoch note %q", struct {
			Role, Flags, Features, Wall, Seen, Limits any
		}{c.Role, uint32(c.Flags), c.Features, c.Wall.UTC(), c.Seen, c.Limits}, c.Notes.Channel, c.Notes.Epoch)
	case *Notes:
		return fmt.Sprintf("channel note %q, epoch note %q, numbers %v", m.Notes.Channel, m.Notes.Epoch, m.Logs)
	case *Pong:
		c := *m
		c.Wall = c.Wall.UTC()
		return fmt.Sprintf("%+v", c)
	}
	return fmt.Sprintf("%+v", reflect.ValueOf(m).Elem())
}

func linkVectors() (list []linkVector) {
	exporter := fill[[32]byte](0x5a)
	b := binding{exporter[:], public("a"), public("b")}
	for _, label := range []string{dialLabel, acceptLabel} {
		list = append(list, linkVector{
			label, hex.EncodeToString(b.exporter), hex.EncodeToString(b.dialer[:]), hex.EncodeToString(b.acceptor[:]),
			hex.EncodeToString(b.proof(testRoot(), label)),
		})
	}
	return list
}

// streamVectors returns one stream of each kind, with real signatures of the epoch key made of "epoch".
func streamVectors(t *testing.T) []streamVector {
	blocks := testBlocks(30, 20)
	stripe := StripeHeader{Log: testLog(), Stripe: 1, Stripes: 4, Segment: 2, First: 21}
	blocks[21].Path = []ShortID{ShortIDOf(public("a"))}
	blocks[25].Path = blocks[21].Path
	blocks[29].Path = []ShortID{ShortIDOf(public("a")), ShortIDOf(public("b"))}
	repair := StripeHeader{Log: testLog(), Repair: true, Request: 77, First: 5}
	want := Range{Log: testLog(), From: 3, To: 5, Deadline: time.Second}
	request, err := want.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return []streamVector{
		{"stripe", hex.EncodeToString(stripeStream(t, stripe, blocks[21], blocks[25], blocks[29])), "stripe 1 of 4, segment 2, blocks 21, 25, 29; the path changes with 29"},
		{"repair", hex.EncodeToString(stripeStream(t, repair, blocks[5], blocks[8])), "REQ 77, blocks 5 and 8"},
		{"range request", hex.EncodeToString(request), "blocks [3, 5) within a second"},
		{"range answer", hex.EncodeToString(rangeStream(blocks[3], blocks[4])), "blocks 3 and 4"},
		{"range refusal", hex.EncodeToString(rangeRefusal(RangeRefused{RefusedNotHeld, 100, 200, time.Second})), "not held, base 100, size 200, retry in 1 s"},
	}
}

// stripeStream returns a whole stream of blocks.
func stripeStream(t testing.TB, h StripeHeader, blocks ...StripeBlock) []byte {
	b, err := h.append(nil, boundLogs())
	st := newStripeState(&h)
	for i := range blocks {
		if err == nil {
			b, _, err = st.appendBlock(b, &blocks[i])
		}
		st.sent(&blocks[i])
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rangeStream returns the whole answer that serves blocks.
func rangeStream(blocks ...StripeBlock) []byte {
	c := codec{}
	a := rangeAnswer{from: blocks[0].Index, to: blocks[len(blocks)-1].Index + 1}
	a.fields(&c)
	for _, h := range blocks[0].Frontier.Peaks() {
		c.hash(&h)
	}
	for i := range blocks {
		c.buf = appendRangeBlock(c.buf, &blocks[i].Block)
	}
	return c.buf
}

func rangeRefusal(r RangeRefused) []byte {
	c := codec{}
	a := rangeAnswer{refused: r.Reason, base: r.Base, size: r.Size, retry: r.Retry}
	a.fields(&c)
	return c.buf
}

// TestStreamVectors reads the streams of the golden file and verifies what is on them.
func TestStreamVectors(t *testing.T) {
	for _, v := range streamVectors(t) {
		b, _ := hex.DecodeString(v.Hex)
		switch v.Name {
		case "stripe", "repair":
			if _, n, err := decodeStripe(b, func(b feed.Block, s StripeBlock) { verify(t, b, s.Frontier) }); err != nil || n < 2 {
				t.Errorf("%s: %d blocks, %v", v.Name, n, err)
			}
		case "range answer":
			d := newRangeDecoder(b)
			err := d.answer()
			for n := 0; err == nil; n++ {
				var block feed.Block
				if block, _, err = d.block(); err == io.EOF && n != 2 {
					t.Errorf("%d blocks, want 2", n)
				} else if err == nil && block.Index != uint64(3+n) {
					t.Errorf("block %d", block.Index)
				}
			}
			if err != io.EOF {
				t.Error(err)
			}
		}
	}
}

// decodeStripe reads a whole stream of blocks, and returns its header and how many blocks were on it.
func decodeStripe(b []byte, each func(feed.Block, StripeBlock)) (h StripeHeader, n int, err error) {
	var ignored counter
	d := stripeDecoder{blockInput: newBlockInput(bytes.NewReader(b), boundLogs(), &ignored, &ignored), repair: &ignored}
	if h, err = d.header(); err != nil {
		return h, 0, err
	}
	for ; ; n++ {
		if _, err := d.in.Peek(1); err == io.EOF {
			return h, n, nil
		}
		b, err := d.head()
		if err == nil {
			err = d.body(&b)
		}
		if err != nil {
			return h, n, err
		}
		each(b.Block, b)
	}
}

func newRangeDecoder(b []byte) *rangeDecoder {
	var ignored counter
	return &rangeDecoder{blockInput: newBlockInput(bufio.NewReader(bytes.NewReader(b)), boundLogs(), &ignored, &ignored)}
}
