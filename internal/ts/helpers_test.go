package ts

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"tailcast/ingest"
)

// recorder keeps all it gets.
type recorder struct {
	programs []*ingest.Program
	samples  []ingest.Sample
	during   []int // index into programs, for each sample
}

func (r *recorder) SetProgram(p *ingest.Program) { r.programs = append(r.programs, p) }

func (r *recorder) WriteSample(s ingest.Sample) {
	s.Data = bytes.Clone(s.Data)
	r.samples = append(r.samples, s)
	r.during = append(r.during, len(r.programs)-1)
}

// program is the newest.
func (r *recorder) program(t testing.TB) *ingest.Program {
	t.Helper()
	if len(r.programs) == 0 {
		t.Fatal("no program was delivered")
	}
	return r.programs[len(r.programs)-1]
}

// of returns the samples of the track that had pid when they came.
func (r *recorder) of(pid uint16) (out []ingest.Sample) {
	for i, s := range r.samples {
		p := r.programs[r.during[i]]
		j := slices.IndexFunc(p.Tracks, func(t ingest.Track) bool { return t.ID == s.Track })
		if j < 0 {
			panic(fmt.Sprintf("sample %d is of track %d, which its program does not have", i, s.Track))
		}
		if p.Tracks[j].PID == pid {
			out = append(out, s)
		}
	}
	return out
}

// scan takes in, in portions of the given size, to its end.
func scan(in []byte, portion int, cfg Config) (*recorder, *ingest.Stats) {
	r, stats := new(recorder), new(ingest.Stats)
	cfg.Sink, cfg.Stats = r, stats
	s := NewScanner(cfg)
	for len(in) > 0 {
		n := min(len(in), portion)
		s.Write(in[:n])
		in = in[n:]
	}
	s.Flush()
	return r, stats
}

func scanAll(in []byte) (*recorder, *ingest.Stats) { return scan(in, 64<<10, Config{}) }

// flagged counts the samples with a flag.
func flagged(samples []ingest.Sample, f ingest.Flags) (n int) {
	for _, s := range samples {
		if s.Flags&f != 0 {
			n++
		}
	}
	return n
}

// build makes packets by hand, for what no encoder sends.
type build struct {
	bytes.Buffer
	counters map[uint16]byte
}

// packet appends one packet; what is missing is stuffed in the adaptation field.
func (b *build) packet(pid uint16, start bool, adaptation, payload []byte) {
	if b.counters == nil {
		b.counters = make(map[uint16]byte)
	}
	h := [4]byte{0x47, byte(pid >> 8), byte(pid), b.counters[pid]}
	if start {
		h[1] |= 0x40
	}
	if payload != nil {
		h[3] |= 0x10
		b.counters[pid] = (h[3] + 1) & 15
	}
	body := payload
	if stuff := 184 - len(payload); stuff > 0 {
		h[3] |= 0x20
		a := append([]byte{byte(stuff - 1)}, adaptation...)
		if len(a) == 1 && stuff > 1 {
			a = append(a, 0)
		}
		body = append(append(a, bytes.Repeat([]byte{0xff}, stuff-len(a))...), payload...)
	}
	b.Write(h[:])
	b.Write(body[:184])
}

// unit appends a PES packet or what else begins with a start indicator.
func (b *build) unit(pid uint16, adaptation, data []byte) {
	for start := true; start || len(data) > 0; start = false {
		room := 184
		if start && adaptation != nil {
			room -= 1 + len(adaptation)
		}
		n := min(room, len(data))
		if start {
			b.packet(pid, true, adaptation, data[:n])
		} else {
			b.packet(pid, false, nil, data[:n])
		}
		data = data[n:]
	}
}

// pes makes a PES packet; with length if declared.
func pes(id byte, pts, dts int64, declared bool, payload []byte) []byte {
	h := []byte{0, 0, 1, id, 0, 0, 0x80, 0x80, 5}
	if pts != dts {
		h[7], h[8] = 0xc0, 10
		h = appendTime(appendTime(h, 3, pts), 1, dts)
	} else {
		h = appendTime(h, 2, pts)
	}
	if n := len(h) - 6 + len(payload); declared {
		h[4], h[5] = byte(n>>8), byte(n)
	}
	return append(h, payload...)
}

// section adds length and CRC to a table's body (what follows the length).
func section(table byte, body []byte) []byte {
	n := len(body) + 4
	x := append([]byte{table, 0xb0 | byte(n>>8), byte(n)}, body...)
	c := crc(x)
	return append(x, byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
}

// sections appends whole sections in packets of a PID.
func (b *build) sections(pid uint16, sections ...[]byte) {
	b.unit(pid, nil, padded(append([]byte{0}, bytes.Join(sections, nil)...)))
}

func padded(x []byte) []byte {
	if n := len(x) % 184; n != 0 {
		x = append(x, bytes.Repeat([]byte{0xff}, 184-n)...)
	}
	return x
}

// pat appends a PAT of programs (number, PID).
func (b *build) pat(version byte, programs ...uint16) {
	body := []byte{0, 1, 0xc1 | version<<1, 0, 0}
	for i := 0; i < len(programs); i += 2 {
		n, pid := programs[i], programs[i+1]
		body = append(body, byte(n>>8), byte(n), 0xe0|byte(pid>>8), byte(pid))
	}
	b.sections(patPID, section(tablePAT, body))
}

// es is an entry of a PMT.
func es(streamType byte, pid uint16, descriptors ...byte) []byte {
	return append([]byte{streamType, 0xe0 | byte(pid>>8), byte(pid), 0xf0, byte(len(descriptors))}, descriptors...)
}

// pmt appends a PMT of program number on pid.
func (b *build) pmt(pid, number uint16, version byte, pcr uint16, info []byte, streams ...[]byte) {
	body := []byte{byte(number >> 8), byte(number), 0xc1 | version<<1, 0, 0, 0xe0 | byte(pcr>>8), byte(pcr), 0xf0, byte(len(info))}
	body = append(append(body, info...), bytes.Join(streams, nil)...)
	b.sections(pid, section(tablePMT, body))
}

// idr and slice are what a decoder would take for pictures of H.264, up to their contents; delimiters in front.
func idr(n int) []byte {
	return append([]byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0x88}, bytes.Repeat([]byte{0xaa}, n)...)
}

func slice(n int) []byte {
	return append([]byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a}, bytes.Repeat([]byte{0x55}, n)...)
}
