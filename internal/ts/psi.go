package ts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"

	"tailcast/ingest"
)

// psi holds the tables of a Muxer's program as sections.
type psi struct {
	pcrPID        uint16
	pat, pmt, sdt []byte // sdt is nil for a program without a name
}

// maxTable is the longest section of a table: its length has ten bits that count, less three (H.222.0, 2.4.4.9).
const maxTable = 3 + 1021

// set makes the tables of p. The version of one that differs from what it was goes up.
func (x *psi) set(p *ingest.Program) error {
	pcr := pcrPID(p)
	pmt := table(x.pmt, tablePMT, p.Number, pmtBody(p, pcr))
	if len(pmt) > maxTable {
		return fmt.Errorf("couldn't write the program's table: %d streams and their descriptors need %d bytes, %d are allowed",
			len(p.Tracks), len(pmt), maxTable)
	}
	x.pcrPID, x.pmt = pcr, pmt
	x.pat = table(x.pat, tablePAT, 1, []byte{byte(p.Number >> 8), byte(p.Number), 0xe0 | byte(p.PMTPID>>8), byte(p.PMTPID)})
	if x.sdt = nil; p.Name != "" {
		x.sdt = table(x.sdt, tableSDT, 1, sdtBody(p))
	}
	return nil
}

// table makes a section; old is the one it replaces, or nil.
func table(old []byte, id byte, extension uint16, body []byte) []byte {
	version := byte(0)
	if old != nil {
		version = old[5] >> 1 & 31
	}
	n := 5 + len(body) + 4
	x := []byte{id, 0xb0 | byte(n>>8), byte(n), byte(extension >> 8), byte(extension), 0xc1 | version<<1, 0, 0}
	x = append(x, body...)
	if old != nil && !bytes.Equal(x, old[:len(old)-4]) {
		x[5] = 0xc1 | (version+1)&31<<1
	}
	return binary.BigEndian.AppendUint32(x, crc(x))
}

// pmtBody is the program's PMT from the PCR PID on (H.222.0, 2.4.4.9).
func pmtBody(p *ingest.Program, pcr uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0xe000|pcr)
	b = appendLoop(b, p.Descriptors)
	for _, t := range p.Tracks {
		b = append(b, t.StreamType)
		b = binary.BigEndian.AppendUint16(b, 0xe000|t.PID)
		b = appendLoop(b, t.Descriptors)
	}
	return b
}

func appendLoop(b, descriptors []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, 0xf000|uint16(len(descriptors))), descriptors...)
}

// sdtBody is an SDT of one running service (ETSI EN 300 468, 5.2.3), from the original network on.
func sdtBody(p *ingest.Program) []byte {
	const network, running = 0xff01, 4
	kind := byte(2) // radio
	if slices.ContainsFunc(p.Tracks, func(t ingest.Track) bool { return t.Codec.IsVideo() }) {
		kind = 1
	}
	name := appendText(nil, p.Name)
	d := append([]byte{tagService, byte(3 + len(name)), kind, 0, byte(len(name))}, name...)
	b := binary.BigEndian.AppendUint16(nil, network)
	b = binary.BigEndian.AppendUint16(append(b, 0xff), p.Number)
	b = binary.BigEndian.AppendUint16(append(b, 0xfc), running<<13|uint16(len(d)))
	return append(b, d...)
}

// appendText writes a string of EN 300 468, annex A, of 200 bytes at most: ASCII as it is, all else as UTF-8.
func appendText(b []byte, s string) []byte {
	const longest = 200
	for len(s) > longest {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s != "" && (s[0] < 0x20 || bytes.ContainsFunc([]byte(s), func(r rune) bool { return r > 0x7e })) {
		b = append(b, 0x15)
	}
	return append(b, s...)
}

// pcrPID is the PID that carries the program's clock: the one it had, or that of its first picture, sound or other PES.
func pcrPID(p *ingest.Program) uint16 {
	if p.PCRPID >= firstPID && p.PCRPID < nullPID {
		return p.PCRPID
	}
	pid := p.PMTPID
	better := 0
	for _, t := range p.Tracks {
		rank := 1
		switch {
		case t.Codec.IsVideo():
			rank = 3
		case t.Codec.IsAudio():
			rank = 2
		}
		if rank > better {
			pid, better = t.PID, rank
		}
	}
	return pid
}

// complement chooses what p leaves open and checks the rest.
func complement(p *ingest.Program) error {
	if len(p.Tracks) > ingest.MaxTracks {
		return fmt.Errorf("couldn't carry %d tracks: %d are the most", len(p.Tracks), ingest.MaxTracks)
	}
	if p.Number == 0 {
		p.Number = 1
	}
	if p.PMTPID == 0 {
		p.PMTPID = 0x1000
	}
	if p.PMTPID < firstPID || p.PMTPID >= nullPID || p.PMTPID == sdtPID {
		return fmt.Errorf("couldn't put the program's table on PID %d: it is reserved", p.PMTPID)
	}
	taken := map[uint16]bool{sdtPID: true, p.PMTPID: true}
	var ids [ingest.MaxTracks]bool
	for i := range p.Tracks {
		t := &p.Tracks[i]
		if int(t.ID) >= len(ids) || ids[t.ID] {
			return fmt.Errorf("couldn't carry track %d: its number is taken or above %d", t.ID, len(ids)-1)
		}
		ids[t.ID] = true
		if err := complementTrack(t); err != nil {
			return err
		}
		if t.PID < firstPID || t.PID >= nullPID || taken[t.PID] {
			return fmt.Errorf("couldn't carry track %d: PID %d is taken or reserved", t.ID, t.PID)
		}
		taken[t.PID] = true
	}
	return nil
}

func complementTrack(t *ingest.Track) error {
	if t.PID == 0 {
		t.PID = 0x100 + uint16(t.ID)
	}
	streamType, ok := streamTypeOf(t.Codec)
	if !ok {
		return fmt.Errorf("%w: %s (track %d)", ErrCodec, t.Codec, t.ID)
	}
	if t.StreamType == 0 {
		t.StreamType = streamType
		t.Descriptors = append(t.Descriptors, descriptorsOf(t)...)
	}
	if t.StreamID == 0 {
		t.StreamID = defaultStreamID(t)
	}
	return nil
}

// streamTypeOf is the usual stream type of a codec, if there is one.
func streamTypeOf(c ingest.Codec) (uint8, bool) {
	switch c {
	case ingest.H264:
		return typeH264, true
	case ingest.H265:
		return typeH265, true
	case ingest.MPEG2Video:
		return typeMPEG2Video, true
	case ingest.AAC:
		return typeAAC, true
	case ingest.AACLATM:
		return typeLATM, true
	case ingest.MPEGAudio:
		return typeMPEG1Audio, true
	case ingest.AC3:
		return typeAC3, true
	case ingest.EAC3:
		return typeEAC3, true
	case ingest.Opus, ingest.Data:
		return typePrivatePES, true
	}
	return 0, false
}

// descriptorsOf is what the usual stream type needs beside it.
func descriptorsOf(t *ingest.Track) []byte {
	if t.Codec != ingest.Opus {
		return nil
	}
	return []byte{tagRegistration, 4, 'O', 'p', 'u', 's', tagExtension, 2, extensionOpus, byte(min(t.Channels, 8))}
}

// isTeletext tells whether a track carries teletext or other lines of the vertical blanking interval.
func isTeletext(t *ingest.Track) (yes bool) {
	eachDescriptor(t.Descriptors, func(tag byte, _ []byte) {
		yes = yes || tag == tagTeletext || tag == tagVBIData || tag == tagVBITeletext
	})
	return yes
}
