package hls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// A demuxer takes pieces of one container apart and gives what is in them to a Sink, whose samples are its own.
type demuxer interface {
	write(p piece) error
	restart() // the media clock of what follows is another
}

// container is the form of a piece. Neither playlists nor content types say it reliably, the first bytes do.
type container int

const (
	unknown container = iota
	transport
	fragments
	packed
	captions
	page
)

func containerOf(b []byte) container {
	switch {
	case len(b) == 0:
		return unknown
	case b[0] == 0x47:
		return transport
	case len(b) >= 8 && isBox(string(b[4:8])):
		return fragments
	case bytes.HasPrefix(b, []byte("ID3")), soundOf(b) != ingest.Data:
		return packed
	case bytes.HasPrefix(b, []byte("WEBVTT")):
		return captions
	case bytes.HasPrefix(bytes.TrimSpace(b[:min(len(b), 64)]), []byte("<")):
		return page
	case bytes.IndexByte(b[:min(len(b), 4096)], 0x47) >= 0: // TS that does not begin with a packet
		return transport
	}
	return unknown
}

func isBox(name string) bool {
	switch name {
	case "ftyp", "styp", "moof", "moov", "sidx", "emsg", "prft", "free", "mdat", "uuid":
		return true
	}
	return false
}

// soundOf tells which codec packed audio begins with (RFC 8216, 3.4); Data if it is none.
func soundOf(b []byte) ingest.Codec {
	switch {
	case len(b) < 6:
	case b[0] == 0xff && b[1]&0xf6 == 0xf0:
		return ingest.AAC
	case b[0] == 0xff && b[1]&0xe0 == 0xe0 && b[1]&6 != 0:
		return ingest.MPEGAudio
	case b[0] == 0x0b && b[1] == 0x77 && b[5]>>3 > 10:
		return ingest.EAC3
	case b[0] == 0x0b && b[1] == 0x77:
		return ingest.AC3
	}
	return ingest.Data
}

// newDemuxer makes the demuxer of a container.
func newDemuxer(p *Pull, c container, sink ingest.Sink) (demuxer, error) {
	switch c {
	case transport:
		return &tsDemuxer{newScanner(p, sink)}, nil
	case packed:
		return newPackedDemuxer(p, sink), nil
	case fragments:
		return &mp4Demuxer{sink: sink, stats: p.stats, log: p.log}, nil
	case captions:
		return nil, errors.New("these are captions, not pictures or sound")
	case page:
		return nil, errors.New("a web page came instead of a segment")
	}
	return nil, errors.New("this is neither MPEG-TS nor fMP4 nor packed audio")
}

func newScanner(p *Pull, sink ingest.Sink) *ts.Scanner {
	return ts.NewScanner(ts.Config{Sink: sink, Stats: p.stats, Program: p.cfg.Program, Service: p.cfg.Service, Logger: p.log})
}

// tsDemuxer takes MPEG-TS. Segments hold whole frames, and their counters need not go on: each is flushed at its end. Parts of segments do go on.
type tsDemuxer struct{ scanner *ts.Scanner }

func (d *tsDemuxer) write(p piece) error {
	d.scanner.Write(p.data)
	if !p.whole {
		d.scanner.Idle()
		return nil
	}
	d.scanner.Flush()
	return d.scanner.Diagnose()
}

func (d *tsDemuxer) restart() { d.scanner.Rewind() }

// packedDemuxer takes sound in no container: ADTS, MPEG audio or Dolby frames behind an ID3 tag that says their time (RFC 8216, 3.4). It wraps each piece into
// one PES packet, since a Scanner can cut those into frames.
type packedDemuxer struct {
	scanner *ts.Scanner
	muxer   *ts.Muxer
	codec   ingest.Codec
	next    int64 // time of the next piece, if it does not say it
}

func newPackedDemuxer(p *Pull, sink ingest.Sink) *packedDemuxer {
	d := &packedDemuxer{scanner: newScanner(p, sink)}
	d.muxer = ts.NewMuxer(d.scanner)
	return d
}

func (d *packedDemuxer) write(p piece) error {
	at, b := stripID3(p.data)
	codec := soundOf(b)
	if codec == ingest.Data {
		return errors.New("there is no sound behind the ID3 tag that is understood")
	}
	if codec != d.codec {
		d.codec = codec
		if err := d.muxer.SetProgram(&ingest.Program{Tracks: []ingest.Track{{Codec: codec}}}); err != nil {
			return err
		}
	}
	if at < 0 {
		at = d.next
	}
	d.next = at + ticks(p.duration)
	if err := d.muxer.WriteSample(ingest.Sample{PTS: at, DTS: at, Flags: ingest.RandomAccess, Data: b}); err != nil {
		return fmt.Errorf("couldn't take packed audio: %w", err)
	}
	d.scanner.Flush()
	return d.scanner.Diagnose()
}

func (d *packedDemuxer) restart() { d.scanner.Rewind(); d.muxer.Discontinuity() }

// stripID3 takes tags off and finds the time they say, of 90 kHz; -1 if they do not.
func stripID3(b []byte) (at int64, rest []byte) {
	const owner = "com.apple.streaming.transportStreamTimestamp\x00"
	at = -1
	for len(b) >= 10 && bytes.HasPrefix(b, []byte("ID3")) {
		n := 10 + int(b[6]&127)<<21 + int(b[7]&127)<<14 + int(b[8]&127)<<7 + int(b[9]&127)
		if n > len(b) {
			return at, nil
		}
		if i := bytes.Index(b[:n], []byte(owner)); i >= 0 && n >= i+len(owner)+8 {
			at = int64(binary.BigEndian.Uint64(b[i+len(owner):]) & (1<<33 - 1))
		}
		b = b[n:]
	}
	return at, b
}
