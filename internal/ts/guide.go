package ts

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"tailcast/ingest"
)

// guide is what the EIT says of the program (ETSI EN 300 468, 5.2.4): a section of what is on, one of what follows. Its
// schedule for the days to come is in other tables, which are passed over.
//
//	... | section_number | ... (6) | event: id (2) | start (5) | duration (3) | status, length (2) | descriptors | CRC
type guide struct {
	sections [2][]byte // as taken last
	events   [2]*ingest.Event
}

// events takes a section of the EIT.
func (s *Scanner) events(x []byte) {
	g, i := &s.tables.guide, int(x[6])
	if s.tables.pmtPID == 0 || i >= len(g.sections) || bytes.Equal(x, g.sections[i]) {
		return
	}
	g.sections[i] = bytes.Clone(x)
	g.events[i] = parseEvent(x[min(14, len(x)-4) : len(x)-4])
	list := g.list()
	if !slices.Equal(list, s.tables.program.Events) {
		s.tables.program.Events, s.out.changed = list, true
	}
}

// list is what both sections say. Where a broadcast begins, its section changes before the other.
func (g *guide) list() (list []ingest.Event) {
	for _, e := range g.events {
		if e != nil && (len(list) == 0 || e.Start.After(list[0].Start)) {
			list = append(list, *e)
		}
	}
	return list
}

// parseEvent reads the first event of b; nil if there is none, or none whose time is known.
func parseEvent(b []byte) *ingest.Event {
	if len(b) < 12 {
		return nil
	}
	e := &ingest.Event{}
	seconds, ok := clockTime(b[4:7])
	if !ok {
		return nil
	}
	const unixEpoch = 40587 // as a modified Julian date
	e.Start = time.Unix((int64(be16(b[2:]))-unixEpoch)*86400, 0).UTC().Add(seconds)
	e.Duration, _ = clockTime(b[7:10])
	describeEvent(e, b[12:min(12+int(be16(b[10:])&0xfff), len(b))])
	return e
}

// describeEvent reads the descriptors: the short one of the first language, and the long ones of the same, whose texts are parts of one.
func describeEvent(e *ingest.Event, descriptors []byte) {
	eachDescriptor(descriptors, func(tag byte, d []byte) {
		if tag == tagShortEvent && len(d) > 3 && e.Title == "" {
			title, rest := counted(d[3:])
			about, _ := counted(rest)
			e.Language, e.Title, e.Text = language(d[:3]), strings.TrimSpace(text(title)), text(about)
		}
	})
	long := ""
	eachDescriptor(descriptors, func(tag byte, d []byte) {
		if tag == tagLongEvent && len(d) > 4 && language(d[1:4]) == e.Language {
			_, rest := counted(d[4:]) // items, as of who plays whom
			part, _ := counted(rest)
			long += text(part)
		}
	})
	e.Text = strings.TrimSpace(e.Text + "\n" + long)
}

// counted splits a string with its length in front from what follows.
func counted(b []byte) (s, rest []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	n := min(1+int(b[0]), len(b))
	return b[1:n], b[n:]
}

// clockTime reads hours, minutes and seconds of two decimal digits each; all ones mean that it is not known.
func clockTime(b []byte) (d time.Duration, ok bool) {
	for _, c := range b[:3] {
		if c>>4 > 9 || c&15 > 9 {
			return 0, false
		}
		d = d*60 + time.Duration(c>>4)*10 + time.Duration(c&15)
	}
	return d * time.Second, true
}
