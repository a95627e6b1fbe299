package quicwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// boundLogs returns numbers in which either end has bound testCatalog as 0 and testLog as 1.
func boundLogs() *logNumbers {
	n := new(logNumbers)
	for i, l := range []LogID{testCatalog(), testLog()} {
		n.number(l)
		n.heard(LogBinding{uint8(i), l})
	}
	n.takeFresh()
	return n
}

// fill returns a signature or hash that can be told apart in hex.
func fill[T ~[32]byte | ~[64]byte](v byte) (x T) {
	for i := range len(x) {
		reflect.ValueOf(&x).Elem().Index(i).SetUint(uint64(v))
	}
	return x
}

// A sample is a message with all that its golden vector says.
type sample struct {
	name string
	m    Message
}

// samples returns at least one message of each type.
func samples() []sample {
	tv, catalog := testLog(), testCatalog()
	wall := time.UnixMicro(1_790_000_000_123_456)
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:4433"), netip.MustParseAddrPort("[2001:db8::1]:443")
	referrals := []Referral{{public("c"), v4}, {public("d"), v6}}
	path := []ShortID{ShortIDOf(public("c")), ShortIDOf(public("d"))}
	head := feed.Head{Size: 5077, Root: fill[merkle.Hash](0xaa), Signature: fill[feed.Signature](0xbb)}
	head2 := feed.Head{Size: 5079, Root: fill[merkle.Hash](0xcc), Signature: fill[feed.Signature](0xdd)}
	var peaks, cover []merkle.Hash
	for i := range merkle.PeakCount(head.Size) {
		peaks = append(peaks, fill[merkle.Hash](byte(i)))
	}
	for i := range merkle.CoverLen(head.Size, head2.Size) {
		cover = append(cover, fill[merkle.Hash](byte(0x40+i)))
	}
	peer := signPeer(testKey("c"), testRoot(), PeerRecord{Addr: v4, Role: Relay, Flags: Metered, Expires: 1_790_000_600})
	return []sample{
		{"HELLO of a streamer", &Hello{
			Role: Streamer, Wall: wall, Seen: v4, Limits: Limits{Slots: 48, Uplink: 20_000_000, Ranges: 4},
			Notes: feed.Notes{Channel: []byte("channel note"), Epoch: []byte("epoch note")},
		}},
		{"HELLO of a viewer without notes", &Hello{Role: Viewer, Flags: NoUpload | Metered, Features: 1 << 40, Wall: wall, Seen: v6}},
		{"NOTES with notes", &Notes{Notes: feed.Notes{Channel: []byte("channel note"), Epoch: []byte("epoch note")}}},
		{"NOTES that binds numbers", &Notes{Logs: []LogBinding{{0, catalog}, {1, tv}}}},
		{"STATUS with a prefix", &Status{
			Log: tv, Size: 5077, Prefix: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Base: 100,
			Lags: []time.Duration{0, 130 * time.Millisecond, NoLag, MaxLag}, Homes: 5, Slots: 12, Backlog: 40 * time.Millisecond, Rate: 8_000_000,
		}},
		{"STATUS with a head", &Status{
			Log: catalog, Size: 5077, Prefix: [8]byte{0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa},
			Signed: &SignedRoot{head.Root, head.Signature}, Lags: []time.Duration{10 * time.Millisecond},
		}},
		{"SUB to the newest segment", &Sub{Log: tv, Stripe: 3, Stripes: 8, Urgent: true, Patience: 2 * time.Second}},
		{"SUB from an index", &Sub{Log: tv, Stripe: 15, Stripes: 16, Start: StartIndex, From: 70_000, Home: true, Patience: time.Minute}},
		{"SUBOK", &SubOK{Log: tv, Stripe: 3, First: 4995, Lag: 210 * time.Millisecond, Path: path}},
		{"SUBNO", &SubNo{Log: tv, Stripe: 3, Reason: RefusedBusy, Retry: 5 * time.Second, Referrals: referrals}},
		{"MOVED", &Moved{Log: tv, Stripe: 3, Reason: Preempted, Until: 5003, Retry: time.Second, Referrals: referrals[:1]}},
		{"UNSUB", &Unsub{Log: tv, Stripe: 3, Reason: UnsubStalled}},
		{"PATH", &Path{Log: tv, Stripe: 3, Path: path}},
		{"REQ", &Req{ID: 77, Log: tv, Orphan: true, Deadline: 900 * time.Millisecond, Blocks: []uint64{5000, 5001, 5009, 5064}}},
		{"NACK", &Nack{ID: 77, Log: tv, Reason: RefusedNotHeld, Backlog: 30 * time.Millisecond, Size: 5002, Blocks: []uint64{5009, 5064}}},
		{"CANCEL", &Cancel{Log: tv, Blocks: []uint64{5001}}},
		{"PING", &Ping{ID: 78, Log: tv, Stripe: 2, Index: 5010}},
		{"PONG", &Pong{ID: 78, Log: tv, Stripe: 2, Flows: true, Next: 5003, Lag: 150 * time.Millisecond, Backlog: time.Millisecond, Wall: wall}},
		{"PEX", &Pex{Peers: []PeerRecord{peer}}},
		{"FORK with a head", &Fork{Log: tv, A: head}},
		{"FORK with a proof", &Fork{Log: tv, A: head, B: &head2, Frontier: peaks, Cover: cover}},
		{"BYE", &Bye{Reason: "update", Leaving: 10 * time.Second, Referrals: referrals}},
		{"FAULT", &Fault{Proof: []byte{1, 9, 8, 7}}}, // of a kind that nobody knows yet; feed has real ones
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	seen := make(map[messageType]bool)
	for _, s := range samples() {
		b, err := appendMessage(nil, s.m, boundLogs())
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		kind, body, size, err := parseFrame(b)
		if err != nil || size != len(b) || kind != s.m.spec().kind {
			t.Errorf("%s: frame of type %d and %d bytes, %v; want %d of %d", s.name, kind, size, err, s.m.spec().kind, len(b))
		}
		seen[kind] = true
		got, err := decodeMessage(s.m.spec(), body, boundLogs())
		if err != nil || !reflect.DeepEqual(got, s.m) {
			t.Errorf("%s: got %+v, %v\nwant %+v", s.name, got, err, s.m)
		}
		// A later version's fields.
		got, err = decodeMessage(s.m.spec(), append(bytes.Clone(body), 1, 2, 3), boundLogs())
		if err != nil || !reflect.DeepEqual(got, s.m) {
			t.Errorf("%s with trailing fields: got %+v, %v\nwant %+v", s.name, got, err, s.m)
		}
		for n := range body {
			if _, err := decodeMessage(s.m.spec(), body[:n], boundLogs()); err == nil || !errors.Is(err, errMalformed) {
				t.Errorf("%s cut to %d of %d bytes: %v", s.name, n, len(body), err)
			}
		}
	}
	for _, sp := range specs[1:] {
		if !seen[sp.kind] {
			t.Errorf("no sample of %s", sp.name)
		}
		if got := reflect.TypeOf(sp.make()); sp.make().spec() != sp {
			t.Errorf("%v does not belong to %s", got, sp.name)
		}
	}
}

// The largest message of each type fits, with as much room again for later versions.
func TestCapsLeaveRoom(t *testing.T) {
	logs := boundLogs()
	v6 := netip.MustParseAddrPort("[2001:db8::1]:443")
	referrals := make([]Referral, MaxReferrals)
	for i := range referrals {
		referrals[i].Addr = v6
	}
	blocks := []uint64{merkle.MaxSize - MaxBits, merkle.MaxSize - 1}
	head := feed.Head{Size: merkle.MaxSize - 1}
	other := feed.Head{Size: merkle.MaxSize}
	peers := make([]PeerRecord, MaxPeers)
	for i := range peers {
		peers[i].Addr = v6
	}
	bindings := make([]LogBinding, maxBindings)
	for i := range bindings {
		bindings[i].Log.Name = strings.Repeat("x", feed.MaxLogName)
	}
	note := make([]byte, maxNote)
	notes := feed.Notes{Channel: note, Epoch: note}
	for _, m := range []Message{
		&Notes{Notes: notes, Logs: bindings},
		&Hello{Notes: notes, Features: maxVarint, Seen: v6, Limits: Limits{1<<32 - 1, maxVarint, 255}},
		&Status{Log: testLog(), Size: merkle.MaxSize, Base: merkle.MaxSize, Lags: make([]time.Duration, MaxStripes), Signed: new(SignedRoot), Rate: maxVarint},
		&SubOK{Log: testLog(), First: merkle.MaxSize, Path: make([]ShortID, MaxPath)},
		&SubNo{Log: testLog(), Referrals: referrals},
		&Moved{Log: testLog(), Referrals: referrals},
		&Path{Log: testLog(), Path: make([]ShortID, MaxPath)},
		&Req{Log: testLog(), Blocks: blocks},
		&Nack{Log: testLog(), Blocks: blocks},
		&Cancel{Log: testLog(), Blocks: blocks},
		&Pex{Peers: peers},
		&Fork{Log: testLog(), A: head, B: &other, Frontier: make([]merkle.Hash, merkle.PeakCount(head.Size)), Cover: make([]merkle.Hash, merkle.CoverLen(head.Size, other.Size))},
		&Bye{Reason: strings.Repeat("x", maxReason), Referrals: referrals},
		&Fault{Proof: make([]byte, feed.MaxFaultProof)},
	} {
		b, err := appendMessage(nil, m, logs)
		if err != nil {
			t.Errorf("%s: %v", m.spec().name, err)
		}
		if room := 3 * m.spec().limit / 4; len(b) > room {
			t.Errorf("the largest %s has %d bytes; want at most %d, three quarters of its limit", m.spec().name, len(b), room)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, m := range map[string]Message{
		"stripe of too many":   &Sub{Log: testLog(), Stripe: 1, Stripes: 33},
		"stripe beyond":        &Sub{Log: testLog(), Stripe: 8, Stripes: 8},
		"unknown start":        &Sub{Log: testLog(), Stripes: 1, Start: 3},
		"index beyond any log": &Ping{Log: testLog(), Index: merkle.MaxSize + 1},
		"blocks unordered":     &Cancel{Log: testLog(), Blocks: []uint64{5, 4}},
		"block twice":          &Cancel{Log: testLog(), Blocks: []uint64{5, 5}},
		"blocks too far apart": &Cancel{Log: testLog(), Blocks: []uint64{1, 1 + MaxBits}},
		"path too long":        &Path{Log: testLog(), Path: make([]ShortID, MaxPath+1)},
		"referrals too many":   &Bye{Referrals: make([]Referral, MaxReferrals+1)},
		"reason too long":      &Bye{Reason: strings.Repeat("x", maxReason+1)},
		"note too long":        &Notes{Notes: feed.Notes{Channel: make([]byte, maxNote+1)}},
		"lags too many":        &Status{Log: testLog(), Lags: make([]time.Duration, MaxStripes+1)},
		"no log name":          &Status{Log: LogID{Name: "Not A Name"}},
		"proof wrong way":      &Fork{Log: testLog(), A: feed.Head{Size: 2}, B: &feed.Head{Size: 1}},
		"proof without hashes": &Fork{Log: testLog(), A: feed.Head{Size: 1}, B: &feed.Head{Size: 2}},
		"fault too long":       &Fault{Proof: make([]byte, feed.MaxFaultProof+1)},
		"number too large":     &Ping{Log: testLog(), ID: 1 << 62},
	} {
		if b, err := appendMessage(nil, m, boundLogs()); err == nil || len(b) != 0 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ name, hex, want string }{
		{"log number not bound", "0803020000", "log number 2 is not bound"},
		{"SUB of stripe 8 of 8", "040801080800000000", "stripe 8 of 8"},
		{"SUB with an unknown start", "0408010008030000000000", "start 3"},
		{"CANCEL with an untrimmed bitmap", "0c050107080210", "begin and end with a 1"},
		{"CANCEL with bits beyond the bitmap", "0c0401070381", "begin and end with a 1"},
		{"CANCEL of too many bits", "0c06010050010000", "4097 is over 4096"},
		{"BYE with an IPv4 address in 16 bytes", "11" + "40" + "48" + "0000" + "01" + strings.Repeat("00", 32) + "10" + "00000000000000000000ffffc0000201" + "01bb" + strings.Repeat("00", 18), "IPv4 address in 16"},
		{"BYE with an address of 5 bytes", "11" + "40" + "48" + "0000" + "01" + strings.Repeat("00", 32) + "05" + strings.Repeat("00", 38), "address of 5 bytes"},
	} {
		b, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(test.name, err)
		}
		kind, body, size, err := parseFrame(b)
		if err != nil || size == 0 {
			body, kind = b[2:], messageType(b[0])
		}
		_, err = decodeMessage(specOf(kind), body, boundLogs())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestFrames(t *testing.T) {
	for _, test := range []struct {
		hex  string
		size int
		want string // of the error
	}{
		{"", 0, ""},
		{"04", 0, ""},
		{"0402", 0, ""},
		{"040201", 0, ""},
		{"04020102", 4, ""},
		{"04407f", 0, ""},
		{"044081", 0, "malformed SUB: 129 bytes, want at most 128"},
		{"04c000000000000081", 0, "malformed SUB: 129 bytes, want at most 128"},
		{"3f020000", 4, ""},
		{"7fff0100", 4, ""},
		{"7fff80004001", 0, "malformed message of unknown type: 16385 bytes, want at most 16384"},
	} {
		b, _ := hex.DecodeString(test.hex)
		_, _, size, err := parseFrame(b)
		if size != test.size || fmt.Sprint(err) != test.want && (err != nil || test.want != "") {
			t.Errorf("%s: %d bytes, %v; want %d, %s", test.hex, size, err, test.size, test.want)
		}
	}
}

func TestLogNumbers(t *testing.T) {
	var n logNumbers
	name := func(i int) LogID { return LogID{Name: fmt.Sprint("log", i)} }
	for i := range maxLogs {
		if v, err := n.number(name(i)); err != nil || int(v) != i {
			t.Fatalf("log %d has number %d, %v", i, v, err)
		}
	}
	if v, err := n.number(name(7)); err != nil || v != 7 {
		t.Errorf("log 7 again: %d, %v", v, err)
	}
	if _, err := n.number(name(maxLogs)); err == nil {
		t.Error("one log too many has a number")
	}
	if got := n.takeFresh(); len(got) != maxLogs || n.takeFresh() != nil {
		t.Errorf("%d fresh bindings", len(got))
	}
	for _, b := range []LogBinding{{1, name(0)}, {255, name(0)}} {
		if err := n.heard(b); err == nil {
			t.Errorf("binding %v out of turn", b)
		}
	}
	if err := n.heard(LogBinding{0, name(0)}); err != nil {
		t.Error(err)
	}
	if err := n.heard(LogBinding{1, name(0)}); err == nil {
		t.Error("two numbers for one log")
	}
}

func TestPeerRecord(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	good := signPeer(testKey("c"), testRoot(), PeerRecord{Addr: netip.MustParseAddrPort("192.0.2.7:4433"), Role: Relay, Expires: now.Unix() + 600})
	if err := good.Verify(testRoot(), now); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(p *PeerRecord){
		"another address": func(p *PeerRecord) { p.Addr = netip.MustParseAddrPort("192.0.2.8:4433") },
		"another role":    func(p *PeerRecord) { p.Role = Streamer },
		"another node":    func(p *PeerRecord) { p.Node = public("d") },
		"longer":          func(p *PeerRecord) { p.Expires++ },
		"a weak key":      func(p *PeerRecord) { p.Node = feed.PublicKey{1} },
		"expired": func(p *PeerRecord) {
			*p = signPeer(testKey("c"), testRoot(), PeerRecord{Addr: p.Addr, Expires: now.Unix()})
		},
		"too far ahead": func(p *PeerRecord) {
			*p = signPeer(testKey("c"), testRoot(), PeerRecord{Addr: p.Addr, Expires: now.Unix() + 3601})
		},
		"no address":      func(p *PeerRecord) { *p = signPeer(testKey("c"), testRoot(), PeerRecord{Expires: now.Unix() + 600}) },
		"another channel": func(p *PeerRecord) { *p = signPeer(testKey("c"), public("other"), *p) },
	} {
		p := good
		spoil(&p)
		if err := p.Verify(testRoot(), now); !errors.Is(err, ErrPeerRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Property: what can be encoded comes back equal, and encodes alike.
func TestMessagesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b, err := appendMessage(nil, m, boundLogs())
		if err != nil {
			t.Fatal(err)
		}
		_, body, size, err := parseFrame(b)
		if err != nil || size != len(b) {
			t.Fatal(size, err)
		}
		got, err := decodeMessage(m.spec(), body, boundLogs())
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, m)
		}
	})
}

// drawMessage draws a message of any type but NOTES and FORK, whose parts depend on one another.
func drawMessage(t *rapid.T) Message {
	number := func(limit uint64) uint64 { return rapid.Uint64Range(0, limit).Draw(t, "number") }
	index := func() uint64 { return number(merkle.MaxSize) }
	ms := func() time.Duration { return time.Duration(number(1<<32-1)) * time.Millisecond }
	flag := func() bool { return rapid.Bool().Draw(t, "flag") }
	bytes32 := func() [32]byte { return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes")) }
	text := func(limit int) []byte {
		b := rapid.SliceOfN(rapid.Byte(), 0, limit).Draw(t, "text")
		if len(b) == 0 {
			return nil
		}
		return b
	}
	addr := func() netip.AddrPort {
		b := bytes32()
		switch number(2) {
		case 0:
			return netip.AddrPort{}
		case 1:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:])), uint16(b[4]))
		}
		b[0] = 0x20
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:])), uint16(b[16]))
	}
	path := func() (p []ShortID) {
		for range number(MaxPath) {
			b := bytes32()
			p = append(p, ShortID(b[:4]))
		}
		return p
	}
	referrals := func() (r []Referral) {
		for range number(MaxReferrals) {
			r = append(r, Referral{bytes32(), addr()})
		}
		return r
	}
	blocks := func() (b []uint64) {
		first := number(merkle.MaxSize - MaxBits)
		for i := uint64(0); i < MaxBits && len(b) < 50; i += 1 + number(200) {
			b = append(b, first+i)
		}
		return b
	}
	wall := func() time.Time { return time.UnixMicro(int64(1 + number(1<<60))) }
	log := rapid.SampledFrom([]LogID{testCatalog(), testLog()}).Draw(t, "log")
	stripe := uint8(number(MaxStripes - 1))
	switch number(13) {
	case 0:
		return &Hello{
			Role: Role(number(255)), Flags: NodeFlags(number(1<<32 - 1)), Features: number(maxVarint), Wall: wall(), Seen: addr(),
			Limits: Limits{uint32(number(1<<32 - 1)), number(maxVarint), uint8(number(255))},
			Notes:  feed.Notes{Channel: text(200), Epoch: text(200)},
		}
	case 1:
		s := &Status{
			Log: log, Size: index(), Base: index(), Homes: uint32(number(1<<32 - 1)), Slots: uint32(number(1<<32 - 1)),
			Backlog: ms(), Rate: number(maxVarint), Prefix: [8]byte(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "prefix")),
		}
		for range number(MaxStripes) {
			lag := time.Duration(number(255)) * lagUnit
			if lag > MaxLag {
				lag = NoLag
			}
			s.Lags = append(s.Lags, lag)
		}
		if flag() {
			s.Signed = &SignedRoot{Root: bytes32()}
			copy(s.Prefix[:], s.Signed.Root[:])
		}
		return s
	case 2:
		return &Sub{log, stripe, stripe + 1, Start(number(2)), index(), flag(), flag(), ms()}
	case 3:
		return &SubOK{log, stripe, index(), ms(), path()}
	case 4:
		return &SubNo{log, stripe, Refusal(number(255)), ms(), referrals()}
	case 5:
		return &Moved{log, stripe, Refusal(number(255)), number(merkle.MaxSize - 1), ms(), referrals()}
	case 6:
		return &Unsub{log, stripe, UnsubReason(number(255))}
	case 7:
		return &Path{log, stripe, path()}
	case 8:
		return &Req{number(maxVarint), log, flag(), flag(), ms(), blocks()}
	case 9:
		return &Nack{number(maxVarint), log, Refusal(number(255)), ms(), index(), blocks()}
	case 10:
		return &Cancel{log, blocks()}
	case 11:
		return &Ping{number(maxVarint), log, stripe, index()}
	case 12:
		return &Pong{number(maxVarint), log, stripe, flag(), flag(), index(), ms(), ms(), wall()}
	}
	return &Bye{string(text(maxReason)), ms(), referrals()}
}
