package rtp

import (
	"errors"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpac3"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpfragmented"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpklv"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmpeg1audio"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmpeg1video"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpvp9"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// frames makes units of the codecs that gortsplib hands out in whole frames, one or several a packet: all but H.264 and H.265. The parts that differ
// are functions; open is called again after a loss, which rids the decoder of what it had begun.
type frames struct {
	news
	open func() (func(*rtp.Packet) ([][]byte, error), error)
	// length is the duration of a frame as a fraction of the RTP clock; nil if a packet never holds more than one.
	length func(frame []byte) (ticks, rate int64)
	rate   int // of the RTP clock
	// wrap appends the frame in the form of MPEG-TS to dst; nil if that is the frame itself.
	wrap func(dst, frame []byte) ([]byte, error)
	// inspect looks at every frame before it is emitted, for describe and for the flags; nil if there is nothing to see.
	inspect func(frame []byte) ingest.Flags
	about   func(t *ingest.Track)
	// clock derives decoding times; nil if frames are decoded in the order in which they are presented. closed then tells of the
	// frame that was inspected whether none after it is presented before it.
	clock  *decodeClock
	closed func() bool

	decode  func(*rtp.Packet) ([][]byte, error)
	pending int    // bytes that decode may have kept
	buf     []byte // reused for every unit
}

// maxPending bounds what a decoder may collect for one frame: not all bound it themselves.
const maxPending = 4 << 20

func (f *frames) describe(t *ingest.Track) { f.about(t) }

func (f *frames) flush(func(unit)) {}

// jumped implements depacketizer.
func (f *frames) jumped() {
	if f.clock != nil {
		depth, frame := f.clock.depth, f.clock.frame
		*f.clock = decodeClock{}
		f.clock.reset(depth, frame)
	}
}

// depacketize implements depacketizer.
func (f *frames) depacketize(p *rtp.Packet, at int64, gap bool, emit func(unit)) error {
	if f.decode == nil || gap || f.pending > maxPending {
		decode, err := f.open()
		if err != nil {
			return err
		}
		f.decode, f.pending = decode, 0
	}
	list, err := f.decode(p)
	f.pending += len(p.Payload)
	if incomplete(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.pending = 0
	var offset, rest int64 // of the frame behind the packet's timestamp: offset ticks and rest parts of one
	for _, frame := range list {
		if err := f.emit(frame, at+offset, emit); err != nil {
			return err
		}
		if f.length != nil {
			n, rate := f.length(frame)
			rest += n * int64(f.rate)
			offset, rest = offset+rest/rate, rest%rate
		}
	}
	return nil
}

func (f *frames) emit(frame []byte, at int64, emit func(unit)) error {
	u := unit{pts: at, dts: at, data: frame}
	if f.inspect != nil {
		u.flags = f.inspect(frame)
	}
	if f.clock != nil && len(frame) > 0 {
		u.pts, u.dts, u.guessed = f.clock.next(nil, at, f.closed(), u.flags&ingest.RandomAccess != 0)
	}
	if f.wrap != nil {
		var err error
		if f.buf, err = f.wrap(f.buf[:0], frame); err != nil {
			return err
		}
		u.data = f.buf
	}
	if len(u.data) > 0 {
		emit(u)
	}
	return nil
}

// incomplete says that a frame goes on in the next packet, or that we joined within one: no trouble.
func incomplete(err error) bool {
	for _, harmless := range []error{
		rtpmpeg4audio.ErrMorePacketsNeeded, rtpfragmented.ErrMorePacketsNeeded,
		rtpmpeg1audio.ErrMorePacketsNeeded, rtpmpeg1audio.ErrNonStartingPacketAndNoPrevious,
		rtpac3.ErrMorePacketsNeeded, rtpac3.ErrNonStartingPacketAndNoPrevious,
		rtpav1.ErrMorePacketsNeeded, rtpav1.ErrNonStartingPacketAndNoPrevious,
		rtpvp9.ErrMorePacketsNeeded, rtpvp9.ErrNonStartingPacketAndNoPrevious,
		rtpklv.ErrMorePacketsNeeded, rtpklv.ErrNonStartingPacketAndNoPrevious,
		rtpmpeg1video.ErrMorePacketsNeeded, rtpmpeg1video.ErrNonStartingPacketAndNoPrevious,
	} {
		if errors.Is(err, harmless) {
			return true
		}
	}
	return false
}
