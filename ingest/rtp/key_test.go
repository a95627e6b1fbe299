package rtp

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"tailcast/ingest"
	"tailcast/ingest/rtp/rtptest"
)

// Where a sender can be asked, nothing goes out before the first random access point with its parameter sets, and after a loss a keyframe is
// asked for until it comes.
func TestNeedKey(t *testing.T) {
	s := newSession(t, &format.H264{PayloadTyp: 96, PacketizationMode: 1})
	asked := 0
	s.in.needKey = func(*Track) { asked++ }
	at := time.Duration(0)
	send := func(marker bool, payload []byte) {
		s.send(0, at, at, marker, payload)
		if marker {
			at += frame
		}
	}
	for i, step := range []struct {
		name           string
		do             func()
		samples, asked int // after it, in sum
	}{
		{"a picture in between", func() { send(true, rtptest.Inter) }, 0, 1},
		{"an IDR without parameter sets", func() { send(true, rtptest.IDR) }, 0, 2},
		{"parameter sets, and an IDR of which something is missing", func() {
			send(false, rtptest.PlainSPS)
			send(false, rtptest.PPS)
			s.lose(0, 1)
			send(true, rtptest.IDR)
		}, 0, 3},
		{"an IDR", func() { send(true, rtptest.IDR) }, 1, 3},
		{"pictures", func() { send(true, rtptest.Inter); send(true, rtptest.Inter) }, 3, 3},
		{"a loss", func() { s.lose(0, 1); send(true, rtptest.Inter) }, 4, 4}, // it goes out: decoders conceal
		{"what comes after it", func() { send(true, rtptest.Inter) }, 5, 5},
		{"an IDR again", func() { send(true, rtptest.IDR); send(true, rtptest.Inter) }, 7, 5},
	} {
		step.do()
		s.in.settle(s.start.Add(at + holdFor))
		if n := len(s.rec.All()); n != step.samples || asked != step.asked {
			t.Fatalf("step %d, %s: %d samples and asked %d times, want %d and %d", i, step.name, n, asked, step.samples, step.asked)
		}
	}
	if left := s.stats.Left(); left != (ingest.Left{ingest.Undecodable: 3}) {
		t.Errorf("left out %v, want the three pictures before the first that can be decoded", left.Map())
	}
	if got := s.rec.All(); got[0].Flags&ingest.RandomAccess == 0 || got[3].Flags&ingest.Damaged == 0 {
		t.Errorf("flags are %v first and %v after the loss", got[0].Flags, got[3].Flags)
	}
}

// Packets of padding, by which browsers find out what the network carries, are no media; what is lost before one is not forgotten.
func TestPadding(t *testing.T) {
	s := newSession(t, rtptest.PlainH264())
	s.send(0, 0, 0, true, rtptest.IDR)
	for range 3 {
		s.send(0, 0, 0, false, nil)
	}
	s.send(0, frame, frame, true, rtptest.Inter)
	s.lose(0, 1)
	s.send(0, frame, frame, false, nil)
	s.send(0, 2*frame, 2*frame, true, rtptest.Inter)
	got := s.rec.All()
	if len(got) != 3 || got[1].Flags != 0 || got[2].Flags != ingest.Damaged || s.stats.LostPackets.Load() != 1 || s.stats.LastError() != "" {
		t.Errorf("got %+v, %d lost, last error %q, want three pictures, the last damaged", got, s.stats.LostPackets.Load(), s.stats.LastError())
	}
}
