package ts

import (
	"errors"
	"fmt"
	"log/slog"
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
	case t.pmtPID == 0 && t.wanted != 0 && len(t.listed) > 0:
		return fmt.Errorf("program %d is not in this stream; it has %v", t.wanted, t.listed)
	case t.pmtPID == 0:
		return fmt.Errorf("this stream names no program: no usable PAT in %d packets", s.packets)
	case s.scrambled > 0:
		return errScrambled
	case len(t.streams) == 0:
		return fmt.Errorf("program %d has no usable table of its streams: no PMT on PID %d", t.program.Number, t.pmtPID)
	}
	return fmt.Errorf("program %d declares %d streams, but none of them sent anything", t.program.Number, len(t.streams))
}

// ErrNotTS is why nothing was delivered if no packets were found.
var ErrNotTS = errors.New("this is not MPEG-TS")

var errScrambled = errors.New("the stream is scrambled, and Tailcast does not descramble: send it in the clear")

// trouble is what operators want to hear of.
type trouble struct{ lost, skipped, scrambled, jumps uint64 }

func (a trouble) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("lost_packets", a.lost), slog.Uint64("skipped_bytes", a.skipped),
		slog.Uint64("scrambled_packets", a.scrambled), slog.Uint64("clock_jumps", a.jumps))
}

// warn logs new trouble, once a second at most.
func (s *Scanner) warn() {
	sum := trouble{s.stats.LostPackets.Load(), s.stats.SkippedBytes.Load(), s.scrambled, s.stats.Discontinuities.Load()}
	if sum == s.warned {
		return
	}
	now := time.Now()
	if now.Sub(s.warnedAt) < time.Second {
		return
	}
	if sum.scrambled > s.warned.scrambled {
		s.stats.SetError(errScrambled)
	}
	s.log.Warn("trouble with the input", "so_far", sum)
	s.warned, s.warnedAt = sum, now
}
