package player

import (
	"testing"
)

func TestRestamp(t *testing.T) {
	b := newBench()
	b.SetProgram(syntheticProgram())
	b.feed(synthetic(30, 1<<33))
	s, body := all(t, b.mp4)
	was := parse(t, s.header, body)
	from := 0
	for i, c := range s.chunks {
		if c.start {
			from = i
		}
	}
	skip := len(parse(t, s.header, append(append([]byte{}, s.header...), data(s.chunks[:from])...)).parts)
	var r restamper
	var out []byte
	for _, c := range s.chunks[from:] {
		out = append(out, r.restamp(c)...)
	}
	got := parse(t, s.header, append(append([]byte{}, s.header...), out...))
	for i, p := range got.parts {
		if int(p.SequenceNumber) != i {
			t.Fatalf("part %d has number %d", i, p.SequenceNumber)
		}
		for j, tr := range p.Tracks {
			clock := map[int]int64{1: 90000, 2: 48000}[tr.ID]
			before := was.parts[skip+i].Tracks[j]
			if d := int64(before.BaseTime - tr.BaseTime); d != r.seconds*clock {
				t.Fatalf("part %d: time of track %d moved by %d ticks, want %d s", i, tr.ID, d, r.seconds)
			}
		}
	}
	if first := got.times[1][0]; first < 90000 || first > 3*90000 {
		t.Errorf("the first picture is at %d ticks, want about a second", first)
	}
	if string(data(s.chunks)) != string(body[len(s.header):]) {
		t.Error("what is shared has been changed")
	}
}

func data(chunks []chunk) (out []byte) {
	for _, c := range chunks {
		out = append(out, c.data...)
	}
	return out
}

func TestStampsOfAnotherShape(t *testing.T) {
	for _, part := range [][]byte{nil, make([]byte, 200), []byte("\x00\x00\x00\x40moof"), append([]byte("\x00\x00\x01\x00moof"), make([]byte, 300)...)} {
		s := stamps{}.append(0, part, func(int) int64 { return 1 })
		if len(s.times) > 0 {
			t.Errorf("found %d times in %q", len(s.times), part[:8])
		}
	}
}
