package es

import (
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"tailcast/ingest"
)

// ADTS is the form in which MPEG-TS has the AAC access units of one configuration: each behind a header (ISO/IEC 14496-3, 1.A.2.2).
// In RTP, RTMP and MP4 they travel bare.
type ADTS mpeg4audio.AudioSpecificConfig

// NewADTS checks that ADTS can say what c says: the object types 1 to 4, of which LC is the one that is used. SBR and PS are
// extensions that decoders of LC find by themselves.
func NewADTS(c *mpeg4audio.AudioSpecificConfig) (*ADTS, error) {
	a := (*ADTS)(c)
	if _, err := a.Append(nil, nil); err != nil {
		return nil, fmt.Errorf("aac of object type %d at %d Hz has no ADTS form: send AAC-LC", c.Type, c.SampleRate)
	}
	return a, nil
}

const maxADTS = 1<<13 - 1 // bytes of a frame, header included

// Append appends an access unit with its header to dst.
func (a *ADTS) Append(dst, au []byte) ([]byte, error) {
	if len(au)+7 > maxADTS {
		return dst, errors.New("aac access unit is too large for ADTS")
	}
	out, err := mpeg4audio.ADTSPackets{{
		Type: a.Type, SampleRate: a.SampleRate, ChannelConfig: a.ChannelConfig, AU: au,
	}}.Marshal()
	return append(dst, out...), err
}

// Samples is the number of samples of an access unit.
func (a *ADTS) Samples() int64 {
	if a.FrameLengthFlag {
		return 960
	}
	return 1024
}

// Describe fills in what the configuration tells of a track.
func (a *ADTS) Describe(t *ingest.Track) {
	t.Config, _ = mpeg4audio.AudioSpecificConfig(*a).Marshal()
	t.SampleRate, t.Channels = a.SampleRate, int(a.ChannelConfig)
	if a.ChannelConfig == 7 {
		t.Channels = 8
	}
}
