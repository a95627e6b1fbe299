package rtsp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"tailcast/ingest"
)

// AAC travels bare in RTP; in MPEG-TS each access unit has an ADTS header (ISO/IEC 14496-3, 1.A.2.2).

// adts is the form in which the units of one configuration are wrapped.
type adts mpeg4audio.AudioSpecificConfig

// newADTS checks that ADTS can say what c says: the object types 1 to 4, of which LC is the one that is used. SBR and PS are
// extensions that decoders of LC find by themselves.
func newADTS(c *mpeg4audio.AudioSpecificConfig) (*adts, error) {
	a := (*adts)(c)
	if _, err := a.wrap(nil, nil); err != nil {
		return nil, fmt.Errorf("aac of object type %d at %d Hz has no ADTS form: send AAC-LC", c.Type, c.SampleRate)
	}
	return a, nil
}

const maxADTS = 1<<13 - 1 // bytes of a frame, header included

func (a *adts) wrap(dst, au []byte) ([]byte, error) {
	if len(au)+7 > maxADTS {
		return dst, errors.New("aac access unit is too large for ADTS")
	}
	out, err := mpeg4audio.ADTSPackets{{
		Type: a.Type, SampleRate: a.SampleRate, ChannelConfig: a.ChannelConfig, AU: au,
	}}.Marshal()
	return append(dst, out...), err
}

// samples is the number of samples of an access unit.
func (a *adts) samples() int64 {
	if a.FrameLengthFlag {
		return 960
	}
	return 1024
}

func (a *adts) about(t *ingest.Track) {
	t.Config, _ = mpeg4audio.AudioSpecificConfig(*a).Marshal()
	t.SampleRate, t.Channels = a.SampleRate, int(a.ChannelConfig)
	if a.ChannelConfig == 7 {
		t.Channels = 8
	}
}

// newAAC takes mpeg4-generic in AAC-hbr mode (RFC 3640). The RTP clock is the SDP's: for HE-AAC it may be that of the doubled rate.
func newAAC(m *format.MPEG4Audio, clock int) (*frames, error) {
	if m.SizeLength > 16 || m.IndexLength > 8 || m.IndexDeltaLength > 8 {
		return nil, errors.New("aac with unusual lengths of the AU header fields") // RFC 3640, 3.3.6: 13, 3 and 3
	}
	a, err := newADTS(m.Config)
	if err != nil {
		return nil, err
	}
	f := &frames{rate: clock, wrap: a.wrap, about: a.about}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := m.CreateDecoder()
		return d.Decode, err
	}
	f.length = func([]byte) (int64, int64) { return a.samples(), int64(a.SampleRate) }
	return f, nil
}

// newLATM takes MP4A-LATM (RFC 6416), whose configuration is in the SDP or in the stream, and unwraps it.
func newLATM(m *format.MPEG4AudioLATM, clock int) (*frames, error) {
	l := &latm{mux: m.StreamMuxConfig, inBand: m.CPresent}
	f := &frames{rate: clock}
	if l.mux != nil {
		if err := l.configure(); err != nil {
			return nil, err
		}
	}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := m.CreateDecoder()
		whole := f.decode == nil // after a loss, what comes before the next marker is the end of a lost element
		return func(p *rtp.Packet) ([][]byte, error) {
			if !whole {
				whole = p.Marker
				return nil, nil
			}
			element, err := d.Decode(p)
			if err != nil {
				return nil, err
			}
			return l.units(element, &f.news)
		}, err
	}
	f.length = func([]byte) (int64, int64) { return l.adts.samples(), int64(l.adts.SampleRate) }
	f.wrap = func(dst, au []byte) ([]byte, error) { return l.adts.wrap(dst, au) }
	f.about = func(t *ingest.Track) {
		if l.adts != nil {
			l.adts.about(t)
		}
	}
	return f, nil
}

// latm takes access units out of AudioMuxElements (ISO/IEC 14496-3, 1.7.3).
type latm struct {
	inBand bool
	mux    *mpeg4audio.StreamMuxConfig // nil until known
	adts   *adts                       // of mux
}

func (l *latm) configure() (err error) {
	if len(l.mux.Programs) != 1 || len(l.mux.Programs[0].Layers) != 1 {
		return errors.New("latm with several programs or layers")
	}
	l.adts, err = newADTS(l.mux.Programs[0].Layers[0].AudioSpecificConfig)
	return err
}

func (l *latm) units(element []byte, n *news) (out [][]byte, err error) {
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: l.inBand, StreamMuxConfig: l.mux}
	if err := e.Unmarshal(element); err != nil {
		return nil, fmt.Errorf("latm: %w", err)
	}
	if e.StreamMuxConfig != l.mux {
		n.fresh = l.mux == nil
		l.mux = e.StreamMuxConfig
		if err := l.configure(); err != nil {
			l.mux = nil
			return nil, err
		}
	}
	for _, subframe := range e.Payloads {
		out = append(out, subframe[0][0])
	}
	return out, nil
}
