package rtp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// newAAC takes mpeg4-generic in AAC-hbr mode (RFC 3640). The RTP clock is the SDP's: for HE-AAC it may be that of the doubled rate.
func newAAC(m *format.MPEG4Audio, clock int) (*frames, error) {
	if m.SizeLength > 16 || m.IndexLength > 8 || m.IndexDeltaLength > 8 {
		return nil, errors.New("aac with unusual lengths of the AU header fields") // RFC 3640, 3.3.6: 13, 3 and 3
	}
	a, err := es.NewADTS(m.Config)
	if err != nil {
		return nil, err
	}
	f := &frames{rate: clock, wrap: a.Append, about: a.Describe}
	f.open = func() (func(*rtp.Packet) ([][]byte, error), error) {
		d, err := m.CreateDecoder()
		return d.Decode, err
	}
	f.length = func([]byte) (int64, int64) { return a.Samples(), int64(a.SampleRate) }
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
	f.length = func([]byte) (int64, int64) { return l.adts.Samples(), int64(l.adts.SampleRate) }
	f.wrap = func(dst, au []byte) ([]byte, error) { return l.adts.Append(dst, au) }
	f.about = func(t *ingest.Track) {
		if l.adts != nil {
			l.adts.Describe(t)
		}
	}
	return f, nil
}

// latm takes access units out of AudioMuxElements (ISO/IEC 14496-3, 1.7.3).
type latm struct {
	inBand bool
	mux    *mpeg4audio.StreamMuxConfig // nil until known
	adts   *es.ADTS                    // of mux
}

func (l *latm) configure() (err error) {
	if len(l.mux.Programs) != 1 || len(l.mux.Programs[0].Layers) != 1 {
		return errors.New("latm with several programs or layers")
	}
	l.adts, err = es.NewADTS(l.mux.Programs[0].Layers[0].AudioSpecificConfig)
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
