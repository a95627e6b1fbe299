package mpegts

import "tailcast/ingest"

// looper is a Sink that joins rounds of one recording: the times of each further round are shifted by the duration of the
// program, so that the longest track of pictures or sound goes on without a gap and none goes back.
type looper struct {
	sink  ingest.Sink
	media [ingest.MaxTracks]bool
	shift int64
	round [ingest.MaxTracks]span
}

// span is what a track took of the round at hand, times as they came.
type span struct {
	seen              bool
	first, last, step int64
}

func (l *looper) SetProgram(p *ingest.Program) {
	l.media = mediaOf(p)
	l.sink.SetProgram(p)
}

func (l *looper) WriteSample(s ingest.Sample) {
	t := &l.round[s.Track]
	if !t.seen {
		t.seen, t.first, t.last = true, s.DTS, s.DTS
	}
	if step := s.DTS - t.last; step > 0 && step < maxJump {
		t.step = step
	}
	t.last = s.DTS
	s.PTS += l.shift
	s.DTS += l.shift
	l.sink.WriteSample(s)
}

// again begins the next round; false if the last took no time.
func (l *looper) again() bool {
	var duration int64
	some := false
	for i, t := range l.round {
		// The last sample lasts as long as the one before. (If times jumped back in between, the difference may be negative:
		// the next round goes on from where they ended all the same.)
		if d := t.last + t.step - t.first; t.seen && l.media[i] && (!some || d > duration) {
			duration, some = d, true
		}
	}
	l.shift += duration
	l.round = [ingest.MaxTracks]span{}
	return duration != 0
}
