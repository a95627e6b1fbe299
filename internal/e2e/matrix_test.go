package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"tailcast/internal/command"
)

// The matrix: what ffmpeg encodes goes into a streamer by every kind of source that can carry it, and what a viewer records is compared,
// access unit by access unit, with what was sent. docs/ingest.md says what a source cannot carry.

// A programme is what is sent: its streams are compared after a filter that takes away what containers put in and leave out.
type programme struct {
	name    string
	args    []string // of ffmpeg's output
	filters []string // by stream
	mp4     bool     // MPEG-TS has no agreed form of it, or ffmpeg does not write that
	few     bool     // for routes that carry nothing else of the kind
}

// Filters: parameter sets and delimiters of video are in band in TS and in the header elsewhere; likewise ADTS headers.
const (
	bareH264 = "filter_units=remove_types=7-9"
	bareH265 = "filter_units=remove_types=32-35"
	bareAAC  = "aac_adtstoasc"
	asItIs   = "null"
)

func programmes() []programme {
	x264 := func(b string) []string {
		return []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", b, "-g", "25"}
	}
	sound := func(list ...string) (args []string) {
		for i, c := range list {
			args = append(args, fmt.Sprintf("-c:a:%d", i), c, fmt.Sprintf("-metadata:s:a:%d", i), "language="+[]string{"eng", "deu"}[i])
		}
		return args
	}
	picture := []string{"-map", "0"}
	one, two := []string{"-map", "0", "-map", "1"}, []string{"-map", "0", "-map", "1", "-map", "2"}
	return []programme{
		{name: "h264 aac mp2", args: slices.Concat(two, x264("0"), sound("aac", "mp2")), filters: []string{bareH264, bareAAC, asItIs}},
		{name: "h264 with b-frames, ac3 eac3", args: slices.Concat(two, x264("3"), sound("ac3", "eac3")), filters: []string{bareH264, asItIs, asItIs}},
		{
			name: "h265 opus", filters: []string{bareH265, asItIs},
			args: slices.Concat(one, []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-g", "25"}, sound("libopus")),
		},
		{name: "h264 opus", few: true, args: slices.Concat(one, x264("0"), sound("libopus")), filters: []string{bareH264, asItIs}},
		{name: "h264 with b-frames, opus", few: true, args: slices.Concat(one, x264("3"), sound("libopus")), filters: []string{bareH264, asItIs}},
		{name: "mpeg2 mp3", args: slices.Concat(one, []string{"-c:v", "mpeg2video", "-g", "12", "-bf", "2"}, sound("libmp3lame")), filters: []string{asItIs, asItIs}},
		{name: "mpeg2 ac3 eac3", few: true, args: slices.Concat(two, []string{"-c:v", "mpeg2video", "-g", "12"}, sound("ac3", "eac3")), filters: []string{asItIs, asItIs, asItIs}},
		{name: "h264 ac3", few: true, args: slices.Concat(one, x264("2"), sound("ac3")), filters: []string{bareH264, asItIs}},
		{name: "mpeg1 mp2", args: slices.Concat(one, []string{"-c:v", "mpeg1video", "-g", "12", "-bf", "2"}, sound("mp2")), filters: []string{asItIs, asItIs}},
		{name: "h264 latm", args: slices.Concat(one, x264("0"), sound("aac"), []string{"-mpegts_flags", "latm"}), filters: []string{bareH264, asItIs}},
		{name: "picture alone", args: slices.Concat(picture, x264("0")), filters: []string{bareH264}},
		{name: "sound alone", args: slices.Concat([]string{"-map", "1"}, sound("aac")), filters: []string{bareAAC}},
		{name: "h264 he-aac he-aac-v2", args: slices.Concat(picture, []string{"-map", "3", "-map", "4"}, x264("0"), sound("copy", "copy")), filters: []string{bareH264, bareAAC, bareAAC}},
		{name: "he-aac alone", few: true, args: slices.Concat([]string{"-map", "3"}, sound("copy")), filters: []string{bareAAC}},
		{name: "he-aac-v2 alone", few: true, args: slices.Concat([]string{"-map", "4"}, sound("copy")), filters: []string{bareAAC}},
		{name: "av1 opus", mp4: true, args: slices.Concat(one, []string{"-c:v", "libsvtav1", "-preset", "12", "-g", "25"}, sound("libopus")), filters: []string{asItIs, asItIs}},
		{name: "vp9 opus", mp4: true, args: slices.Concat(one, []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"}, sound("libopus")), filters: []string{asItIs, asItIs}},
	}
}

// encode makes five seconds of a programme.
func (p *programme) encode(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sent.ts")
	if p.mp4 {
		file = filepath.Join(t.TempDir(), "sent.mp4")
	}
	ffmpeg(t, slices.Concat([]string{
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-f", "lavfi", "-i", "sine=frequency=880:sample_rate=48000", "-i", "testdata/he-aac.m4a", "-i", "testdata/he-aac-v2.m4a", "-t", "5", "-pix_fmt", "yuv420p",
	}, p.args, []string{file})...)
	return file
}

// A route is one kind of source. open starts a streamer for a file; what it returns besides sends that, and returns when all is sent.
type route struct {
	name    string
	carries func(*programme) bool
	open    func(t *testing.T, file string) (p *command.Process, send func())
	apart   int64 // ticks of 90 kHz that tracks may have moved against one another; within a track times are exact
	tail    int   // access units of the end that are lost; if zero, 2
	torn    bool  // ffmpeg keeps back the last datagram, which nobody can know
	mute    bool  // the protocol, or ffmpeg's form of it, does not say in which language a sound is
}

func inTS(p *programme) bool { return !p.mp4 && !p.few }

// only are programmes of these names.
func only(names ...string) func(*programme) bool {
	return func(p *programme) bool { return slices.Contains(names, p.name) }
}

func routes() []route {
	udp := func(scheme, format string) func(*testing.T, string) (*command.Process, func()) {
		return func(t *testing.T, file string) (*command.Process, func()) {
			addr := "127.0.0.1:" + freePort(t)
			return streamer(t, scheme+"://"+addr), func() { pushed(t, file, "-f", format, scheme+"://"+addr+"?pkt_size=1316") }
		}
	}
	return []route{
		{name: "file", carries: inTS, open: func(t *testing.T, file string) (*command.Process, func()) {
			p := streamer(t, file)
			return p, func() { <-p.Done() }
		}},
		{name: "udp", carries: inTS, open: udp("udp", "mpegts")},
		{name: "rtp", mute: true, torn: true, tail: 16, carries: inTS, open: udp("rtp", "rtp_mpegts")},
		{name: "playout", carries: inTS, open: func(t *testing.T, file string) (*command.Process, func()) {
			list := filepath.Join(t.TempDir(), "list.m3u")
			if err := os.WriteFile(list, []byte(file+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := streamer(t, list)
			return p, func() { <-p.Done() }
		}},
		{name: "srt push", tail: 48, carries: inTS, open: func(t *testing.T, file string) (*command.Process, func()) {
			p := streamer(t, "--rtsp", "", "--rtmp", "", "--whip", "", "--srt", "127.0.0.1:0")
			return p, func() { pushed(t, file, "-f", "mpegts", p.SRT+"&latency=500000&pkt_size=1316") }
		}},
		{name: "srt pull", tail: 48, carries: inTS, open: func(t *testing.T, file string) (*command.Process, func()) {
			addr := "127.0.0.1:" + freePort(t)
			return streamer(t, "srt://"+addr+"?latency=500"), func() { pushed(t, file, "-f", "mpegts", "srt://"+addr+"?mode=listener&latency=500000&pkt_size=1316") }
		}},
		{
			name: "srt listening", tail: 48, carries: only("h264 with b-frames, ac3 eac3", "h265 opus", "mpeg2 mp3"), // as a push, but where INPUT says: these tell
			open: func(t *testing.T, file string) (*command.Process, func()) {
				addr := "127.0.0.1:" + freePort(t)
				return streamer(t, "srt://"+addr+"?mode=listener&latency=500"), func() { pushed(t, file, "-f", "mpegts", "srt://"+addr+"?latency=500000&pkt_size=1316") }
			},
		},
		{name: "hls of ts", carries: inTS, open: playlist("mpegts", "1")},
		// ffmpeg's MP4 says when a track begins, as edit lists do, to the millisecond.
		{name: "hls of fmp4", apart: 90, mute: true, carries: only("h264 aac mp2", "h264 ac3", "h265 opus", "mpeg2 ac3 eac3", "av1 opus", "vp9 opus", "picture alone", "sound alone", "h264 he-aac he-aac-v2"), open: playlist("fmp4", "1")},
		// Where ffmpeg 5.1 begins a segment of MPEG-2 with B-frames, the offset of the keyframe's PTS in its MP4 is that of no reordering.
		{name: "hls of one fmp4", apart: 90, mute: true, carries: only("mpeg2 mp3"), open: playlist("fmp4", "10")},
		{
			name: "rtmp", mute: true, carries: only("picture alone", "sound alone", "he-aac alone", "he-aac-v2 alone"), // and see TestPush; Enhanced RTMP is beyond ffmpeg 5.1
			open: func(t *testing.T, file string) (*command.Process, func()) {
				p := streamer(t, "--rtsp", "", "--srt", "", "--whip", "", "--rtmp", "127.0.0.1:0")
				return p, func() { pushed(t, file, "-f", "flv", p.RTMP) }
			},
		},
		{name: "http push", carries: inTS, open: func(t *testing.T, file string) (*command.Process, func()) {
			p := streamer(t, "--rtsp", "")
			return p, func() { pushed(t, file, "-f", "mpegts", "-method", "PUT", p.HTTP+"/ingest") }
		}},
		{name: "http pull", carries: inTS, open: func(t *testing.T, file string) (*command.Process, func()) {
			url, sent := served(t, file)
			return streamer(t, url), func() { <-sent }
		}},
		{
			// ffmpeg sends from MP4, to whose millisecond a track begins.
			// ffmpeg 5.1 keeps back frames of AAC that do not fill a packet, and has no RTP packets for AC-3 and E-AC-3; package rtsp tests those with others.
			name: "rtsp", apart: 90, tail: 13, mute: true, carries: only("h264 aac mp2", "h265 opus", "mpeg2 mp3", "mpeg1 mp2", "vp9 opus", "picture alone", "sound alone", "h264 he-aac he-aac-v2"),
			open: func(t *testing.T, file string) (*command.Process, func()) {
				p, whole := streamer(t, "--rtsp", "127.0.0.1:0"), inMP4(t, file)
				return p, func() { pushed(t, whole, "-strict", "experimental", "-f", "rtsp", "-rtsp_transport", "tcp", p.RTSP) }
			},
		},
		whipRoute(),
	}
}

// playlist opens a streamer that follows the playlist of a broadcast of the file, in segments of so many seconds.
func playlist(segments, seconds string) func(*testing.T, string) (*command.Process, func()) {
	return func(t *testing.T, file string) (*command.Process, func()) {
		dir := t.TempDir()
		web := httptest.NewServer(http.FileServer(http.Dir(dir)))
		t.Cleanup(web.Close)
		p := streamer(t, web.URL+"/live.m3u8")
		if segments == "fmp4" {
			file = inMP4(t, file)
		}
		return p, func() {
			pushed(t, file, "-f", "hls", "-hls_time", seconds, "-hls_list_size", "20", "-hls_segment_type", segments, filepath.Join(dir, "live.m3u8"))
			<-p.Done() // it ends with the playlist
		}
	}
}

// inMP4 is the file as MP4: ffmpeg 5.1 takes AAC for RTP and fMP4 from no other.
func inMP4(t *testing.T, file string) string {
	t.Helper()
	whole := filepath.Join(t.TempDir(), "sent.mp4")
	ffmpeg(t, "-i", file, "-map", "0", "-c", "copy", whole)
	return whole
}

// pushed sends a file as ffmpeg does, in real time.
func pushed(t *testing.T, file string, to ...string) {
	t.Helper()
	ffmpeg(t, slices.Concat([]string{"-re", "-i", file, "-map", "0", "-c", "copy"}, to)...)
}

// served is the address of a stream that lasts as long as the file; sent is closed once it was sent.
func served(t *testing.T, file string) (url string, sent <-chan struct{}) {
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
			http.NotFound(w, r) // there is nothing more
			return
		default:
		}
		w.Header().Set("Content-Type", "video/mp2t")
		cmd := exec.CommandContext(r.Context(), "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-")
		cmd.Stdout = flushing{w}
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		close(done)
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s.URL + "/live.ts", done
}

// flushing sends what is written at once, as it does for somebody who waits for the next picture.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	f.ResponseWriter.(http.Flusher).Flush()
	return n, err
}

// atOnce is how many cells of the matrix run side by side: they wait for five seconds to pass, most of the time.
const atOnce = 10

func TestMatrix(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	var cells errgroup.Group
	cells.SetLimit(atOnce)
	for _, p := range programmes() {
		sent := p.encode(t)
		for _, r := range routes() {
			if r.carries(&p) {
				cells.Go(func() error {
					t.Run(strings.ReplaceAll(p.name+" by "+r.name, " ", "_"), func(t *testing.T) { r.check(t, &p, sent) })
					return nil
				})
			}
		}
	}
	_ = cells.Wait()
}

// viewed has a viewer record what s airs of what send sends, to its end.
func viewed(t *testing.T, s *command.Process, send func(), out string) {
	t.Helper()
	v := viewer(t, s.LinkTo(), "--record", out, "--no-proof", "--no-lan")
	until(t, v, "connected", func(s status) bool { return len(s.Peers) > 0 })
	send()
	if err := s.Stop(); err != nil {
		t.Errorf("streamer: %v", err)
	}
	until(t, v, "the end", func(s status) bool { return s.State != "live" })
	if err := v.Stop(); err != nil {
		t.Errorf("viewer: %v", err)
	}
}

// check sends a programme by a route, and compares what a viewer recorded.
func (r *route) check(t *testing.T, p *programme, sent string) {
	out := filepath.Join(t.TempDir(), "seen"+filepath.Ext(sent))
	s, send := r.open(t, sent)
	viewed(t, s, send, out)
	if want, got := r.described(t, sent), r.described(t, out); !slices.Equal(want, got) {
		t.Fatalf("the streams are %q, want %q", got, want)
	}
	var first int64
	for i, filter := range p.filters {
		stream := fmt.Sprintf("0:%d", i)
		got := frames(t, out, stream, filter)
		if r.torn && len(got) > 0 {
			got = got[:len(got)-1]
		}
		whole := frames(t, sent, stream, filter)
		shift := sameUnits(t, stream, whole, got, cmp.Or(r.tail, 2), 0)
		p.checkHead(t, stream, whole, got)
		if i == 0 {
			first = shift
		}
		if off := shift - first; off < -r.apart || off > r.apart {
			t.Errorf("stream %s moved by %d ticks of 90 kHz against the first, want at most %d", stream, off, r.apart)
		}
	}
}

// sameUnits checks that got is sent, from somewhere on and but for the last few, at the same distances in time, or up to late ticks beside them. It
// returns by how much the times differ.
func sameUnits(t *testing.T, what string, sent, got []frame, tail int, late int64) (shift int64) {
	t.Helper()
	shift = align(t, what, sent, got, tail)
	k := slices.IndexFunc(sent, func(f frame) bool { return f.hash == got[0].hash })
	for i := range min(len(got), len(sent)-k) {
		pts, dts := got[i].pts-sent[k+i].pts-shift, got[i].dts-sent[k+i].dts-shift
		if max(pts, -pts, dts, -dts) > late {
			t.Fatalf("%s: PTS of frame %d is off by %d ticks of 90 kHz, DTS by %d, want at most %d", what, i, pts, dts, late)
		}
	}
	return shift
}

// checkHead: who was there from the beginning gets all, or all from a random access point on, and sound from there. The first of them may be lost to
// one who joins a playlist, and on a busy machine, where a second passes until somebody reads what comes, the next.
func (p *programme) checkHead(t *testing.T, what string, sent, got []frame) {
	t.Helper()
	k := slices.IndexFunc(sent, func(f frame) bool { return f.hash == got[0].hash })
	if ticks := sent[k].dts - sent[0].dts; ticks > 2*90000 {
		t.Errorf("%s begins with unit %d, %d ms after the first", what, k, ticks/90)
	}
	if gop := p.gop(); what == "0:0" && gop > 0 && k%gop != 0 {
		t.Errorf("%s begins with picture %d: decoding begins at each %dth", what, k, gop)
	}
}

// gop is how many pictures there are from one where decoding can begin to the next; 0 if there are none.
func (p *programme) gop() int {
	if i := slices.Index(p.args, "-g"); i >= 0 {
		n, _ := strconv.Atoi(p.args[i+1])
		return n
	}
	return 0
}

// described lists codec and language of each stream, as ffprobe sees them.
func (r *route) described(t *testing.T, file string) []string {
	t.Helper()
	entries := "stream=codec_name:stream_tags=language"
	if r.mute {
		entries = "stream=codec_name"
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", file).Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v", file, err)
	}
	return strings.Fields(string(out))
}
