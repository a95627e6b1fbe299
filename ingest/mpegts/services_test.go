package mpegts

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"testing"

	"tailcast/ingest"
	"tailcast/segmenter"
)

// broadcast is a service as DVB and ATSC have them: pictures, sound in three languages, one for the blind, teletext, subtitles, splice
// information, metadata, and what nobody knows.
var broadcast = []ingest.Track{
	{Codec: ingest.H264, PID: 101, StreamType: 0x1b, StreamID: 0xe0, Descriptors: []byte{0x52, 1, 1}},
	{Codec: ingest.MPEGAudio, Language: "deu", PID: 102, StreamType: 3, StreamID: 0xc0, Descriptors: []byte{0x0a, 4, 'd', 'e', 'u', 0, 0x52, 1, 2}},
	{Codec: ingest.MPEGAudio, Language: "mis", PID: 103, StreamType: 3, StreamID: 0xc1, Descriptors: []byte{0x0a, 8, 'm', 'i', 's', 3, 'd', 'e', 'u', 3}},
	{Codec: ingest.AC3, Language: "fra", PID: 104, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x0a, 4, 'f', 'r', 'a', 0, 0x6a, 2, 0x80, 0x44}},
	{Codec: ingest.EAC3, Language: "eng", PID: 105, StreamType: 0x87, StreamID: 0xbd, Descriptors: []byte{0x05, 4, 'E', 'A', 'C', '3', 0x0a, 4, 'e', 'n', 'g', 0}},
	{Codec: ingest.AACLATM, Language: "ita", PID: 106, StreamType: 0x11, StreamID: 0xc2, Descriptors: []byte{0x0a, 4, 'i', 't', 'a', 0, 0x7c, 2, 0x2c, 0x00}},
	{Codec: ingest.Data, Language: "deu", PID: 107, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x56, 10, 'd', 'e', 'u', 9, 0, 'd', 'e', 'u', 0x11, 0x50}},
	{Codec: ingest.Data, Language: "swe", PID: 108, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x59, 8, 's', 'w', 'e', 0x14, 0, 1, 0, 1}},
	{Codec: ingest.Data, PID: 109, StreamType: 0x86, Sections: true, Descriptors: []byte{0x8a, 1, 2, 0x52, 1, 9}},
	{Codec: ingest.Data, PID: 110, StreamType: 0x15, StreamID: 0xfc, Descriptors: []byte{0x26, 9, 1, 0, 0xff, 'K', 'L', 'V', 'A', 0, 0x0f}},
	{Codec: ingest.Data, PID: 111, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x05, 4, 'K', 'L', 'V', 'A'}},
	{Codec: ingest.Data, PID: 112, StreamType: 5, Sections: true, Descriptors: []byte{0x6f, 3, 0xe1, 1, 0}}, // AIT
	{Codec: ingest.Data, PID: 113, StreamType: 0xc6, StreamID: 0xbf, Descriptors: []byte{0x5f, 4, 0, 0, 0, 0x28, 0x83, 0}},
}

// TestServices: everything of a broadcast comes out of the blocks as it came in, descriptors to the byte.
func TestServices(t *testing.T) {
	p := &ingest.Program{Number: 28106, PMTPID: 100, PCRPID: 101, Name: "Das Erste HD", Descriptors: []byte{0x09, 4, 0x18, 0x30, 0xe1, 0x23}, Tracks: broadcast}
	for i := range p.Tracks {
		p.Tracks[i].ID = uint8(i)
	}
	var in []ingest.Sample
	for at := int64(0); at < 2*ingest.ClockRate; at += 3600 {
		for _, track := range p.Tracks {
			in = append(in, ingest.Sample{Track: track.ID, PTS: at, DTS: at, Data: content(track, at)})
		}
	}
	parts := multiplexed(t, []part{{program: p, samples: in}})
	got := &taken{}
	viewer := segmenter.NewAssembler(got)
	cutter := segmenter.New(segmenter.Config{}, func(b segmenter.Block) error { return viewer.Write(b.Payload, b.SegmentFirst) })
	reader := &Reader{R: bytes.NewReader(bytes.Join(parts[0], nil))}
	if err := reader.Run(t.Context(), cutter); err != nil {
		t.Fatal(err)
	}
	if err := cutter.Close(); err != nil {
		t.Fatal(err)
	}
	bare := func(p ingest.Program) ingest.Program { // without what only the bytes of the samples tell
		p.Tracks = append([]ingest.Track(nil), p.Tracks...)
		for i := range p.Tracks {
			t := &p.Tracks[i]
			t.Config, t.SampleRate, t.Channels, t.Width, t.Height = nil, 0, 0, 0, 0
		}
		return p
	}
	if got, want := bare(*got.program), bare(*p); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	for _, s := range got.samples {
		if s.Flags&(ingest.Damaged|ingest.Discontinuity) != 0 {
			t.Errorf("a sample of track %d, PTS %d, has flags %b", s.Track, s.PTS, s.Flags)
		}
	}
	for _, track := range p.Tracks {
		a, b := bytesOf(in, track.ID), bytesOf(got.samples, track.ID)
		if !bytes.Equal(a, b) {
			t.Errorf("PID %d: got %d bytes, want %d, or they differ", track.PID, len(b), len(a))
		}
	}
}

func bytesOf(list []ingest.Sample, track uint8) (b []byte) {
	for _, s := range list {
		if s.Track == track {
			b = append(b, s.Data...)
		}
	}
	return b
}

// content is what a track may carry at a time.
func content(track ingest.Track, at int64) []byte {
	text := fmt.Sprintf("track %d at %d", track.ID, at)
	switch {
	case track.Codec == ingest.H264:
		return coded([]byte{0x65, 0x88}, int(at), 500)
	case track.Codec == ingest.MPEGAudio:
		return append([]byte{0xff, 0xfd, 0x14, 0x04}, make([]byte, 92)...) // layer II, 32 kbit/s, 48 kHz
	case track.Codec == ingest.AC3:
		return append([]byte{0x0b, 0x77, 0, 0, 0x00, 0x40, 0x43, 0}, make([]byte, 120)...)
	case track.Codec == ingest.EAC3:
		return append([]byte{0x0b, 0x77, 0, 0x31, 0x3f, 0x85, 0, 0}, make([]byte, 92)...)
	case track.Codec == ingest.AACLATM:
		return append([]byte{0x56, 0xe0, 0x14, 0x20, 0, 0x11, 0x90, 0xff}, make([]byte, 15)...)
	case track.Sections && track.StreamType == 5:
		return append([]byte{0x74, 0x30, byte(len(text))}, text...) // a short header, without a CRC
	case track.Sections:
		b, _ := base64.StdEncoding.DecodeString("/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=") // SCTE 35, 14.2: splice_insert
		return b
	}
	return []byte(text)
}
