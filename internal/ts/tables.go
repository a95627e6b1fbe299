package ts

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"tailcast/ingest"
)

// PIDs and table ids (H.222.0, 2.4.4; ETSI EN 300 468, 5.1).
const (
	patPID   = 0x0000
	sdtPID   = 0x0011
	eitPID   = 0x0012
	firstPID = 0x0010 // those below are reserved
	tablePAT = 0x00
	tablePMT = 0x02
	tableSDT = 0x42
	tableEIT = 0x4e // present and following, of this stream
)

// maxNames bounds the service names that are remembered until the program is known.
const maxNames = 1024

// tables is what the tables have told about the stream and the program taken from it.
type tables struct {
	wanted uint16            // 0: any, or not known yet
	called string            // name of the service that is wanted; empty: any
	listed []uint16          // the programs of the newest PAT section, to tell what there is
	names  map[uint16]string // of services, by program number
	pmt    []byte            // newest section that was taken
	pmtPID uint16            // 0 until a program was chosen
	pcrPID uint16
	guide  guide

	program ingest.Program
	streams []*elementary // in the order of program.Tracks
	video   bool          // the program has pictures
}

// table takes a section of one of the tables.
func (s *Scanner) table(pid uint16, x []byte) {
	if len(x) < 12 || x[1]&0x80 == 0 || x[5]&1 == 0 { // not with a long header, or not current
		return
	}
	take := s.associations
	switch t := &s.tables; {
	case pid == patPID && x[0] == tablePAT:
	case pid == t.pmtPID && x[0] == tablePMT && be16(x[3:]) == t.program.Number:
		take = s.streams
	case pid == sdtPID && x[0] == tableSDT:
		take = s.services
	case pid == eitPID && x[0] == tableEIT && be16(x[3:]) == t.program.Number:
		take = s.events
	default:
		return
	}
	if crc(x) == 0 {
		take(x)
	}
}

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// associations takes a section of the PAT: which programs there are, and on which PID each has its PMT.
func (s *Scanner) associations(x []byte) {
	t := &s.tables
	t.listed = t.listed[:0]
	number, pid := uint16(0), uint16(0)
	for b := x[8 : len(x)-4]; len(b) >= 4; b = b[4:] {
		n, p := be16(b), be16(b[2:])&0x1fff
		if n == 0 || p < firstPID || p == sdtPID || p == nullPID {
			continue // the network's own table, or nonsense
		}
		t.listed = append(t.listed, n)
		if n == t.wanted || t.wanted == 0 && t.called == "" && (number == 0 || n == t.program.Number) {
			number, pid = n, p
		}
	}
	alone := x[6] == 0 && x[7] == 0 // not one of several sections
	known := t.pmtPID != 0
	if number == 0 || number == t.program.Number && pid == t.pmtPID || known && !alone && number != t.program.Number {
		return
	}
	s.choose(number, pid)
}

// choose takes another program, or the same whose PMT has moved.
func (s *Scanner) choose(number, pmtPID uint16) {
	t := &s.tables
	if t.pmtPID != 0 {
		s.pids[t.pmtPID] = nil
	}
	next := t.program
	if next.Number != number {
		next = ingest.Program{Number: number, Name: t.names[number]}
		t.pcrPID, t.guide = nullPID, guide{}
	}
	next.PMTPID = pmtPID
	s.replace(next)
	t.pmtPID, t.pmt = pmtPID, nil
	s.pids[pmtPID] = &pid{number: pmtPID}
}

// streams takes a PMT: the streams of the program.
func (s *Scanner) streams(x []byte) {
	t := &s.tables
	if bytes.Equal(x, t.pmt) || len(x) < 16 {
		return
	}
	pmt := bytes.Clone(x)
	body := pmt[8 : len(pmt)-4]
	info := 4 + int(be16(body[2:])&0xfff)
	if info > len(body) {
		return
	}
	next := t.program
	next.PCRPID, next.Descriptors = be16(body)&0x1fff, slices.Clip(body[4:info])
	next.Tracks = t.tracks(body[info:])
	t.pmt, t.pcrPID = pmt, next.PCRPID
	s.replace(next)
	s.log.Info("program", "number", next.Number, "name", next.Name, "tracks", codecs(next.Tracks))
}

// tracks reads the loop of streams in a PMT.
func (t *tables) tracks(b []byte) (tracks []ingest.Track) {
	taken := map[uint16]bool{t.pmtPID: true, sdtPID: true, nullPID: true}
	for len(b) >= 5 && len(b) >= 5+int(be16(b[3:])&0xfff) && len(tracks) < ingest.MaxTracks {
		n := 5 + int(be16(b[3:])&0xfff)
		track := ingest.Track{StreamType: b[0], PID: be16(b[1:]) & 0x1fff, Descriptors: slices.Clip(b[5:n])}
		b = b[n:]
		if !taken[track.PID] && track.PID >= firstPID {
			taken[track.PID] = true
			identify(&track)
			tracks = append(tracks, track)
		}
	}
	return tracks
}

// replace makes next the program. A stream that was there before goes on as it was; one that is gone is ended first, so that its
// last samples belong to the old program.
func (s *Scanner) replace(next ingest.Program) {
	t := &s.tables
	kept := make(map[uint16]*elementary)
	var used [ingest.MaxTracks]bool
	for _, es := range t.streams {
		if i := slices.IndexFunc(next.Tracks, es.isSame); i >= 0 {
			kept[es.pid] = es
			used[es.track.ID] = true
			continue
		}
		s.endPES(es)
		s.endSplit(es)
		if p := s.pids[es.pid]; p != nil && p.es == es {
			s.pids[es.pid] = nil
		}
	}
	s.out.flush()

	old := t.program
	t.program, t.streams, t.video = next, nil, false
	for i := range t.program.Tracks {
		track := &t.program.Tracks[i]
		t.video = t.video || track.Codec.IsVideo()
		es := kept[track.PID]
		if es == nil {
			track.ID = uint8(slices.Index(used[:], false))
			used[track.ID] = true
			es = newElementary(track)
			s.pids[es.pid] = &pid{number: es.pid, es: es}
		} else {
			descriptors, lang := track.Descriptors, track.Language
			*track = *es.track
			track.Descriptors, track.Language = descriptors, lang
			es.track = track
		}
		t.streams = append(t.streams, es)
	}
	s.out.changed = s.out.changed || !reflect.DeepEqual(old, t.program)
}

func newElementary(t *ingest.Track) *elementary {
	return &elementary{
		pid: t.PID, track: t, frames: newFramer(t), video: t.Codec.IsVideo(),
		sections: t.Sections, settled: t.Codec != ingest.Data,
	}
}

// isSame tells whether a track of a new PMT is this stream.
func (es *elementary) isSame(t ingest.Track) bool {
	return t.PID == es.pid && t.StreamType == es.track.StreamType && t.Codec == es.track.Codec
}

// services takes a section of the SDT: names of programs.
func (s *Scanner) services(x []byte) {
	t := &s.tables
	for b := x[min(11, len(x)-4) : len(x)-4]; len(b) >= 5; {
		n := 5 + int(be16(b[3:])&0xfff)
		if n > len(b) {
			break
		}
		number := be16(b)
		eachDescriptor(b[5:n], func(tag byte, d []byte) {
			if name, ok := serviceName(tag, d); ok && len(t.names) < maxNames {
				t.names[number] = name
				if t.called != "" && strings.EqualFold(name, t.called) {
					t.wanted = number // the next PAT says where it is
				}
			}
		})
		b = b[n:]
	}
	if name, ok := t.names[t.program.Number]; ok && t.pmtPID != 0 && name != t.program.Name {
		t.program.Name, s.out.changed = name, true
	}
}

// serviceName reads a service descriptor (ETSI EN 300 468, 6.2.35): type, provider, name.
func serviceName(tag byte, d []byte) (string, bool) {
	if tag != tagService || len(d) < 2 {
		return "", false
	}
	_, rest := counted(d[1:])
	name, _ := counted(rest)
	return text(name), len(rest) > 0
}

func codecs(tracks []ingest.Track) (names []string) {
	for _, t := range tracks {
		names = append(names, string(t.Codec))
	}
	return names
}
