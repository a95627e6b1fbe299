package pace

import (
	"context"
	"math"
	"time"

	"tailcast/ingest"
)

const (
	maxJump  = 10 * ingest.ClockRate // of a media clock; more is no time to wait for
	maxAhead = ingest.ClockRate      // how far other tracks may be ahead of the leading one
	tooLate  = time.Second           // after which the pace is taken up anew rather than caught up with
)

// Pacer is a Sink that delivers samples when they are due, as an encoder would: the decoding times of the first picture
// track, or else of the first sound, are the clock. Other tracks go along; they may be ahead by no more than a second, lest a
// track that leads in name only lets a whole file through at once.
type Pacer struct {
	ctx   context.Context // when it ends, samples are dropped and nothing waits any more
	sink  ingest.Sink
	speed float64

	lead    int // track, or -1
	media   [ingest.MaxTracks]bool
	running bool
	start   time.Time // when origin was due
	origin  int64     // DTS
}

// NewPacer returns a Pacer at a speed: 1 is real time, zero too; math.Inf(1) does not wait at all.
func NewPacer(ctx context.Context, sink ingest.Sink, speed float64) *Pacer {
	if speed <= 0 {
		speed = 1
	}
	return &Pacer{ctx: ctx, sink: sink, speed: speed, lead: -1}
}

// SetSpeed changes the speed from now on.
func (p *Pacer) SetSpeed(speed float64) {
	switch {
	case speed == p.speed:
		return
	case math.IsInf(speed, 1) || math.IsInf(p.speed, 1):
		p.running = false
	default:
		p.origin, p.start = p.origin+p.passed(), time.Now()
	}
	p.speed = speed
}

// SetProgram implements ingest.Sink.
func (p *Pacer) SetProgram(program *ingest.Program) {
	p.media, p.lead = mediaOf(program), -1
	for _, t := range program.Tracks {
		if t.Codec.IsVideo() || p.lead < 0 && t.Codec.IsAudio() {
			if p.lead = int(t.ID); t.Codec.IsVideo() {
				break
			}
		}
	}
	p.sink.SetProgram(program)
}

// WriteSample implements ingest.Sink.
func (p *Pacer) WriteSample(s ingest.Sample) {
	if p.media[s.Track] && !math.IsInf(p.speed, 1) {
		p.wait(s)
	}
	if p.ctx.Err() == nil {
		p.sink.WriteSample(s)
	}
}

// WriteClock implements ingest.ClockSink: what is paced here has no clock but ours.
func (p *Pacer) WriteClock(at int64) {
	if c, ok := p.sink.(ingest.ClockSink); ok && math.IsInf(p.speed, 1) {
		c.WriteClock(at)
	}
}

// passed is how far the clock has come since origin was due.
func (p *Pacer) passed() int64 {
	return int64(p.speed * float64(time.Since(p.start)) * ingest.ClockRate / float64(time.Second))
}

// wait returns when s is due.
func (p *Pacer) wait(s ingest.Sample) {
	leads := int(s.Track) == p.lead || p.lead < 0
	ahead := s.DTS - p.origin - p.passed()
	late := float64(-ahead) > p.speed*tooLate.Seconds()*ingest.ClockRate
	if !p.running || leads && (late || ahead > maxJump) {
		p.running, p.start, p.origin = true, time.Now(), s.DTS
		return
	}
	if !leads {
		ahead -= maxAhead
	}
	if ahead <= 0 || ahead > maxJump {
		return
	}
	timer := time.NewTimer(time.Duration(float64(ahead) / p.speed * float64(time.Second) / ingest.ClockRate))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}
