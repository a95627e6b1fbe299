package ts

import (
	"bytes"
	"slices"
	"time"

	"tailcast/ingest"
)

// What is held back at the beginning, at most: a second of media and 4 MiB.
const (
	gatherTime  = ingest.ClockRate
	gatherBytes = 4 << 20
)

// output is the last step before the Sink. It sends the Program when a sample needs it, not when a table came, so that the
// first Program is complete: at the beginning samples are held until each track of picture or sound has told its
// parameters, or for a second of media if one is late. Otherwise every stream would begin with a run of half-known
// Programs.
type output struct {
	sink      ingest.Sink
	stats     *ingest.Stats
	program   *ingest.Program // as known now; owned by tables
	changed   bool            // since the sink was told
	delivered bool            // at least one sample

	gathering bool
	queue     []ingest.Sample // while gathering; their data are copies
	queued    int             // bytes
}

func (o *output) send(x ingest.Sample) {
	if !o.gathering {
		o.deliver(x)
		return
	}
	x.Data = bytes.Clone(x.Data)
	o.queue = append(o.queue, x)
	o.queued += len(x.Data)
	if complete(o.program) || o.queued >= gatherBytes || x.DTS-o.queue[0].DTS >= gatherTime {
		o.flush()
	}
}

// flush ends the gathering if there is anything to deliver.
func (o *output) flush() {
	if len(o.queue) == 0 {
		return
	}
	queue := o.queue
	o.gathering, o.queue, o.queued = false, nil, 0
	for _, x := range queue {
		o.deliver(x)
	}
}

func (o *output) deliver(x ingest.Sample) {
	if o.changed {
		o.changed = false
		o.sink.SetProgram(o.program.Clone())
	}
	o.delivered = true
	o.stats.Samples.Add(1)
	if x.Flags&ingest.Damaged != 0 {
		o.stats.DamagedSamples.Add(1)
	}
	if x.Flags&ingest.Discontinuity != 0 {
		o.stats.Discontinuities.Add(1)
	}
	o.stats.LastSample.Store(time.Now().UnixNano())
	o.sink.WriteSample(x)
}

// complete tells whether the parameters of all pictures and sound are known.
func complete(p *ingest.Program) bool {
	return !slices.ContainsFunc(p.Tracks, func(t ingest.Track) bool {
		return t.Codec.IsVideo() && t.Width == 0 || t.Codec.IsAudio() && t.SampleRate == 0
	})
}
