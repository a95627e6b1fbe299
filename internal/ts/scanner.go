package ts

import (
	"bytes"
	"log/slog"
	"strings"
	"time"

	"tailcast/ingest"
)

// Config says what a Scanner takes and where it goes.
type Config struct {
	Sink    ingest.Sink
	Stats   *ingest.Stats // If nil, counted for nobody.
	Program uint16        // program_number to take. If zero, the first one the PAT lists, or Service.
	Service string        // Name of the service to take, as the SDT has it, in upper or lower case. If empty, any.
	Logger  *slog.Logger  // If nil, silent.
}

// Scanner takes a transport stream apart. It is not safe for concurrent use; it calls the Sink from within its methods.
//
//	bytes ─ synchronizer ─ packets ─┬─ sections ── PAT, PMT, SDT, EIT ─▶ tables ─▶ Program
//	                                ├─ sections ── of a data track ────────▶ Sample
//	                                └─ PES packets ─ splitter of the codec ─▶ Samples
type Scanner struct {
	out    output
	stats  *ingest.Stats
	log    *slog.Logger
	sync   synchronizer
	tables tables
	clock  clock
	now    int64 // time of the newest picture or sound, for what has no time of its own
	timed  bool  // now comes from a picture or sound, not from a PCR

	pids      [maxPIDs]*pid // nil: not of interest
	last      *pid          // of the last packet; nil if not of interest
	held      int           // bytes in open PES packets
	ended     bool          // by Flush; the next bytes begin anew what Diagnose tells of
	received  uint64        // bytes
	packets   uint64
	scrambled uint64
	warned    trouble // last logged
	warnedAt  time.Time
	hoping    time.Time // for a first sample, since then
}

// pid is what is remembered of the packets of one PID: of a table (es is nil) or of an elementary stream.
type pid struct {
	number   uint16
	es       *elementary
	sections sectionReader
	counter  byte // of the last packet with a payload
	seen     bool // counter is valid
}

// NewScanner returns a Scanner that waits for the first packet.
func NewScanner(cfg Config) *Scanner {
	s := &Scanner{stats: cfg.Stats, log: cfg.Logger}
	s.tables = tables{wanted: cfg.Program, called: strings.TrimSpace(cfg.Service), names: make(map[uint16]string), pcrPID: nullPID}
	if s.stats == nil {
		s.stats = new(ingest.Stats)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.sync = synchronizer{packet: s.packet, lost: s.lostSync}
	s.out = output{sink: cfg.Sink, stats: s.stats, program: &s.tables.program, gathering: true}
	s.pids[patPID] = &pid{number: patPID}
	s.pids[sdtPID] = &pid{number: sdtPID}
	s.pids[eitPID] = &pid{number: eitPID}
	return s
}

// Write takes any portion of the stream; it always takes all and never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	if s.ended {
		s.ended, s.out.delivered, s.received, s.packets, s.scrambled, s.hoping = false, false, 0, 0, 0, time.Time{}
	}
	s.received += uint64(len(p))
	s.stats.Bytes.Add(uint64(len(p)))
	skipped := s.sync.skipped
	s.sync.write(p)
	s.stats.SkippedBytes.Add(s.sync.skipped - skipped)
	s.warn()
	return len(p), nil
}

// Idle delivers the PES packets whose length was not declared but whose end is evident: they would wait for the beginning of
// the next. Call it when nothing has arrived for about 20 ms. A stream that has shown that its ends are what they seem does not
// need it.
func (s *Scanner) Idle() {
	for _, es := range s.tables.streams {
		if es.evident {
			es.early = true
			s.endPES(es)
		}
	}
}

// Flush delivers all that is open and forgets counters and positions: at the end of the input, or where it was
// interrupted. Tables, tracks and the clock stay.
func (s *Scanner) Flush() {
	s.ended = true
	for _, es := range s.tables.streams {
		s.endPES(es)
		s.endSplit(es)
	}
	for _, p := range s.pids {
		if p != nil {
			p.seen = false
			p.sections.reset()
		}
	}
	s.out.flush()
	skipped := s.sync.skipped
	s.sync.reset()
	s.stats.SkippedBytes.Add(s.sync.skipped - skipped)
}

// Gap says that so many packets are missing here, more than their counters, which count to 16, can be trusted to tell.
func (s *Scanner) Gap(packets int) {
	s.stats.LostPackets.Add(uint64(packets))
	for _, p := range s.pids {
		if p != nil {
			p.seen = false
			p.damage()
		}
	}
}

// Rewind is Flush for an input that begins again: the clock is forgotten too, so that its times start over, and that is no
// discontinuity.
func (s *Scanner) Rewind() {
	s.Flush()
	s.clock, s.timed = clock{}, false
	for _, es := range s.tables.streams {
		es.known, es.sure, es.jumped, es.order = false, false, false, order{}
		if es.frames != nil {
			es.frames.sent = false
		}
	}
}

// packet takes one transport packet.
func (s *Scanner) packet(raw []byte, suspect bool) {
	s.packets++
	k, ok := parsePacket(raw)
	p := s.pids[k.pid]
	s.last = p
	if !ok {
		return // its counter will be missed
	}
	if k.hasPCR && k.pid == s.tables.pcrPID {
		s.reference(k)
	}
	if p == nil || !k.hasPayload {
		return
	}
	if suspect && !k.start {
		p.damage()
	}
	k.suspect = suspect
	if !s.continues(p, k) {
		return
	}
	if k.scrambled {
		s.scrambled++
		return
	}
	if p.es == nil {
		p.sections.push(k.payload, k.start, func(x []byte) { s.table(p.number, x) })
	} else {
		s.payload(p, k)
	}
}

// lostSync is called when the last packet turns out not to be followed by another.
func (s *Scanner) lostSync() {
	if s.last != nil {
		s.last.damage()
	}
}

// reference takes the program's clock. Nothing but signalled jumps and streams without any time of their own need it, and who
// measures it.
func (s *Scanner) reference(k packet) {
	if c, ok := s.out.sink.(ingest.ClockSink); ok {
		c.WriteClock(s.clock.near(k.pcr))
	}
	if !s.timed {
		s.now = s.clock.unwrap(k.pcr)
	}
	if k.discontinuity {
		for _, es := range s.tables.streams {
			es.jumped = es.known
		}
	}
}

// continues checks the continuity counter (H.222.0, 2.4.3.3) and tells whether the packet is to be used.
func (s *Scanner) continues(p *pid, k packet) bool {
	want := (p.counter + 1) & 15
	fresh := !p.seen || k.discontinuity
	if !fresh && k.counter == p.counter && p.repeats(k.payload) {
		return false // every packet may be sent twice
	}
	p.counter, p.seen = k.counter, true
	if fresh || k.counter == want {
		return true
	}
	s.stats.LostPackets.Add(uint64(k.counter-want) & 15)
	p.damage()
	return true
}

// repeats tells whether payload is that of the packet before. Where that is not kept any more, an equal counter must do.
func (p *pid) repeats(payload []byte) bool {
	if p.es == nil || p.es.sections || len(p.es.buf) == 0 {
		return true
	}
	return bytes.HasSuffix(p.es.buf, payload)
}

// damage marks what is being assembled as incomplete.
func (p *pid) damage() {
	p.sections.tear()
	if p.es != nil {
		p.es.damaged = true
	}
}
