package player

import "tailcast/ingest"

// CodecNames are the codecs of what can be seen or heard of a program, as RFC 6381 spells them; of one whose parameters are not known from its
// track or from samples, what we call it.
func CodecNames(p *ingest.Program, samples []ingest.Sample) []string {
	names := []string{}
	for i := range p.Tracks {
		if t := &p.Tracks[i]; t.Codec != ingest.Data {
			names = append(names, codecName(t, samples))
		}
	}
	return names
}

func codecName(t *ingest.Track, samples []ingest.Sample) string {
	c := newCarrier(t)
	if c == nil {
		return string(t.Codec)
	}
	c.learn(t.Config)
	for i := range samples {
		if s := &samples[i]; c.entry() == nil && s.Track == t.ID {
			c.learn(s.Data)
		}
	}
	if c.entry() == nil {
		return string(t.Codec)
	}
	return c.name()
}

// likely are codes of what a catalog names otherwise, for who must have some before the first block: those that most encoders make.
var likely = map[string]string{
	string(ingest.H264): "avc1.64001f", string(ingest.H265): "hvc1.1.6.L93.B0", string(ingest.VP9): "vp09.00.31.08", string(ingest.AV1): "av01.0.05M.08",
	string(ingest.MPEG2Video): "mp4v.61", string(ingest.AAC): "mp4a.40.2", string(ingest.Opus): "opus", string(ingest.MPEGAudio): "mp4a.6b",
	string(ingest.AC3): "ac-3", string(ingest.EAC3): "ec-3",
}

// playlistCodecs are the codes of what HLS carries of a rendition, by its catalog: the first picture and the first sound.
func playlistCodecs(codecs []string) (names []string) {
	video, sound := false, false
	for _, c := range codecs {
		name := c
		if n, ok := likely[c]; ok {
			name = n
		}
		if seen := &sound; isVideo(c) {
			seen = &video
			if !*seen {
				names = append(names, name)
			}
			*seen = true
		} else if !*seen {
			names = append(names, name)
			*seen = true
		}
	}
	return names
}
