package ts

import (
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"tailcast/ingest"
)

// Stream types (H.222.0, table 2-34; ATSC A/53 part 3; SCTE 35).
const (
	typeMPEG1Video      = 0x01
	typeMPEG2Video      = 0x02
	typeMPEG1Audio      = 0x03
	typeMPEG2Audio      = 0x04
	typePrivateSections = 0x05
	typePrivatePES      = 0x06
	typeAAC             = 0x0f
	typeLATM            = 0x11
	typeH264            = 0x1b
	typeH265            = 0x24
	typeAC3             = 0x81
	typeSCTE35          = 0x86
	typeEAC3            = 0x87
)

// Descriptors (H.222.0, 2.6; ETSI EN 300 468).
const (
	tagRegistration = 0x05
	tagCA           = 0x09
	tagLanguage     = 0x0a
	tagVBIData      = 0x45
	tagVBITeletext  = 0x46
	tagService      = 0x48
	tagShortEvent   = 0x4d
	tagLongEvent    = 0x4e
	tagTeletext     = 0x56
	tagSubtitling   = 0x59
	tagAC3          = 0x6a
	tagEAC3         = 0x7a
	tagExtension    = 0x7f
	extensionOpus   = 0x80
)

// Stream IDs of PES packets (H.222.0, table 2-22).
const (
	idPrivate1 = 0xbd
	idPadding  = 0xbe
	idPrivate2 = 0xbf
	idAudio    = 0xc0
	idVideo    = 0xe0
)

// identify fills in what the table says about a track. Its stream_id and whether it has sections are a guess until data come.
//
// AV1 and VP9 stay Data: no way to carry them in MPEG-TS is settled, so their bytes are passed on as they are, unread.
func identify(t *ingest.Track) {
	t.Codec = codecOfType(t.StreamType)
	eachDescriptor(t.Descriptors, func(tag byte, b []byte) { describe(t, tag, b) })
	switch {
	case t.Codec == ingest.Data:
		t.Sections = hasSections(t.StreamType)
	case t.Codec == ingest.Opus:
		t.SampleRate = opusRate
	}
	t.StreamID = defaultStreamID(t)
}

func codecOfType(streamType uint8) ingest.Codec {
	switch streamType {
	case typeMPEG1Video, typeMPEG2Video:
		return ingest.MPEG2Video
	case typeMPEG1Audio, typeMPEG2Audio:
		return ingest.MPEGAudio
	case typeAAC:
		return ingest.AAC
	case typeLATM:
		return ingest.AACLATM
	case typeH264:
		return ingest.H264
	case typeH265:
		return ingest.H265
	case typeAC3:
		return ingest.AC3
	case typeEAC3:
		return ingest.EAC3
	}
	return ingest.Data
}

// hasSections tells whether a stream type comes in sections: private ones, DSM-CC, metadata, splice information.
func hasSections(streamType uint8) bool {
	switch streamType {
	case typePrivateSections, 0x0a, 0x0b, 0x0c, 0x0d, 0x14, 0x16, typeSCTE35:
		return true
	}
	return false
}

// describe takes one descriptor. Private PES packets say only there what they carry.
func describe(t *ingest.Track, tag byte, b []byte) {
	private := t.StreamType == typePrivatePES
	switch {
	case tag == tagRegistration && private && len(b) >= 4:
		switch string(b[:4]) {
		case "Opus":
			t.Codec = ingest.Opus
		case "AC-3":
			t.Codec = ingest.AC3
		case "EAC3":
			t.Codec = ingest.EAC3
		case "HEVC":
			t.Codec = ingest.H265
		}
	case tag == tagAC3 && private:
		t.Codec = ingest.AC3
	case tag == tagEAC3 && private:
		t.Codec = ingest.EAC3
	case tag == tagExtension && private && len(b) >= 2 && b[0] == extensionOpus:
		var d substructs.OpusAudioDescriptor
		if d.Unmarshal(b[1:]) == nil {
			t.Channels = d.ChannelCount()
		}
	case tag == tagLanguage || tag == tagTeletext || tag == tagSubtitling:
		if t.Language == "" && len(b) >= 3 {
			t.Language = language(b[:3])
		}
	}
}

// language is an ISO 639-2 code in lower case, or nothing.
func language(b []byte) string {
	code := make([]byte, 0, 3)
	for _, c := range b {
		if c |= 0x20; c < 'a' || c > 'z' {
			return ""
		}
		code = append(code, c)
	}
	return string(code)
}

// eachDescriptor calls f for each whole descriptor of a loop.
func eachDescriptor(b []byte, f func(tag byte, body []byte)) {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		f(b[0], b[2:2+int(b[1])])
		b = b[2+int(b[1]):]
	}
}

func defaultStreamID(t *ingest.Track) uint8 {
	switch {
	case t.Sections:
		return 0
	case t.Codec.IsVideo():
		return idVideo
	case t.Codec == ingest.AAC || t.Codec == ingest.AACLATM || t.Codec == ingest.MPEGAudio:
		return idAudio
	}
	return idPrivate1
}
