package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"
	pionrtp "github.com/pion/rtp"
	"golang.org/x/sync/errgroup"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/mpegts"
	"tailcast/internal/command"
	"tailcast/internal/ts"
)

// The matrix goes on with what ffmpeg cannot make: teletext, subtitles, cue messages and other data beside pictures and sound. They
// are put into the transport stream by hand, and sent as they are by each source that carries one.

// services are such tracks, as DVB and ATSC have them.
var services = []ingest.Track{
	{Codec: ingest.Data, Language: "deu", PID: 0x1b0, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x56, 10, 'd', 'e', 'u', 9, 0, 'd', 'e', 'u', 0x11, 0x50}}, // teletext
	{Codec: ingest.Data, Language: "swe", PID: 0x1b1, StreamType: 6, StreamID: 0xbd, Descriptors: []byte{0x59, 8, 's', 'w', 'e', 0x14, 0, 1, 0, 1}},                 // DVB subtitles
	{Codec: ingest.Data, PID: 0x1b2, StreamType: 0x86, Sections: true, Descriptors: []byte{0x8a, 1, 2, 0x52, 1, 9}},                                                 // SCTE-35
	{Codec: ingest.Data, PID: 0x1b3, StreamType: 0x15, StreamID: 0xfc, Descriptors: []byte{0x26, 9, 1, 0, 0xff, 'K', 'L', 'V', 'A', 0, 0x0f}},                       // KLV with times
	{Codec: ingest.Data, PID: 0x1b4, StreamType: 5, Sections: true, Descriptors: []byte{0x6f, 3, 0xe1, 1, 0}},                                                       // AIT
	{Codec: ingest.Data, PID: 0x1b5, StreamType: 0xc6, StreamID: 0xbf, Descriptors: []byte{0x5f, 4, 0, 0, 0, 0x28, 0x83, 0}},                                        // nobody knows
}

// piece is what is sent at a time.
type piece struct {
	due  time.Duration
	data []byte
}

// broadcast are eight seconds of pictures and sound of ffmpeg with services beside each picture.
func broadcast(t *testing.T) (list []piece) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "film.ts")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=8", "-f", "lavfi", "-i",
		"sine=frequency=880:sample_rate=48000:duration=8", "-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p",
		"-c:a:0", "mp2", "-c:a:1", "ac3", "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng", file)
	film := scanned(t, file)
	p := film.Program(t).Clone()
	for i, track := range services {
		track.ID = uint8(32 + i)
		p.Tracks = append(p.Tracks, track)
	}
	var out bytes.Buffer
	m := ts.NewMuxer(&out)
	if err := m.SetProgram(p); err != nil {
		t.Fatal(err)
	}
	write := func(s ingest.Sample) {
		if err := m.WriteSample(s); err != nil {
			t.Fatal(err)
		}
	}
	lead, n := p.Lead().ID, int64(-1)
	for _, s := range film.All() {
		if s.Track == lead {
			if n++; out.Len() > 0 {
				list = append(list, piece{time.Duration(n) * 40 * time.Millisecond, bytes.Clone(out.Bytes())})
				out.Reset()
			}
		}
		write(s)
		if s.Track == lead {
			for _, track := range p.Tracks[len(p.Tracks)-len(services):] {
				write(ingest.Sample{Track: track.ID, PTS: s.DTS, DTS: s.DTS, Data: spoken(track, n)})
			}
		}
	}
	return append(list, piece{time.Duration(n+1) * 40 * time.Millisecond, out.Bytes()})
}

// spoken is what a track says beside picture n.
func spoken(track ingest.Track, n int64) []byte {
	text := fmt.Sprintf("PID %d, picture %d", track.PID, n)
	switch {
	case track.StreamType == 0x86:
		b, _ := base64.StdEncoding.DecodeString("/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=") // SCTE 35, 14.2: splice_insert
		binary.BigEndian.PutUint32(b[14:], uint32(n))                                                                   // splice_event_id: no two are alike
		return binary.BigEndian.AppendUint32(b[:len(b)-4], crcOf(b[:len(b)-4]))
	case track.Sections:
		return append([]byte{0x74, 0x30, byte(len(text))}, text...) // a short header, without a CRC
	}
	return []byte(text)
}

// crcOf is the CRC of sections (ISO/IEC 13818-1, Annex A).
func crcOf(b []byte) uint32 {
	crc := ^uint32(0)
	for _, x := range b {
		crc ^= uint32(x) << 24
		for range 8 {
			crc = crc<<1 ^ 0x04c11db7*(crc>>31)
		}
	}
	return crc
}

// scanned is what is in a file.
func scanned(t *testing.T, file string) *ingesttest.Record {
	t.Helper()
	r := ingesttest.NewRecord()
	if err := (&mpegts.File{Path: file, Speed: math.Inf(1)}).Run(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// sendPaced hands pieces on when they are due.
func sendPaced(t *testing.T, list []piece, to func(b []byte) error) {
	begin := time.Now()
	for _, p := range list {
		<-time.After(time.Until(begin.Add(p.due)))
		if err := to(p.data); err != nil {
			t.Errorf("couldn't send: %v", err)
			return
		}
	}
}

// inDatagrams cuts what it is given.
func inDatagrams(w io.Writer) func([]byte) error {
	return func(b []byte) error {
		for d := range slices.Chunk(b, 7*188) {
			if _, err := w.Write(d); err != nil {
				return err
			}
		}
		return nil
	}
}

// packed makes RTP packets of datagrams (RFC 2250).
type packed struct {
	io.Writer
	pionrtp.Header
}

func (p *packed) Write(b []byte) (int, error) {
	p.Version, p.PayloadType = 2, 33
	p.SequenceNumber++
	whole, err := (&pionrtp.Packet{Header: p.Header, Payload: b}).Marshal()
	if err != nil {
		return 0, err
	}
	return p.Writer.Write(whole)
}

// ways send a broadcast to a streamer of their own.
func ways(file string, list []piece) map[string]func(t *testing.T) (p *command.Process, send func()) {
	datagrams := func(scheme string, wrap func(net.Conn) io.Writer) func(*testing.T) (*command.Process, func()) {
		return func(t *testing.T) (*command.Process, func()) {
			addr := "127.0.0.1:" + freePort(t)
			p := streamer(t, scheme+"://"+addr)
			return p, func() {
				c, err := net.Dial("udp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				sendPaced(t, list, inDatagrams(wrap(c)))
			}
		}
	}
	return map[string]func(t *testing.T) (*command.Process, func()){
		"file": func(t *testing.T) (*command.Process, func()) {
			p := streamer(t, file)
			return p, func() { <-p.Done() }
		},
		"udp": datagrams("udp", func(c net.Conn) io.Writer { return c }),
		"rtp": datagrams("rtp", func(c net.Conn) io.Writer { return &packed{Writer: c} }),
		"srt push": func(t *testing.T) (*command.Process, func()) {
			p := streamer(t, "--rtsp", "", "--rtmp", "", "--whip", "", "--srt", "127.0.0.1:0")
			return p, func() {
				u, err := url.Parse(p.SRT)
				if err != nil {
					t.Fatal(err)
				}
				cfg := gosrt.DefaultConfig()
				cfg.StreamId = u.Query().Get("streamid")
				c, err := gosrt.Dial("srt", u.Host, cfg)
				if err != nil {
					t.Fatal(err)
				}
				sendPaced(t, list, inDatagrams(c))
				<-time.After(time.Second) // what is within the latency is lost when a caller hangs up
				c.Close()
			}
		},
		"srt pull": func(t *testing.T) (*command.Process, func()) {
			addr := "127.0.0.1:" + freePort(t)
			return streamer(t, "srt://"+addr+"?latency=500"), func() {
				c := called(t, addr)
				sendPaced(t, list, inDatagrams(c))
				<-time.After(time.Second) // what is within the latency, as with a push
				c.Close()
			}
		},
		"playout": func(t *testing.T) (*command.Process, func()) {
			p := streamer(t, recordings(t, list))
			return p, func() { <-p.Done() }
		},
		"http push": func(t *testing.T) (*command.Process, func()) {
			p := streamer(t, "--rtsp", "")
			return p, func() {
				r, w := io.Pipe()
				var sending sync.WaitGroup
				sending.Go(func() {
					defer w.Close()
					sendPaced(t, list, func(b []byte) error { _, err := w.Write(b); return err })
				})
				defer sending.Wait()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.HTTP+"/ingest", r)
				if err != nil {
					t.Fatal(err)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			}
		},
		"http pull": func(t *testing.T) (*command.Process, func()) {
			sent := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-sent:
					http.NotFound(w, r)
					return
				default:
				}
				w.Header().Set("Content-Type", "video/mp2t")
				sendPaced(t, list, func(b []byte) error { _, err := flushing{w}.Write(b); return err })
				close(sent)
			}))
			t.Cleanup(s.Close)
			return streamer(t, s.URL+"/live.ts"), func() { <-sent }
		},
		"hls": func(t *testing.T) (*command.Process, func()) {
			segments := slices.Collect(slices.Chunk(list, 25))
			var begin atomic.Int64 // in ns; 0: not yet
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if begin.Load() == 0 {
					http.NotFound(w, r)
					return
				}
				var n int
				if _, err := fmt.Sscanf(r.URL.Path, "/%d.ts", &n); err == nil && n < len(segments) {
					for _, p := range segments[n] {
						_, _ = w.Write(p.data) // who hangs up will ask again
					}
					return
				}
				there := min(4+int(time.Since(time.Unix(0, begin.Load()))/time.Second), len(segments))
				_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n")
				for i := range there {
					fmt.Fprintf(w, "#EXTINF:1,\n%d.ts\n", i)
				}
				if there == len(segments) {
					_, _ = io.WriteString(w, "#EXT-X-ENDLIST\n")
				}
			}))
			t.Cleanup(s.Close)
			p := streamer(t, s.URL+"/live.m3u8")
			return p, func() {
				begin.Store(time.Now().UnixNano())
				<-p.Done()
			}
		},
	}
}

// called is the connection of the first who calls addr, as an encoder in listener mode takes it.
func called(t *testing.T, addr string) gosrt.Conn {
	t.Helper()
	l, err := gosrt.Listen("srt", addr, gosrt.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	req, err := l.Accept2()
	if err != nil {
		t.Fatal(err)
	}
	c, err := req.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recordings is a list of files, of two seconds of the broadcast each. They know nothing of one another: playout joins them.
func recordings(t *testing.T, list []piece) string {
	t.Helper()
	dir, names := t.TempDir(), ""
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pieces := range slices.Chunk(list, 50) {
		var b []byte
		for _, p := range pieces {
			b = append(b, p.data...)
		}
		name := fmt.Sprintf("from %v.ts", pieces[0].due)
		write(name, b)
		names += name + "\n"
	}
	write("list.m3u", []byte(names))
	return filepath.Join(dir, "list.m3u")
}

// TestMatrixOfServices: by each of them, all tracks reach a viewer with their descriptors to the byte, and each unit with its bytes and at its time.
func TestMatrixOfServices(t *testing.T) {
	need(t, "ffmpeg")
	list := broadcast(t)
	file := filepath.Join(t.TempDir(), "sent.ts")
	var whole []byte
	for _, p := range list {
		whole = append(whole, p.data...)
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	sent := scanned(t, file)
	checkSent(t, sent)
	var cells errgroup.Group
	cells.SetLimit(atOnce)
	for name, open := range ways(file, list) {
		cells.Go(func() error {
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { checkServices(t, sent, open) })
			return nil
		})
	}
	_ = cells.Wait()
}

// checkSent: what the cells are compared with is what was meant, and not what our own multiplexer and demultiplexer agree on.
func checkSent(t *testing.T, sent *ingesttest.Record) {
	t.Helper()
	p := sent.Program(t)
	pictures := sent.Of(p.Lead().ID)
	for _, w := range services {
		g := trackOf(t, p, w.PID)
		if !sameTrack(g, &w) {
			t.Errorf("PID %d is sent as %+v, want %+v", w.PID, *g, w)
		}
		list := sent.Of(g.ID)
		if len(list) != len(pictures) {
			t.Fatalf("PID %d: %d samples are sent beside %d pictures", w.PID, len(list), len(pictures))
		}
		for i, s := range list {
			off := s.PTS - pictures[i].DTS
			if !bytes.Equal(s.Data, spoken(w, int64(i))) || s.Flags&ingest.Damaged != 0 || max(off, -off) > untimed(&w) {
				t.Fatalf("PID %d: number %d is sent as %q with flags %b, %d ticks after its picture", w.PID, i, s.Data, s.Flags, off)
			}
		}
	}
}

func trackOf(t *testing.T, p *ingest.Program, pid uint16) *ingest.Track {
	t.Helper()
	for i := range p.Tracks {
		if p.Tracks[i].PID == pid {
			return &p.Tracks[i]
		}
	}
	t.Fatalf("there is no PID %d in %+v", pid, p.Tracks)
	return nil
}

func sameTrack(a, b *ingest.Track) bool {
	return a.Codec == b.Codec && a.StreamType == b.StreamType && a.StreamID == b.StreamID && a.Sections == b.Sections && a.Language == b.Language && bytes.Equal(a.Descriptors, b.Descriptors)
}

func checkServices(t *testing.T, sent *ingesttest.Record, open func(*testing.T) (*command.Process, func())) {
	out := filepath.Join(t.TempDir(), "seen.ts")
	s, send := open(t)
	viewed(t, s, send, out)
	seen := scanned(t, out)
	have, want := seen.Program(t), sent.Program(t)
	if len(have.Tracks) != len(want.Tracks) {
		t.Fatalf("%d tracks came of %d", len(have.Tracks), len(want.Tracks))
	}
	shift, known := int64(0), false
	for _, w := range want.Tracks {
		g, what := trackOf(t, have, w.PID), fmt.Sprintf("PID %d", w.PID)
		if !sameTrack(g, &w) {
			t.Errorf("%s came as %+v, want %+v", what, *g, w)
		}
		came, meant := seen.Of(g.ID), sent.Of(w.ID)
		came = came[:max(0, len(came)-1)] // a streamer that is stopped does not wait for the rest of what is on its way
		from := runOf(t, what, came, meant, !w.Sections)
		if from < 0 {
			continue
		}
		if meant = meant[from:]; !known {
			shift, known = came[0].PTS-meant[0].PTS, true
		}
		checkBeside(t, what, came, meant, shift, untimed(&w))
	}
}

// untimed is by how much the times of a track may differ from those that were meant: sections have none of their own, but those of what is beside them, and a
// picture of the broadcast lasts so long.
func untimed(track *ingest.Track) int64 {
	if track.Sections {
		return ingest.ClockRate / 25
	}
	return 0
}

// checkBeside: each sample is unharmed, and moved as the first pictures are, but for late ticks.
func checkBeside(t *testing.T, what string, came, meant []ingest.Sample, shift, late int64) {
	t.Helper()
	for i, s := range came {
		if off := s.PTS - meant[i].PTS - shift; off < -late || off > late || s.Flags&ingest.Damaged != 0 {
			t.Errorf("%s: sample %d of %d is moved by %d ticks against the first picture, want at most %d; its flags are %b", what, i, len(came), off, late, s.Flags)
			return
		}
	}
}

// runOf finds got in want, as one run of which at most two seconds are missing at the beginning, as in checkHead, and one at the end, and returns where that
// begins; -1 if it is none.
func runOf(t *testing.T, what string, got, want []ingest.Sample, timed bool) (from int) {
	t.Helper()
	key := func(list []ingest.Sample) (keys []string) {
		for i := range list {
			k := string(list[i].Data)
			if timed && i > 0 {
				k = string(binary.AppendVarint([]byte(k), list[i].PTS-list[i-1].PTS))
			}
			keys = append(keys, k)
		}
		return keys
	}
	if len(got) == 0 {
		t.Errorf("%s: nothing came of %d samples", what, len(want))
		return -1
	}
	g, w := key(got), key(want)
	for from := 0; from+len(g) <= len(w); from++ {
		if bytes.Equal(got[0].Data, want[from].Data) && slices.Equal(g[1:], w[from+1:from+len(g)]) {
			head, tail := want[from].DTS-want[0].DTS, want[len(want)-1].DTS-want[from+len(g)-1].DTS
			if head > 2*ingest.ClockRate || tail > ingest.ClockRate {
				t.Errorf("%s: %d ms of the beginning are missing and %d of the end, want at most 2 s and 1 s", what, head/90, tail/90)
			}
			return from
		}
	}
	odd := ""
	for i := range g {
		if i > 0 && !slices.Contains(w, g[i]) {
			odd = fmt.Sprintf(": number %d, of %d bytes and %d ticks after the one before, is none of them", i, len(got[i].Data), got[i].PTS-got[i-1].PTS)
			break
		}
	}
	t.Errorf("%s: its %d samples are not a run of the %d that were sent%s", what, len(got), len(want), odd)
	return -1
}
