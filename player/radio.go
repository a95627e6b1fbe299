package player

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tailcast/ingest"
)

// radioFormat makes a stream of ADTS frames (ISO/IEC 13818-7, 6.2) of the first AAC track: what internet radios play. It belongs to the
// pipeline's goroutine. Frames are as they came, so nothing is lost and nothing encoded.
type radioFormat struct {
	out  *outlet
	make func() *stream
	push func(s *stream, c chunk)

	stream  *stream
	track   int // Sample.Track; -1: none
	buffer  bytes.Buffer
	segment bool // no sound of the segment has come yet
	start   bool // the buffer begins with a start
}

func newRadioFormat(out *outlet, open func() *stream, push func(*stream, chunk)) format {
	return &radioFormat{out: out, make: open, push: push, track: -1}
}

func (f *radioFormat) setProgram(p *ingest.Program) {
	f.endOfBlock()
	f.track = -1
	for i := range p.Tracks {
		if p.Tracks[i].Codec == ingest.AAC {
			f.track = int(p.Tracks[i].ID)
			break
		}
	}
	if f.track < 0 {
		f.stream = nil
		f.out.refuse(refusal(fmt.Sprintf("/radio.aac carries AAC, and this channel has none (%s); ask for /live.ts instead", list(p.Tracks))))
		return
	}
	if f.stream == nil {
		f.stream = f.make()
		f.stream.contentType = "audio/aac"
		f.out.open(f.stream)
	}
}

func (f *radioFormat) segmentFirst() { f.segment = true }
func (f *radioFormat) section()      {}

func (f *radioFormat) writeSample(s *ingest.Sample) {
	if f.stream == nil || int(s.Track) != f.track || s.Flags&ingest.Damaged != 0 {
		return
	}
	if f.segment {
		f.endOfBlock()
		f.segment, f.start = false, true
	}
	f.buffer.Write(s.Data)
}

func (f *radioFormat) endOfBlock() {
	if f.buffer.Len() > 0 && f.stream != nil {
		f.push(f.stream, chunk{data: bytes.Clone(f.buffer.Bytes()), start: f.start})
		f.start = false
	}
	f.buffer.Reset()
}

func (f *radioFormat) close() { f.out.close() }

// icyEvery is how many bytes of sound lie between two pieces of metadata: a second or so.
const icyEvery = 16000

// radio serves /radio.aac. Who asks with Icy-MetaData: 1, as radios do, gets the channel's title between the frames: each icyEvery bytes a length
// (in units of 16 bytes) and StreamTitle='...'; padded with zeros, or a length of 0 if nothing has changed.
func (s *Server) radio(w http.ResponseWriter, r *http.Request) {
	title := func() string {
		name, _ := s.title()
		return oneLine(name)
	}
	w.Header().Set("icy-name", title())
	if r.Header.Get("Icy-MetaData") == "1" {
		w.Header().Set("icy-metaint", strconv.Itoa(icyEvery))
		w = &icyWriter{ResponseWriter: w, title: title, left: icyEvery}
	}
	live{s, "aac", s.aac, newRadioFormat}.ServeHTTP(w, r)
}

// An icyWriter puts metadata into what is written.
type icyWriter struct {
	http.ResponseWriter
	title func() string
	left  int // bytes to the next metadata
	said  string
	code  int
}

// Unwrap is for http.ResponseController.
func (i *icyWriter) Unwrap() http.ResponseWriter { return i.ResponseWriter }

func (i *icyWriter) WriteHeader(code int) {
	if i.code = code; code != http.StatusOK {
		i.Header().Del("icy-metaint")
	}
	i.ResponseWriter.WriteHeader(code)
}

func (i *icyWriter) Write(b []byte) (n int, err error) {
	if i.code != 0 && i.code != http.StatusOK { // an error's text
		return i.ResponseWriter.Write(b)
	}
	for len(b) > 0 {
		k := min(len(b), i.left)
		m, err := i.ResponseWriter.Write(b[:k])
		n += m
		if err != nil {
			return n, err
		}
		b, i.left = b[k:], i.left-k
		if i.left == 0 {
			if _, err := i.ResponseWriter.Write(i.metadata()); err != nil {
				return n, err
			}
			i.left = icyEvery
		}
	}
	return n, nil
}

func (i *icyWriter) metadata() []byte {
	title := i.title()
	if title == i.said || title == "" {
		return []byte{0}
	}
	i.said = title
	text := "StreamTitle='" + strings.ReplaceAll(title, "'", "’") + "';"
	text = text[:min(len(text), 255*16)]
	blocks := (len(text) + 15) / 16
	out := make([]byte, 1+16*blocks)
	out[0] = byte(blocks)
	copy(out[1:], text)
	return out
}
