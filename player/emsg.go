package player

import (
	"encoding/binary"
	"strings"

	"tailcast/ingest"
	"tailcast/internal/captions"
)

// This file puts captions into /live.mp4. Browsers take no text in a MediaSource, but they pass over event messages (ISO/IEC 23009-1, 5.10.3.3),
// which the page reads on the way: so captions have the times of the pictures, live and in the past, and need no other connection.
//
//	emsg  version 1 · timescale 90000 u32 · time u64 · duration u32, unknown · id u32
//	      "urn:tailcast:captions" 0 · the track, as X-Tailcast-Captions has it 0 · text, from that time on; none: nothing is shown
const (
	emsgScheme  = "urn:tailcast:captions"
	emsgTime    = fullBoxHeader + 4 // where the time stands
	emsgUnknown = 0xffffffff
)

func emsg(id uint32, at int64, track, text string) []byte {
	b := make([]byte, emsgTime, 128)
	copy(b[4:], "emsg\x01")
	binary.BigEndian.PutUint32(b[fullBoxHeader:], ingest.ClockRate)
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, at)))
	b = binary.BigEndian.AppendUint32(b, emsgUnknown)
	b = binary.BigEndian.AppendUint32(b, id)
	b = append(b, emsgScheme+"\x00"+track+"\x00"+text...)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// listen looks for captions in a sample.
func (m *mp4) listen(s *ingest.Sample) {
	if m.captions == nil {
		return
	}
	if m.cut {
		m.captions.Section(s.PTS)
	}
	m.cut = false
	m.captions.Write(s)
}

// caption writes what a track shows from a time on.
func (m *mp4) caption(c captions.Change) {
	if m.stream == nil || m.lead == 0 {
		return // what is shown at a start comes with it; and of a file there is no page that reads it
	}
	m.stamps.times = append(m.stamps.times, stamp{m.buffer.Len() + emsgTime, ingest.ClockRate})
	m.captioned++
	m.buffer.Write(emsg(m.captioned, c.At-m.origin, captionEntry(c.Track), c.Text))
}

// captionsNow writes what is shown at a start, for who begins there.
func (m *mp4) captionsNow(at int64) {
	m.captions.Shown(func(c captions.Change) {
		c.At = at
		m.caption(c)
	})
}

// captionList names tracks of captions as X-Tailcast-Captions has them: "teletext-888-3;deu;impaired, cc-1;;".
func captionList(tracks []captions.Track) string {
	var names []string
	for _, t := range tracks {
		names = append(names, captionEntry(t))
	}
	return strings.Join(names, ", ")
}

func captionEntry(t captions.Track) string {
	impaired := ""
	if t.Impaired {
		impaired = "impaired"
	}
	return t.ID() + ";" + t.Language + ";" + impaired
}
