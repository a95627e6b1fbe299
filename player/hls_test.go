package player

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/feed"
	"tailcast/ingest"
)

// fetch asks for a path below /hls/.
func (c *channelTest) fetch(path string) (status int, body []byte, header http.Header) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/hls/"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, body, answer.Header
}

func (c *channelTest) have(path string) []byte {
	c.t.Helper()
	status, body, _ := c.fetch(path)
	if status != http.StatusOK {
		c.t.Fatalf("/hls/%s: %d: %s", path, status, body)
	}
	return body
}

// media fetches a media playlist of a channel on air and checks it by itself. If the newest segment is not taken up yet, it is waited for.
func (c *channelTest) media(query string) *media {
	c.t.Helper()
	m := c.past(query)
	if m.hint == "" && !strings.Contains(query, "_HLS_msn") {
		m = c.past(fmt.Sprintf("?%s&_HLS_msn=%d&_HLS_part=0", strings.TrimPrefix(query, "?"), m.number+len(m.segments)))
	}
	if m.hint == "" {
		c.t.Errorf("main.m3u8%s: no EXT-X-PRELOAD-HINT", query)
	}
	return m
}

// past is media of a channel that is off the air.
func (c *channelTest) past(query string) *media {
	c.t.Helper()
	text := string(c.have("main.m3u8" + query))
	m := parseMedia(c.t, text)
	m.valid(c.t, text)
	return m
}

// TestHLSHoldsTheSamples: segments of the past and parts of the present hold all pictures and all sound, at their times.
func TestHLSHoldsTheSamples(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	m = c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", m.number+len(m.segments)))
	if len(m.segments) < 6 || len(m.open.parts) == 0 {
		t.Fatalf("%d segments, %d parts behind them", len(m.segments), len(m.open.parts))
	}
	header := c.have(m.segments[0].mapURI)
	body := bytes.Clone(header)
	total := 0.0
	for _, s := range m.segments {
		data := c.have(s.uri)
		p := parse(t, header, append(bytes.Clone(header), data...))
		if !p.sync[1][0] {
			t.Errorf("%s does not begin with a random access point", s.uri)
		}
		if last := p.times[1][len(p.times[1])-1] - p.times[1][0]; float64(last)/90000 > s.seconds || s.seconds-float64(last)/90000 > 0.1 {
			t.Errorf("%s: the last picture is %d ticks after the first, EXTINF %v", s.uri, last, s.seconds)
		}
		body = append(body, data...)
		total += s.seconds
	}
	for _, p := range m.open.parts {
		body = append(body, c.have(p.uri)...)
		total += p.seconds
	}
	p := parse(t, header, body)
	pictures := track(in, program.Tracks[0].ID)
	checkVideo(t, p, 1, pictures[:len(p.times[1])])
	if d := float64(p.times[1][len(p.times[1])-1]-p.times[1][0])/90000 - total; d > 0 || d < -0.1 {
		t.Errorf("the playlist lasts %v, its pictures %v more", total, d)
	}
	checkSound(t, p, 2)
	if got, want := p.times[1][0], pictures[0].DTS-hlsOrigin; got != want {
		t.Errorf("the first picture is at %d, want %d", got, want)
	}
}

// checkSound: frames are 1024 samples apart, but for rounding where segments meet; and near the pictures.
func checkSound(t *testing.T, p parsed, id int) {
	t.Helper()
	times := p.times[id]
	if len(times) < 100 {
		t.Fatalf("%d frames of sound", len(times))
	}
	for i := 1; i < len(times); i++ {
		if d := times[i] - times[i-1]; d < 1024-2 || d > 1024+2 {
			t.Errorf("frame %d of sound is %d samples after the one before", i, d)
		}
	}
	scale := float64(p.init.Tracks[id-1].TimeScale)
	if apart := float64(times[0])/scale - float64(p.times[1][0])/90000; apart < -0.5 || apart > 0.5 {
		t.Errorf("sound begins %v s after the pictures", apart)
	}
}

// TestHLSIsFollowed drips a channel, follows it as a low-latency player does, and checks each playlist against the one before: blocking
// reloads, hints, parts and segments that are the same bytes.
func TestHLSIsFollowed(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	ctx, cancel := context.WithCancel(t.Context())
	aired := make(chan struct{})
	go func() {
		defer close(aired)
		looped(ctx, in, b.cut.WriteSample)
	}()
	defer func() {
		cancel()
		<-aired
	}()
	before := c.media("")
	parts := map[string][]byte{}
	for range 12 {
		next, part := before.number+len(before.segments), len(before.open.parts)
		hinted := c.have(before.hint)
		m := c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d", next, part))
		m.follows(t, before)
		if m.number+len(m.segments) == next && len(m.open.parts) <= part {
			t.Fatalf("segment %d has %d parts, %d were waited for", next, len(m.open.parts), part+1)
		}
		parts[before.hint] = hinted
		before = m
	}
	m := c.media("")
	m.follows(t, before)
	c.sameBytes(m, parts)
	c.deltas()
}

// sameBytes: a segment is its parts, whether they came as hinted, are asked for later, or it is cut anew.
func (c *channelTest) sameBytes(m *media, hinted map[string][]byte) {
	c.t.Helper()
	compared := 0
	for _, s := range m.segments {
		var joined []byte
		for _, p := range s.parts {
			data := c.have(p.uri)
			if h, ok := hinted[p.uri]; ok && !bytes.Equal(h, data) {
				c.t.Errorf("%s is not what the hint gave", p.uri)
			}
			joined = append(joined, data...)
		}
		if len(s.parts) == 0 {
			continue
		}
		compared++
		if whole := c.have(s.uri); !bytes.Equal(whole, joined) {
			c.t.Errorf("%s is not the sum of its parts: %d bytes, %d", s.uri, len(whole), len(joined))
		}
		if anew := c.cutAnew(s.uri); !bytes.Equal(anew, joined) {
			c.t.Errorf("%s cut anew has %d bytes, not the %d it had live", s.uri, len(anew), len(joined))
		}
	}
	if compared == 0 {
		c.t.Error("no segment with parts")
	}
}

// cutAnew cuts a segment as if its parts were forgotten.
func (c *channelTest) cutAnew(uri string) (data []byte) {
	c.t.Helper()
	place, ok := parsePlace(strings.TrimPrefix(uri, "s/"), ".m4s", false)
	if !ok {
		c.t.Fatalf("%s is no place", uri)
	}
	e := c.server.hls
	e.mu.Lock()
	s, _ := e.find(place)
	copied := *s
	e.mu.Unlock()
	copied.parts = nil
	pieces, _, err := e.segment(&copied)
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.Join(pieces, nil)
}

// deltas: a delta update and what it skips are the playlist (8216bis, 4.4.5.2).
func (c *channelTest) deltas() {
	c.t.Helper()
	for before, full := c.media(""), (*media)(nil); ; before = full {
		d := parseMedia(c.t, string(c.have("main.m3u8?_HLS_skip=YES")))
		full = c.media("")
		if full.number == before.number && len(full.segments) == len(before.segments) { // none came in between
			c.isDelta(d, full)
			return
		}
	}
}

func (c *channelTest) isDelta(d, full *media) {
	c.t.Helper()
	if d.number != full.number || d.skipped+len(d.segments) != len(full.segments) {
		c.t.Fatalf("delta update: from %d, %d skipped and %d listed; the playlist has %d from %d", d.number, d.skipped, len(d.segments), len(full.segments), full.number)
	}
	for i, s := range d.segments {
		if s.uri != full.segments[d.skipped+i].uri {
			c.t.Errorf("delta update: segment %d is %s, want %s", i, s.uri, full.segments[d.skipped+i].uri)
		}
	}
	listed := 0.0
	for _, s := range d.segments {
		listed += s.seconds
	}
	if d.skipped > 0 && listed < d.skipUntil {
		c.t.Errorf("delta update: the last %v s are listed, CAN-SKIP-UNTIL is %v", listed, d.skipUntil)
	}
}

// TestHLSEpochs: a streamer that starts anew is a discontinuity; numbers go on, and what was listed stays what it was.
func TestHLSEpochs(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	first := c.broadcast(program)
	first.write(in)
	before := c.media("")
	first.stop()
	second := c.broadcast(program)
	defer second.stop()
	second.write(in)
	next := before.number + len(before.segments)
	m := c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", next+2))
	m.follows(t, before)
	breaks := 0
	for i, s := range m.segments {
		if s.seconds > 1.1 {
			t.Errorf("segment %d lasts %v", i, s.seconds)
		}
		if !s.broken {
			continue
		}
		breaks++
		before, after := c.epochOf(m.segments[i-1].uri), c.epochOf(s.uri)
		if before == after {
			t.Errorf("a discontinuity within epoch %s", before)
		}
		if s.mapURI == "" || s.date.IsZero() {
			t.Errorf("no EXT-X-MAP, or no date, behind the discontinuity")
		}
	}
	if breaks != 1 {
		t.Errorf("%d discontinuities, want 1", breaks)
	}
}

func (c *channelTest) epochOf(uri string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(uri, "s/"), "-")
	return id
}

// TestHLSShortEnd: an epoch that ends with the first picture of a segment leaves a segment as long as a picture, whatever comes after it and when.
func TestHLSShortEnd(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	first := c.broadcast(program)
	first.write(in)
	before := c.media("")
	first.write(later(in, clipTicks)[:1])
	c.media(fmt.Sprintf("?_HLS_msn=%d", before.number+len(before.segments)))
	first.stop()
	second := c.broadcast(program)
	defer second.stop()
	second.write(in)
	m := c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", before.number+len(before.segments)+2))
	m.follows(t, before)
	for i, s := range m.segments {
		if s.seconds > 1.1 || i+1 < len(m.segments) && m.segments[i+1].broken && s.seconds > 0.1 {
			t.Errorf("segment %d lasts %v", i, s.seconds)
		}
	}
}

// TestHLSOtherLog: what was cut of one rendition is not served as another's, though epoch and block are the same.
func TestHLSOtherLog(t *testing.T) {
	e := newChannel(t, Config{}).server.hls
	e.load("one")
	s := &segment{log: "one", class: &class{mold: &mold{}}}
	if _, err := e.cuts.get(s.name(), func() ([]part, error) { return []part{{data: []byte("one")}}, nil }); err != nil {
		t.Fatal(err)
	}
	if got, _, err := e.segment(s); err != nil || string(bytes.Join(got, nil)) != "one" {
		t.Fatalf("%q, %v", got, err)
	}
	if e.load("one") || !e.load("two") {
		t.Error("one log is another, or two are one")
	}
	for _, log := range []string{"one", "two"} {
		if got, _, err := e.segment(&segment{log: log, class: s.class}); err == nil {
			t.Errorf("segment of %s: %q", log, got)
		}
	}
}

// TestHLSTurns: between two steps of a request the channel may have another rendition, of which nothing is there yet. Who asks is told to come back, and
// nobody is left with the lock.
func TestHLSTurns(t *testing.T) {
	s := newChannel(t, Config{StartTimeout: 10 * time.Millisecond}).server
	e := s.hls
	e.load("one")
	e.tape.append(&segment{log: "one", class: &class{mold: &mold{}}})
	e.target = 2
	old := e.start(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hls/index.m3u8", nil))
	if old == nil {
		t.Fatal("there is nothing to play")
	}
	e.load("two")
	later := map[string]func() error{
		"index": func() error { _, _, err := e.index(old, ""); return err },
		"list":  func() error { _, err := e.listed(func() string { return e.playlist(view{}) }); return err },
	}
	for name, step := range later {
		if err := step(); !errors.Is(err, errTurned) {
			t.Errorf("%s: got %v, want %v", name, err, errTurned)
		}
	}
	for _, e.target = range []int64{0, 2} { // with and without a target duration: an empty tape is no playlist
		for _, path := range []string{"/hls/index.m3u8", "/hls/main.m3u8", "/hls/text.m3u8?track=cc1"} {
			answer := httptest.NewRecorder()
			s.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d, want 503 and when to come back", path, answer.Code)
			}
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = e.await(t.Context(), func() (bool, error) { panic("what nobody thought of") })
	}()
	if !e.mu.TryLock() {
		t.Fatal("the lock is held for good")
	}
	e.mu.Unlock()
}

// TestHLSEnds: when a broadcast ends, all of it is listed, nothing more is announced, and nobody is kept waiting for long; also if it is asked for only then.
func TestHLSEnds(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannelOn(t, Config{}, feed.Config{Dir: filepath.Join(t.TempDir(), "feed")})
	b := c.broadcast(program)
	b.write(in)
	before := c.media("")
	answer := make(chan *media)
	go func() { answer <- c.past(fmt.Sprintf("?_HLS_msn=%d", before.number+len(before.segments))) }()
	b.stop()
	m := <-answer
	m.follows(t, before)
	late := New(Config{Replica: c.replica})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- late.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	web := httptest.NewServer(late)
	defer web.Close()
	other := &channelTest{t: t, server: late, url: web.URL, replica: c.replica}
	for name, m := range map[string]*media{"followed": c.past(""), "asked for later": other.past("")} {
		total := 0.0
		for _, s := range m.segments {
			total += s.seconds
		}
		if total < 7.9 || total > 8.1 || m.hint != "" || len(m.open.parts) > 0 {
			t.Errorf("%s: %v s of 8 are listed, then %d parts and hint %q", name, total, len(m.open.parts), m.hint)
		}
		data := c.have(m.segments[len(m.segments)-1].uri)
		if len(data) == 0 {
			t.Errorf("%s: the last segment is empty", name)
		}
	}
	b = c.broadcast(program)
	defer b.stop()
	b.write(in)
	n := m.number + len(m.segments)
	m2 := c.media(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", n+1))
	m2.follows(t, m)
	if s := m2.segments[len(m.segments)]; !s.broken {
		t.Errorf("the next broadcast begins without a discontinuity")
	}
}

// TestHLSProgramChange: another resolution is another EXT-X-MAP behind a discontinuity.
func TestHLSProgramChange(t *testing.T) {
	c := newChannel(t, Config{})
	p := syntheticProgram()
	p.Tracks[picture].Config = config(sps480)
	b := c.broadcast(p)
	defer b.stop()
	in := synthetic(4, 0)
	b.write(in)
	other := syntheticProgram()
	other.Tracks[picture].Config, other.Tracks[picture].Width, other.Tracks[picture].Height = config(sps720), 1280, 720
	b.cut.SetProgram(other)
	b.write(synthetic(4, 4*ingest.ClockRate))
	m := c.media("")
	var maps []string
	for _, s := range m.segments {
		if s.mapURI != "" {
			maps = append(maps, s.mapURI)
		}
	}
	if len(maps) != 2 || bytes.Equal(c.have(maps[0]), c.have(maps[1])) {
		t.Errorf("maps %q, want two that differ", maps)
	}
}

func config(sps []byte) []byte {
	return slices.Concat([]byte{0, 0, 0, 1}, sps, []byte{0, 0, 0, 1}, pps)
}

// TestHLSFromDisk: hours of the past are listed and served from the verified files, also after a restart; and what retention removed is not.
func TestHLSFromDisk(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannelOn(t, Config{}, feed.Config{Dir: filepath.Join(t.TempDir(), "feed"), TailBytes: 256 << 10})
	b := c.broadcast(program)
	defer b.stop()
	var all []ingest.Sample
	for round := range int64(20) {
		now := later(in, round*clipTicks)
		b.write(now)
		if err := c.replica.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, now...)
	}
	m := c.media("")
	if len(m.segments) < 150 {
		t.Fatalf("%d segments are listed of 160 s", len(m.segments))
	}
	header := c.have(m.segments[0].mapURI)
	p := parse(t, header, append(bytes.Clone(header), c.have(m.segments[3].uri)...))
	pictures := track(all, program.Tracks[0].ID)
	at := slices.IndexFunc(pictures, func(s ingest.Sample) bool { return s.DTS-hlsOrigin == p.times[1][0] })
	if at < 0 {
		t.Fatalf("no picture was sent for %d", p.times[1][0])
	}
	checkVideo(t, p, 1, pictures[at:at+len(p.times[1])])
	if recent := c.media("?dvr=20s"); len(recent.segments) > 22 || recent.number+len(recent.segments) < m.number+len(m.segments) {
		t.Errorf("dvr=20s lists %d segments from %d, all of it %d from %d", len(recent.segments), recent.number, len(m.segments), m.number)
	}
}

// TestHLSShown: dvr= lists less, but never less than three target durations, and any duration will do.
func TestHLSShown(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	b.write(later(in, clipTicks))
	all := c.media("")
	for len(all.segments) < 15 {
		all = c.media(fmt.Sprintf("?_HLS_msn=%d", all.number+len(all.segments)))
	}
	for _, s := range []struct {
		dvr          string
		least, under float64 // seconds
	}{{"1ns", 6, 7.1}, {"1s", 6, 7.1}, {"9s", 8, 9.1}, {"1h", 15, 17}, {"40000h", 15, 17}, {"2562047h", 15, 17}} {
		total := 0.0
		for _, x := range c.media("?dvr=" + s.dvr).segments {
			total += x.seconds
		}
		if total < s.least-0.1 || total > s.under {
			t.Errorf("dvr=%s lists %v s of %d, want %v to %v", s.dvr, total, len(all.segments), s.least, s.under)
		}
	}
}

// TestHLSRadio: sound alone has parts of as many frames as come nearest to 200 ms.
func TestHLSRadio(t *testing.T) {
	p := syntheticProgram()
	p.Tracks = p.Tracks[sound : sound+1]
	c := newChannel(t, Config{})
	b := c.broadcast(p)
	defer b.stop()
	b.write(track(synthetic(8, 5000), sound))
	m := c.media("")
	if len(m.segments) < 5 || m.part > 0.25 || m.part < 0.15 {
		t.Errorf("%d segments, part target %v", len(m.segments), m.part)
	}
	var index playlist.Multivariant
	multivariant(t, string(c.have("index.m3u8")))
	if err := index.Unmarshal(c.have("index.m3u8")); err != nil || strings.Join(index.Variants[0].Codecs, ",") != "mp4a.40.2" {
		t.Errorf("index: %+v, %v", index.Variants, err)
	}
}

func TestHLSIndex(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	_, body, header := c.fetch("index.m3u8?dvr=1h")
	var index playlist.Multivariant
	if err := index.Unmarshal(body); err != nil {
		t.Fatal(err)
	}
	if list := multivariant(t, string(body)); len(list) != 1 || list[0]["URI"] != "main.m3u8?dvr=1h" || list[0]["RESOLUTION"] != "854x480" || list[0]["FRAME-RATE"] == "" {
		t.Errorf("variants %v", list)
	}
	v := index.Variants[0]
	if v.URI != "main.m3u8?dvr=1h" || v.Resolution != "854x480" || strings.Join(v.Codecs, ",") != "avc1.4d401e,mp4a.40.2" {
		t.Errorf("variant %+v", v)
	}
	if got := header.Get("Content-Type"); got != "application/vnd.apple.mpegurl" {
		t.Errorf("Content-Type %q", got)
	}
}

// TestHLSRefuses: what is wrong is said, and what is not there is not waited for.
func TestHLSRefuses(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	m := c.media("")
	next := m.number + len(m.segments)
	for path, want := range map[string]int{
		"main.m3u8?_HLS_part=1":                           400,
		"main.m3u8?_HLS_msn=x":                            400,
		"main.m3u8?_HLS_msn=-1":                           400,
		"main.m3u8?_HLS_msn=1&_HLS_part=-2":               400,
		"main.m3u8?_HLS_skip=perhaps":                     400,
		"main.m3u8?dvr=long":                              400,
		"main.m3u8?dvr=-1h":                               400,
		fmt.Sprintf("main.m3u8?_HLS_msn=%d", next+2):      400,
		fmt.Sprintf("main.m3u8?_HLS_msn=%d", next-1):      200,
		"s/aaaaaaaaaaaaaaaa-0.m4s":                        404,
		"s/..%2f..%2fkeys-0.m4s":                          404,
		"s/x.m4s":                                         404,
		"i/aaaaaaaaaaaaaaaa-0.mp4":                        404,
		"p/aaaaaaaaaaaaaaaa-0-0.m4s":                      404,
		strings.Replace(m.segments[0].uri, "s/", "i/", 1): 404,
		strings.TrimSuffix(m.hint, ".m4s") + "9999.m4s":   404,
	} {
		if status, body, _ := c.fetch(path); status != want {
			t.Errorf("/hls/%s: %d, want %d: %s", path, status, want, body)
		}
	}
}
