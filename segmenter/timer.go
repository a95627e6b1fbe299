package segmenter

import "time"

// delay is how long a block may be open.
func (s *Segmenter) delay() time.Duration {
	switch {
	case s.cfg.MaxDelay != 0:
		return s.cfg.MaxDelay
	case s.clock.best == video:
		return 100 * time.Millisecond
	}
	return 200 * time.Millisecond
}

func (s *Segmenter) arm(d time.Duration) {
	s.armed = true
	if s.timer == nil {
		s.timer = s.cfg.AfterFunc(d, s.flush)
		return
	}
	s.timer.Reset(d)
}

func (s *Segmenter) disarm() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.armed = false
}

// flush is the timer's: it ends a block that has waited long enough. The media clock ends blocks of input that flows, so this
// matters when it falters.
func (s *Segmenter) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	if s.closed || len(s.buf) == 0 {
		return
	}
	if rest := s.delay() - s.cfg.Now().Sub(s.since); rest > 0 {
		s.arm(rest)
		return
	}
	s.cut()
}
