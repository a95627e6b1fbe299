package ts

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Diagnose says in one sentence why no sample came of the input, or of what followed the last Flush; nil if one did.
func (s *Scanner) Diagnose() error {
	t := &s.tables
	switch {
	case s.out.delivered:
		return nil
	case s.received == 0:
		return errors.New("the input is empty: not a single byte arrived")
	case s.packets == 0:
		return fmt.Errorf("%w: no packets found in %d bytes; if it is another format, remux it, as with ffmpeg -c copy -f mpegts",
			ErrNotTS, s.received)
	case t.pmtPID == 0 && t.wanted == 0 && t.called != "" && len(t.listed) > 0:
		return fmt.Errorf("no service of this stream is called %q; it has %s", t.called, t.services())
	case t.pmtPID == 0 && t.wanted != 0 && len(t.listed) > 0:
		return fmt.Errorf("program %d is not in this stream; it has %s", t.wanted, t.services())
	case t.pmtPID == 0:
		return fmt.Errorf("this stream names no program: no usable PAT in %d packets", s.packets)
	case s.scrambled > 0:
		return t.scrambled()
	case len(t.streams) == 0:
		return fmt.Errorf("program %d has no usable table of its streams: no PMT on PID %d", t.program.Number, t.pmtPID)
	}
	return fmt.Errorf("program %d declares %d streams, but none of them sent anything", t.program.Number, len(t.streams))
}

// ErrNotTS is why nothing was delivered if no packets were found.
var ErrNotTS = errors.New("this is not MPEG-TS")

// services lists the programs of the newest PAT, with their names as far as known; some of them, if there are many.
func (t *tables) services() string {
	const most = 20
	list := []string{}
	for _, n := range t.listed[:min(len(t.listed), most)] {
		text := strconv.Itoa(int(n))
		if name := t.names[n]; name != "" {
			text += fmt.Sprintf(" (%.64q)", name)
		}
		list = append(list, text)
	}
	if more := len(t.listed) - most; more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	return strings.Join(list, ", ")
}

// scrambled is why a program gave nothing whose packets came scrambled.
func (t *tables) scrambled() error {
	by := ""
	note := func(tag byte, d []byte) {
		if tag == tagCA && len(d) >= 2 && by == "" {
			by = fmt.Sprintf(" by conditional access system %#04x", be16(d))
		}
	}
	eachDescriptor(t.program.Descriptors, note)
	for _, track := range t.program.Tracks {
		eachDescriptor(track.Descriptors, note)
	}
	return fmt.Errorf("program %d is scrambled%s, and Tailcast does not descramble: send it in the clear, or choose another program", t.program.Number, by)
}

// trouble is what operators want to hear of.
type trouble struct{ lost, skipped, scrambled, jumps uint64 }

func (a trouble) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("lost_packets", a.lost), slog.Uint64("skipped_bytes", a.skipped),
		slog.Uint64("scrambled_packets", a.scrambled), slog.Uint64("clock_jumps", a.jumps))
}

// hope is how long an input may flow without one sample before that is said. Tables and key pictures come every second or two.
const hope = 5 * time.Second

// warn logs new trouble, once a second at most, and why there is nothing if there is nothing.
func (s *Scanner) warn() {
	if !s.out.delivered {
		s.despair(time.Now())
	}
	sum := trouble{s.stats.LostPackets.Load(), s.stats.SkippedBytes.Load(), s.scrambled, s.stats.Discontinuities.Load()}
	if sum == s.warned {
		return
	}
	now := time.Now()
	if now.Sub(s.warnedAt) < time.Second {
		return
	}
	if sum.scrambled > s.warned.scrambled {
		s.stats.SetError(s.tables.scrambled())
	}
	s.log.Warn("trouble with the input", "so_far", sum)
	s.warned, s.warnedAt = sum, now
}

// despair says what is wrong with an input that flows in vain: who waits at its other end would never learn.
func (s *Scanner) despair(now time.Time) {
	switch {
	case s.hoping.IsZero():
		s.hoping = now
	case now.Sub(s.hoping) >= hope:
		s.hoping = now
		err := s.Diagnose()
		s.stats.SetError(err)
		s.log.Warn("nothing can be taken from the input", "error", err)
	}
}
