package player

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"

	"tailcast/ingest"
)

// begin comes before each start: if the file's header would be another one from here, it begins another stream.
func (m *mp4) begin(dts int64) {
	file, known := m.file()
	header := marshalInit(file)
	if header == nil {
		return // parameters that have not come yet, or that cannot be written: requests wait
	}
	if m.stream != nil && bytes.Equal(header, m.header) {
		number(known) // a track may have taken the place of another
		return
	}
	m.finish()
	if !m.placed {
		m.origin, m.placed = dts-m.lead, true
	}
	m.open(header, known)
}

// number gives the tracks the IDs they have in the file.
func number(known []*mp4Track) {
	for i, t := range known {
		t.id = i + 1
	}
}

func (m *mp4) open(header []byte, known []*mp4Track) {
	for _, t := range m.order {
		t.id, t.pending, t.counting = 0, nil, false
	}
	number(known)
	var types []string
	for _, t := range known {
		types = append(types, t.name())
	}
	kind := "audio"
	if m.video {
		kind = "video"
	}
	m.header = header
	m.stream = m.make()
	m.stream.header = header
	m.stream.contentType = fmt.Sprintf("%s/mp4; codecs=%q", kind, strings.Join(types, ","))
	m.stream.omitted = list(m.omitted())
	m.stream.sounds = sounds(m.program)
	m.stream.captions = captionList(m.captions.Tracks())
	m.out.open(m.stream)
}

// incomplete tells whether some track may still become known.
func (m *mp4) incomplete() bool {
	for _, t := range m.order {
		if t.entry() == nil {
			return true
		}
	}
	return false
}

// file is the file's header as it would be now, with the tracks that are known, numbered from 1.
func (m *mp4) file() (file fmp4.Init, known []*mp4Track) {
	for _, t := range m.order {
		if entry := t.entry(); entry != nil {
			known = append(known, t)
			file.Tracks = append(file.Tracks, &fmp4.InitTrack{ID: len(known), TimeScale: uint32(t.clock()), Codec: entry})
		}
	}
	return file, known
}

// marshalInit returns nil if there are no tracks, or parameters that cannot be written.
func marshalInit(file fmp4.Init) []byte {
	var out seekablebuffer.Buffer
	if len(file.Tracks) == 0 || file.Marshal(&out) != nil {
		return nil
	}
	return out.Bytes()
}

func (m *mp4) omitted() []ingest.Track {
	var out []ingest.Track
	for _, t := range m.program.Tracks {
		if mt := m.tracks[t.ID%ingest.MaxTracks]; mt == nil || mt.id == 0 {
			out = append(out, t)
		}
	}
	return out
}

// sounds names the sound tracks of a program in the order in which audio= counts them: "aac;eng, ac3;deu".
func sounds(p *ingest.Program) string {
	var names []string
	for _, t := range p.Tracks {
		if t.Codec.IsAudio() {
			names = append(names, string(t.Codec)+";"+t.Language)
		}
	}
	return strings.Join(names, ", ")
}

// list names tracks for people: "h264, aac (eng)".
func list(tracks []ingest.Track) string {
	var names []string
	for _, t := range tracks {
		name := string(t.Codec)
		if t.Language != "" {
			name += " (" + t.Language + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
