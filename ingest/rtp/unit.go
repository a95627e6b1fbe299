package rtp

import (
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// unit is one sample before it has its place on the program's clock: its times are ticks of the track's RTP clock, unwrapped.
type unit struct {
	pts, dts int64
	flags    ingest.Flags
	guessed  bool // the decoding time is not what the encoder meant
	data     []byte
}

// depacketizer turns the RTP packets of one track into units. Its owner is the intake, which calls it for one packet at a time.
type depacketizer interface {
	// depacketize takes the next packet in sequence, at the unwrapped time of its timestamp; gap says that packets before it are
	// missing. It hands every unit that is complete to emit, in decoding order; a unit's data is valid during that call. The
	// error says what was wrong with the packet; what could be saved has been emitted.
	depacketize(p *rtp.Packet, at int64, gap bool, emit func(unit)) error
	// describe fills in what is known of the track: Config and the picture's or the sound's properties.
	describe(t *ingest.Track)
	// changed tells, once, that describe has more to say than before.
	changed() bool
	// flush emits what is still open: the stream has ended.
	flush(emit func(unit))
	// jumped forgets what was known of decoding times: the RTP clock does not continue.
	jumped()
}

// news is the changed method of every depacketizer.
type news struct{ fresh bool }

func (n *news) changed() bool {
	fresh := n.fresh
	n.fresh = false
	return fresh
}
