package hls

import (
	"bytes"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/clip/cliptest"
	"tailcast/internal/es"
)

// presentation is what gohlslib's muxer makes of the pictures and the sound of a clip, eighteen times over: its playlists and what they name.
type presentation struct {
	t      testing.TB
	muxer  *gohlslib.Muxer
	tracks map[uint8]*gohlslib.Track
	files  map[string][]byte
}

var variants = map[string]gohlslib.MuxerVariant{
	"ts": gohlslib.MuxerVariantMPEGTS, "fmp4": gohlslib.MuxerVariantFMP4, "low latency": gohlslib.MuxerVariantLowLatency,
}

func present(t testing.TB, r *ingesttest.Record, variant gohlslib.MuxerVariant) map[string][]byte {
	t.Helper()
	p := &presentation{t, &gohlslib.Muxer{
		Variant: variant, SegmentCount: 7, SegmentMinDuration: 900 * time.Millisecond, PartMinDuration: 200 * time.Millisecond,
		OnEncodeError: func(error) {}, // that parts are not of one length
	}, map[uint8]*gohlslib.Track{}, map[string][]byte{}}
	for _, track := range r.Program(t).Tracks {
		if x := trackOf(t, &track, r.Of(track.ID)[0].Data); x != nil {
			p.tracks[track.ID] = x
			p.muxer.Tracks = append(p.muxer.Tracks, x)
		}
	}
	if err := p.muxer.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.muxer.Close()
	samples := r.All()
	slices.SortStableFunc(samples, func(a, b ingest.Sample) int { return int(a.DTS - b.DTS) })
	for round := range int64(18) {
		for _, s := range samples {
			s.DTS, s.PTS = s.DTS+round*ingest.ClockRate/2, s.PTS+round*ingest.ClockRate/2
			p.write(s)
		}
	}
	p.get("index.m3u8")
	return p.files
}

// trackOf is a track as gohlslib has them; nil if it has none of that codec.
func trackOf(t testing.TB, track *ingest.Track, unit []byte) *gohlslib.Track {
	switch track.Codec {
	case ingest.H264, ingest.H265:
		sets := es.ParameterSets{Codec: es.NALCodec(track.Codec)}
		sets.Observe(annexB(t, unit))
		nalus := annexB(t, sets.Config())
		if track.Codec == ingest.H264 {
			return &gohlslib.Track{ClockRate: ingest.ClockRate, Codec: &codecs.H264{SPS: nalus[0], PPS: nalus[1]}}
		}
		return &gohlslib.Track{ClockRate: ingest.ClockRate, Codec: &codecs.H265{VPS: nalus[0], SPS: nalus[1], PPS: nalus[2]}}
	case ingest.AAC:
		config := mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: track.SampleRate, ChannelConfig: uint8(track.Channels)}
		return &gohlslib.Track{ClockRate: track.SampleRate, Codec: &codecs.MPEG4Audio{Config: config}}
	}
	return nil
}

func annexB(t testing.TB, b []byte) (nalus h264.AnnexB) {
	t.Helper()
	if err := nalus.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	return nalus
}

func (p *presentation) write(s ingest.Sample) {
	p.t.Helper()
	track := p.tracks[s.Track]
	if track == nil {
		return
	}
	var err error
	at, pts := time.Unix(1_800_000_000, 0).Add(span(s.PTS)), s.PTS*int64(track.ClockRate)/ingest.ClockRate
	switch track.Codec.(type) {
	case *codecs.H264:
		err = p.muxer.WriteH264(track, at, pts, annexB(p.t, s.Data))
	case *codecs.H265:
		err = p.muxer.WriteH265(track, at, pts, annexB(p.t, s.Data))
	case *codecs.MPEG4Audio:
		err = p.muxer.WriteMPEG4Audio(track, at, pts, [][]byte{s.Data[7:]})
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// named is what a playlist names; the part that it announces would have to be waited for.
var named = regexp.MustCompile(`(?m)^[^#\n].*$|URI="[^"]+"`)

// get takes a file, and what it names.
func (p *presentation) get(name string) {
	p.t.Helper()
	if _, ok := p.files[name]; ok {
		return
	}
	w := httptest.NewRecorder()
	p.muxer.Handle(w, httptest.NewRequest("GET", "/"+name, nil))
	b := w.Body.Bytes()
	if p.files[name] = b; !strings.Contains(name, ".m3u8") {
		return
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#EXT-X-PRELOAD-HINT") {
			continue
		}
		for _, x := range named.FindAllString(line, -1) {
			p.get(strings.Trim(strings.TrimPrefix(x, "URI="), `"`))
		}
	}
}

// playlists are those of gohlslib, of each variant, master and media.
func playlists(t testing.TB) (list [][]byte) {
	t.Helper()
	for _, variant := range variants {
		for name, b := range present(t, ingesttest.Clips(t)["h264-aac.ts"], variant) {
			if strings.Contains(name, ".m3u8") {
				list = append(list, b)
			}
		}
	}
	return list
}

// fragmented is an init section, which may be none, and what it is for.
type fragmented struct{ init, data []byte }

// recordings are fragmented MP4: of AV1, VP9 and Opus by ffmpeg, of H.264, H.265 and AAC by gohlslib, whole segments and parts of them.
func recordings(t testing.TB) (list []fragmented) {
	t.Helper()
	for _, m := range cliptest.MP4s(t) {
		list = append(list, fragmented{m.Init, m.Fragments})
	}
	for _, clip := range []string{"h264-aac.ts", "hevc-ac3.ts"} {
		for _, variant := range []string{"fmp4", "low latency"} {
			files := present(t, ingesttest.Clips(t)[clip], variants[variant])
			for name, init := range files {
				if stream, ok := strings.CutSuffix(name, "_init.mp4"); ok {
					list = append(list, fragmentsOf(init, files, stream)...)
				}
			}
		}
	}
	return list
}

// fragmentsOf are some fragments of a stream.
func fragmentsOf(init []byte, files map[string][]byte, stream string) (list []fragmented) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if rest, ok := strings.CutPrefix(name, stream+"_"); ok && rest != "init.mp4" && len(list) < 4 {
			list = append(list, fragmented{init, files[name]})
		}
	}
	return list
}

// pieces are segments of TS, and sound in no container.
func pieces(t testing.TB) (list [][]byte) {
	t.Helper()
	for name, b := range present(t, ingesttest.Clips(t)["h264-aac.ts"], gohlslib.MuxerVariantMPEGTS) {
		if strings.HasSuffix(name, ".ts") {
			list = append(list, b)
		}
	}
	for _, b := range cliptest.TS(t) {
		list = append(list, b)
	}
	for _, r := range ingesttest.Clips(t) {
		for _, track := range r.Program(t).Tracks {
			switch track.Codec {
			case ingest.AAC, ingest.MPEGAudio, ingest.AC3, ingest.EAC3:
				list = append(list, packedSound(r.Of(track.ID)))
			}
		}
	}
	return list
}

// TestSeeds: what fuzzing begins with is understood.
func TestSeeds(t *testing.T) {
	for _, b := range playlists(t) {
		if err := follow(b); err != nil {
			t.Errorf("%v, of %s", err, b)
		}
	}
	codecs := map[ingest.Codec]int{}
	for _, x := range recordings(t) {
		s, err := fragmentsIn(x.init, x.data)
		if err != nil || len(s.samples) == 0 {
			t.Errorf("%d samples in %d bytes: %v", len(s.samples), len(x.data), err)
			continue
		}
		for _, track := range s.program(t).Tracks {
			codecs[track.Codec] += len(s.samples)
		}
	}
	if len(codecs) != 6 {
		t.Errorf("there are %v, want AV1, VP9, Opus, H.264, H.265 and AAC", codecs)
	}
	for _, b := range pieces(t) {
		if l := fed(t, nil, b); len(l.queue) < 10 || l.pull.stats.LastError() != "" {
			t.Errorf("%d events in %d bytes: %s", len(l.queue), len(b), l.pull.stats.LastError())
		}
	}
}

// follow reads a playlist of either kind.
func follow(b []byte) error {
	u := &url.URL{Scheme: "http", Host: "origin.example", Path: "/index.m3u8"}
	if bytes.Contains(b, []byte("#EXT-X-STREAM-INF")) {
		_, err := (choice{}).choose(answer{body: b, url: u})
		return err
	}
	l, err := parse(b, u)
	if err == nil && len(l.segments) < 5 {
		err = fmt.Errorf("%d segments", len(l.segments))
	}
	return err
}
