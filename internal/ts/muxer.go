package ts

import (
	"errors"
	"fmt"
	"io"

	"tailcast/ingest"
)

// ErrCodec is returned for a program with a track that MPEG-TS has no settled way to carry; the error names the codec.
var ErrCodec = errors.New("MPEG-TS cannot carry this codec")

// How often what comes back, in ticks.
const (
	// Receivers steer their clocks by the PCR, which DVB wants every 40 ms (ETSI TR 101 290, 2.3a). Packets with nothing but a
	// PCR are put in at a little less.
	maxPCRGap = 40 * ingest.ClockRate / 1000
	pcrStep   = 35 * ingest.ClockRate / 1000
	// Tables are written when they would be 100 ms old before the next PCR.
	maxTableAge = 100*ingest.ClockRate/1000 - maxPCRGap
	maxNameAge  = ingest.ClockRate // of the SDT
)

// lead is how far the PCR, the time at which bytes arrive, is behind the newest DTS: 0.7 s. Samples of different tracks come in
// turns, a packet of sound with many frames late by its length; none may come after its time. It costs no latency in
// players that show what they get, and 0.7 s in those that wait for the PCR.
const lead = 7 * ingest.ClockRate / 10

// Muxer writes one program as a transport stream: payloads, times, PIDs and descriptors as they are, PCR every 40 ms, tables every
// 100 ms and before pictures at which decoding can begin. Its clock is the newest DTS written so far. It is not safe for
// concurrent use.
type Muxer struct {
	w        io.Writer
	buf      []byte // packets of the sample at hand
	counters [maxPIDs]byte

	program ingest.Program
	tracks  [ingest.MaxTracks]*carried // by ID
	media   bool                       // the program has pictures or sound, and their times are the clock
	psi     psi

	running  bool  // the times below are valid
	signal   bool  // the next PCR does not continue the one before
	renew    bool  // tables have changed
	clock    int64 // newest DTS
	pcr      int64 // clock when the last PCR was written
	tablesAt int64 // clock when PAT and PMT were
	nameAt   int64 // clock when the SDT was
}

// carried is a track of the program.
type carried struct {
	*ingest.Track
	teletext bool
}

// NewMuxer returns a Muxer that writes whole packets to w, one Write for each sample.
func NewMuxer(w io.Writer) *Muxer { return &Muxer{w: w} }

// SetProgram begins the program or changes it. Where p leaves PIDs and stream types open, as sources that are not TS may, it chooses.
// After an error the program is what it was.
func (m *Muxer) SetProgram(p *ingest.Program) error {
	next := *p.Clone()
	if err := complement(&next); err != nil {
		return err
	}
	if err := m.psi.set(&next); err != nil {
		return err
	}
	m.program, m.tracks, m.media, m.renew = next, [ingest.MaxTracks]*carried{}, false, true
	for i := range m.program.Tracks {
		t := &m.program.Tracks[i]
		m.tracks[t.ID] = &carried{t, isTeletext(t)}
		m.media = m.media || t.Codec != ingest.Data
	}
	return nil
}

// Discontinuity announces that the times of what follows do not continue those before, as at the border of an epoch.
func (m *Muxer) Discontinuity() {
	m.signal = m.signal || m.running
	m.running = false
}

// WriteSample writes one sample, and before it whatever is due by its time. Within a track samples come in decoding order.
func (m *Muxer) WriteSample(s ingest.Sample) error {
	if int(s.Track) >= len(m.tracks) || m.tracks[s.Track] == nil {
		return fmt.Errorf("couldn't write a sample of track %d: the program has no such track", s.Track)
	}
	t := m.tracks[s.Track]
	m.buf = m.buf[:0]
	if t.Codec != ingest.Data || !m.media || !m.running {
		m.advance(s, t.PID == m.psi.pcrPID && !t.Sections)
	}
	entry := t.Codec.IsVideo() && s.Flags&ingest.RandomAccess != 0 && m.tablesAt != m.clock
	if entry || m.renew || m.clock-m.tablesAt > maxTableAge {
		m.tables()
	}
	if t.Sections {
		m.section(t.PID, s.Data)
	} else {
		m.pes(t, s)
	}
	_, err := m.w.Write(m.buf)
	return err
}

// advance moves the clock to the time of s. On the way it writes the PCRs and tables that fall due; ownPCR says that the
// packet of s can carry one.
func (m *Muxer) advance(s ingest.Sample, ownPCR bool) {
	if m.running && m.jumps(s) {
		m.Discontinuity()
	}
	if !m.running {
		m.running, m.clock, m.pcr = true, s.DTS, s.DTS-1
		m.renew = true
		return
	}
	for s.DTS-m.pcr > maxPCRGap || !ownPCR && s.DTS-m.pcr >= pcrStep {
		m.clock = m.pcr + min(pcrStep, s.DTS-m.pcr)
		m.pcrPacket()
		if m.clock-m.tablesAt > maxTableAge {
			m.tables()
		}
	}
	m.clock = max(m.clock, s.DTS)
}

// jumps tells whether the time of s is out of the clock's reach. A sample that is merely late is not.
func (m *Muxer) jumps(s ingest.Sample) bool {
	ahead := s.DTS - m.clock
	if s.Flags&ingest.Discontinuity != 0 && (ahead > ingest.ClockRate || s.DTS < m.pcr-lead) {
		return true
	}
	return abs(ahead) > jump
}

// pcrPacket writes a packet with nothing but the PCR.
func (m *Muxer) pcrPacket() {
	var a [7]byte
	m.packet(m.psi.pcrPID, false, m.reference(a[:0], 0), nil, nil)
}

// reference appends the flags and PCR of an adaptation field.
func (m *Muxer) reference(a []byte, flags byte) []byte {
	if m.signal {
		flags |= 0x80
	}
	m.signal, m.pcr = false, m.clock
	return appendPCR(append(a, flags|0x10), m.clock-lead)
}

// tables writes PAT and PMT, and the SDT if it is due, right behind a PCR.
func (m *Muxer) tables() {
	if m.pcr != m.clock {
		m.pcrPacket()
	}
	m.section(patPID, m.psi.pat)
	m.section(m.program.PMTPID, m.psi.pmt)
	if m.psi.sdt != nil && (m.renew || m.clock-m.nameAt >= maxNameAge) {
		m.section(sdtPID, m.psi.sdt)
		m.nameAt = m.clock
	}
	m.tablesAt, m.renew = m.clock, false
}

// section writes a section in packets of its own.
func (m *Muxer) section(pid uint16, x []byte) {
	pointer := [1]byte{0}
	for head := pointer[:]; len(head)+len(x) > 0; head = nil {
		n := min(184-len(head), len(x))
		end := len(m.buf) + packetSize
		m.header(pid, head != nil, false, true)
		m.buf = append(append(m.buf, head...), x[:n]...)
		for len(m.buf) < end {
			m.buf = append(m.buf, 0xff) // sections are stuffed behind, not in an adaptation field
		}
		x = x[n:]
	}
}

// pes writes a sample as one PES packet.
func (m *Muxer) pes(t *carried, s ingest.Sample) {
	var h [64]byte
	head, data := pesHeader(h[:0], t, s), s.Data
	var a [8]byte
	adaptation := a[:0]
	var flags byte
	if s.Flags&ingest.RandomAccess != 0 {
		flags = 0x40
	}
	switch {
	case t.PID == m.psi.pcrPID && m.pcr != m.clock:
		adaptation = m.reference(adaptation, flags)
	case flags != 0:
		adaptation = append(adaptation, flags)
	}
	for start := true; len(head)+len(data) > 0; start = false {
		n := m.packet(t.PID, start, adaptation, head, data)
		data, head, adaptation = data[n:], nil, nil
	}
}

// pesHeader appends the header of a PES packet (H.222.0, 2.4.3.6) with times and, where it is possible, its length: receivers
// then need not wait for the next to know that it is complete.
func pesHeader(h []byte, t *carried, s ingest.Sample) []byte {
	h = append(h, 0, 0, 1, t.StreamID, 0, 0)
	if hasHeader(t.StreamID) {
		const aligned = 0x84
		if s.PTS != s.DTS {
			h = append(h, aligned, 0xc0, 10)
			h = appendTime(appendTime(h, 3, s.PTS), 1, s.DTS)
		} else {
			h = appendTime(append(h, aligned, 0x80, 5), 2, s.PTS)
		}
		// Teletext wants a header of this length, so that its lines are aligned to packets (ETSI EN 300 472, 4.2).
		const teletext = 0x24
		for t.teletext && len(h) < 9+teletext {
			h, h[8] = append(h, 0xff), teletext
		}
	}
	n, most := len(h)-6+len(s.Data), 0xffff
	if t.Codec.IsVideo() {
		most = nearlyFull - 7
	}
	if n <= most {
		h[4], h[5] = byte(n>>8), byte(n)
	}
	return h
}

// packet appends one packet with as much of data as fits behind the head, and says how much that was.
func (m *Muxer) packet(pid uint16, start bool, adaptation, head, data []byte) int {
	room := 184 - len(head)
	if len(adaptation) > 0 {
		room -= 1 + len(adaptation)
	}
	n := min(room, len(data))
	stuffing := room - n
	m.header(pid, start, len(adaptation) > 0 || stuffing > 0, len(head)+n > 0)
	switch {
	case len(adaptation) > 0:
		m.buf = append(append(m.buf, byte(len(adaptation)+stuffing)), adaptation...)
	case stuffing == 1:
		m.buf = append(m.buf, 0)
		stuffing = 0
	case stuffing > 1:
		m.buf = append(m.buf, byte(stuffing-1), 0)
		stuffing -= 2
	}
	for range stuffing {
		m.buf = append(m.buf, 0xff)
	}
	m.buf = append(append(m.buf, head...), data[:n]...)
	return n
}

// header appends the four bytes of a packet and counts it.
func (m *Muxer) header(pid uint16, start, adaptation, payload bool) {
	b1, b3 := byte(pid>>8), m.counters[pid]
	if start {
		b1 |= 0x40
	}
	if payload {
		m.counters[pid] = (m.counters[pid] + 1) & 15
		b3 = m.counters[pid] | 0x10
	}
	if adaptation {
		b3 |= 0x20
	}
	m.buf = append(m.buf, syncByte, b1, byte(pid), b3)
}
