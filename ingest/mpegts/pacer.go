package mpegts

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

// pacer is a Sink that delivers samples when they are due, as an encoder would: the decoding times of the first picture
// track, or else of the first sound, are the clock. Other tracks go along; they may be ahead by no more than a second, lest a
// track that leads in name only lets a whole file through at once.
type pacer struct {
	ctx   context.Context // when it ends, samples are dropped and nothing waits any more
	sink  ingest.Sink
	speed float64

	lead    int // track, or -1
	media   [ingest.MaxTracks]bool
	running bool
	start   time.Time // when origin was due
	origin  int64     // DTS
}

func newPacer(ctx context.Context, sink ingest.Sink, speed float64) *pacer {
	if speed <= 0 {
		speed = 1
	}
	return &pacer{ctx: ctx, sink: sink, speed: speed, lead: -1}
}

func (p *pacer) SetProgram(program *ingest.Program) {
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

// mediaOf marks the tracks whose times are the program's: pictures and sound, or all if there are none of these.
func mediaOf(p *ingest.Program) (media [ingest.MaxTracks]bool) {
	some := false
	for _, t := range p.Tracks {
		media[t.ID] = t.Codec != ingest.Data
		some = some || media[t.ID]
	}
	for _, t := range p.Tracks {
		media[t.ID] = media[t.ID] || !some
	}
	return media
}

func (p *pacer) WriteSample(s ingest.Sample) {
	if p.media[s.Track] && !math.IsInf(p.speed, 1) {
		p.wait(s)
	}
	if p.ctx.Err() == nil {
		p.sink.WriteSample(s)
	}
}

// WriteClock implements ingest.ClockSink: what is paced here has no clock but ours.
func (p *pacer) WriteClock(at int64) {
	if c, ok := p.sink.(ingest.ClockSink); ok && math.IsInf(p.speed, 1) {
		c.WriteClock(at)
	}
}

// wait returns when s is due.
func (p *pacer) wait(s ingest.Sample) {
	leads := int(s.Track) == p.lead || p.lead < 0
	ahead := s.DTS - p.origin - int64(p.speed*float64(time.Since(p.start))*ingest.ClockRate/float64(time.Second))
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
