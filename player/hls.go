package player

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/internal/origin"
)

// This file answers requests below /hls/ (RFC 8216, and draft-pantos-hls-rfc8216bis for low latency). docs/player.md has the table.

func (s *Server) hlsRoutes() {
	s.mux.Handle("GET /hls/index.m3u8", s.hls.guard(s.hls.serveIndex))
	s.mux.Handle("GET /hls/main.m3u8", s.hls.guard(s.hls.serveMedia))
	s.mux.Handle("GET /hls/i/{file}", s.hls.guard(s.hls.serveInit))
	s.mux.Handle("GET /hls/s/{file}", s.hls.guard(s.hls.serveSegment))
	s.mux.Handle("GET /hls/p/{file}", s.hls.guard(s.hls.servePart))
	s.hls.textRoutes(s.mux)
}

// guard lets requests in, as many as there is room for, and wakes the edge.
func (e *edge) guard(serve func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		switch {
		case origin.Foreign(r):
			e.refuse(w, "foreign", http.StatusForbidden, "another site may not play this channel through your browser")
		case !e.audience.enter(true):
			w.Header().Set("Retry-After", "1")
			e.refuse(w, "full", http.StatusServiceUnavailable, "too many requests at once")
		default:
			defer func() { e.audience.leave(true, time.Now()) }()
			serve(w, r)
		}
	})
}

func (e *edge) refuse(w http.ResponseWriter, reason string, code int, why string) {
	e.allow(w)
	e.server.metrics.refused.WithLabelValues(reason).Inc()
	http.Error(w, why, code)
}

// allow gives a client time to read what is written to it next: requests wait, and a server's own deadline counts from when they came.
func (e *edge) allow(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(e.server.cfg.StallTimeout)) // a writer without deadlines is a test's
}

// errGone says that what was asked for is not there and will not come.
var errGone = errors.New("gone")

// errTurned says that since a request came the channel has another rendition, of which nothing is there yet.
var errTurned = errors.New("another rendition has begun")

// errLarge says that a segment has more bytes than are kept of a container.
var errLarge = errors.New("too large")

// await returns when ready says so, with its error, or ctx ends. ready is called with the lock held.
func (e *edge) await(ctx context.Context, ready func() (bool, error)) error {
	for {
		ok, changed, err := e.ask(ready)
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask calls ready with the lock held, and lets go of it also if ready panics: else the whole channel would hang.
func (e *edge) ask(ready func() (bool, error)) (ok bool, changed <-chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ok, err = ready()
	return ok, e.changed, err
}

// A request waits for the edge to wake and to be live, but not long: of a channel that is off the air, the past can be had.
const wakeTime = 2 * time.Second

// start waits until there is a playlist and returns the newest mold, or answers why there is none and returns nil.
func (e *edge) start(w http.ResponseWriter, r *http.Request) *mold {
	waking, cancel := context.WithTimeout(r.Context(), min(wakeTime, e.server.cfg.StartTimeout))
	_ = e.await(waking, func() (bool, error) { return e.fresh(), nil })
	cancel()
	ctx, cancel := context.WithTimeout(r.Context(), e.server.cfg.StartTimeout)
	defer cancel()
	var c *class
	err := e.await(ctx, func() (bool, error) {
		c = e.playing()
		return c != nil, nil
	})
	var m *mold
	if err == nil {
		if m = e.mold(c, true); m == nil {
			err = refusal("HLS cannot carry this channel's tracks; ask for /live.ts instead")
		}
	}
	e.answered(w, err)
	return m
}

// answered writes an answer that says what err means, and reports whether there was none to write.
func (e *edge) answered(w http.ResponseWriter, err error) bool {
	var no refusal
	switch {
	case err == nil:
		return true
	case errors.As(err, &no):
		e.refuse(w, "codec", http.StatusNotAcceptable, string(no))
	case errors.Is(err, errGone) || errors.Is(err, feed.ErrNotHeld):
		e.refuse(w, "past", http.StatusNotFound, "this is not kept here, or not any longer")
	case errors.Is(err, errLarge):
		e.refuse(w, "large", http.StatusNotFound, "this segment is too large for HLS, since the encoder's keyframes are far apart; /live.ts has it")
	default:
		w.Header().Set("Retry-After", "1")
		e.refuse(w, "waiting", http.StatusServiceUnavailable, "nothing to play yet; /api/v1/status says why")
	}
	return false
}

// serveIndex answers with the multivariant playlist, which gohlslib writes.
func (e *edge) serveIndex(w http.ResponseWriter, r *http.Request) {
	if _, err := parseView(r.URL.Query()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if list := e.server.renditions(); e.server.cfg.Log == "" && len(list) > 1 {
		e.server.serveLadder(w, r, list)
		return
	}
	m := e.start(w, r)
	if m == nil {
		return
	}
	text, others, err := e.index(m, r.URL.Query().Get("dvr"))
	if !e.answered(w, err) {
		return
	}
	if others != "" {
		w.Header().Set("X-Tailcast-Omitted", others)
	}
	e.allow(w)
	writePlaylist(w, text)
}

func (e *edge) index(m *mold, dvr string) (text []byte, others string, err error) {
	e.mu.Lock()
	peak, mean := e.rates()
	class := e.playing()
	e.mu.Unlock()
	if class == nil {
		return nil, "", errTurned
	}
	texts := e.texts(class, "", dvr)
	v := &playlist.MultivariantVariant{Bandwidth: peak, AverageBandwidth: &mean, Codecs: m.codecNames(), URI: mediaName(dvr)}
	if m.video {
		lead := m.order[m.lead()]
		if lead.track.Width > 0 && lead.track.Height > 0 {
			v.Resolution = fmt.Sprintf("%dx%d", lead.track.Width, lead.track.Height)
		}
		rate := float64(ingest.ClockRate) / float64(m.step())
		v.FrameRate = &rate
	}
	if len(texts) > 0 {
		v.Subtitles = textGroup
	}
	text, err = playlist.Multivariant{Version: 9, IndependentSegments: true, Variants: []*playlist.MultivariantVariant{v}, Renditions: texts}.Marshal()
	return text, list(m.others), err
}

// rates are the peak and the mean of the newest segments, in bits a second. The caller holds mu.
func (e *edge) rates() (peak, mean int) {
	var bits, ticks int64
	for _, s := range e.tape.list[max(0, len(e.tape.list)-8):] {
		if s.bytes > 0 && s.ticks > 0 {
			peak = max(peak, int(int64(s.bytes)*8*ingest.ClockRate/s.ticks))
			bits, ticks = bits+int64(s.bytes)*8, ticks+s.ticks
		}
	}
	if ticks == 0 {
		return assumedRate, assumedRate
	}
	return peak, int(bits * ingest.ClockRate / ticks)
}

// assumedRate is what a playlist says while nothing was cut yet.
const assumedRate = 5_000_000

func writePlaylist(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

// parseView reads dvr= and _HLS_skip=.
func parseView(q url.Values) (v view, err error) {
	if s := q.Get("dvr"); s != "" {
		if v.window, err = time.ParseDuration(s); err != nil || v.window <= 0 {
			return v, errors.New("dvr must be a duration like 90s or 2h: how much of the past to list")
		}
	}
	switch q.Get("_HLS_skip") {
	case "":
	case "YES", "v2":
		v.skip = true
	default:
		return v, errors.New("_HLS_skip must be YES or v2")
	}
	return v, nil
}

// A reload is what a blocking request waits for (RFC 8216bis, 6.2.5.2).
type reload struct {
	number  uint64
	part    int // -1: all of the segment
	blocked bool
}

func parseReload(q url.Values) (b reload, err error) {
	b.part = -1
	if !q.Has("_HLS_msn") {
		if q.Has("_HLS_part") {
			return b, errors.New("_HLS_part needs _HLS_msn")
		}
		return b, nil
	}
	b.blocked = true
	if b.number, err = strconv.ParseUint(q.Get("_HLS_msn"), 10, 63); err != nil {
		return b, errors.New("_HLS_msn must be a number")
	}
	if q.Has("_HLS_part") {
		n, err := strconv.ParseUint(q.Get("_HLS_part"), 10, 31)
		if err != nil {
			return b, errors.New("_HLS_part must be a number")
		}
		b.part = int(n)
	}
	return b, nil
}

// errAhead answers who asks for what is far off.
var errAhead = errors.New("_HLS_msn is more than two ahead of the playlist")

// reached tells whether the playlist has what a reload waits for. The caller holds mu.
func (e *edge) reached(b reload) (bool, error) {
	next := e.tape.next // the number of the open segment
	switch {
	case b.number < next:
		// A part that the segment never got stands for the first of the next one.
		if last := e.tape.newest(); b.part >= 0 && last != nil && b.number == last.number && b.part >= len(last.parts) && last.parts != nil {
			return e.open != nil && len(e.open.parts) > 0, nil
		}
		return true, nil
	case b.number > next+1:
		return false, errAhead
	}
	return b.number == next && b.part >= 0 && e.open != nil && len(e.open.parts) > b.part, nil
}

// serveMedia answers with the media playlist, when it has what is asked for.
func (e *edge) serveMedia(w http.ResponseWriter, r *http.Request) {
	v, err := parseView(r.URL.Query())
	b, err2 := parseReload(r.URL.Query())
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if e.start(w, r) == nil {
		return
	}
	if b.blocked {
		ctx, cancel := context.WithTimeout(r.Context(), e.waiting())
		defer cancel()
		err = e.await(ctx, func() (bool, error) { return e.reached(b) })
	}
	if errors.Is(err, errAhead) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !e.answered(w, err) {
		return
	}
	reports := e.server.reports(r.URL.Query().Get("dvr")) // each looks at another edge, whose lock is never held together with ours
	text, err := e.listed(func() string { return e.playlist(v) })
	if !e.answered(w, err) {
		return
	}
	e.allow(w)
	writePlaylist(w, []byte(text+reports))
}

// listed writes a playlist with the lock held, if there still is something to list.
func (e *edge) listed(write func() string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.playing() == nil {
		return "", errTurned
	}
	return write(), nil
}

// mediaName is the name of a media playlist that lists so much of the past.
func mediaName(dvr string) string {
	if dvr == "" {
		return "main.m3u8"
	}
	return "main.m3u8?dvr=" + url.QueryEscape(dvr)
}

// waiting is how long a request is held: RFC 8216bis, 6.2.5.2, recommends three target durations.
func (e *edge) waiting() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Duration(3*max(e.target, 2)) * time.Second
}

// A place names a segment, and in it a part, in a path: epoch-block or epoch-block-part.
type placeName struct {
	id    feed.EpochID
	first uint64
	part  int
}

func parsePlace(file, ext string, parts bool) (p placeName, ok bool) {
	name, found := strings.CutSuffix(file, ext)
	fields := strings.Split(name, "-")
	want := 2
	if parts {
		want = 3
	}
	if !found || len(fields) != want {
		return p, false
	}
	id, err := feed.ParseEpochID(fields[0])
	first, err2 := strconv.ParseUint(fields[1], 10, 63)
	if parts {
		n, err := strconv.ParseUint(fields[2], 10, 16)
		if err != nil {
			return p, false
		}
		p.part = int(n)
	}
	p.id, p.first = id, first
	return p, err == nil && err2 == nil
}

// find returns a segment, and whether it is complete; nil if it is none of ours. The caller holds mu.
func (e *edge) find(p placeName) (s *segment, complete bool) {
	if e.open != nil && e.open.id == p.id && e.open.first == p.first {
		return e.open, false
	}
	if e.tape == nil {
		return nil, false
	}
	for i := len(e.tape.list) - 1; i >= 0; i-- {
		if s := e.tape.list[i]; s.first == p.first && s.id == p.id {
			return s, true
		}
	}
	return nil, false
}

// servePart answers with a part, also with one that is only announced: when it comes.
func (e *edge) servePart(w http.ResponseWriter, r *http.Request) {
	p, ok := parsePlace(r.PathValue("file"), ".m4s", true)
	if !ok {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), e.waiting())
	defer cancel()
	var out part
	var kind string
	err := e.await(ctx, func() (bool, error) {
		s, complete := e.find(p)
		switch {
		case s == nil:
			return false, errGone
		case p.part < s.dropped:
			return false, errGone
		case p.part < len(s.parts):
			out, kind = s.parts[p.part], s.class.mold.contentType()
			return true, nil
		case complete || p.part > len(s.parts)+1:
			return false, errGone
		}
		return false, nil
	})
	if e.answered(w, err) {
		e.write(w, kind, out.data)
	}
}

// serveSegment answers with a whole segment: of the parts that are still here, else cut anew out of the verified blocks.
func (e *edge) serveSegment(w http.ResponseWriter, r *http.Request) {
	p, ok := parsePlace(r.PathValue("file"), ".m4s", false)
	if !ok {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), e.waiting())
	defer cancel()
	var s segment
	err := e.await(ctx, func() (bool, error) {
		found, complete := e.find(p)
		if found == nil {
			return false, errGone
		}
		s = *found
		return complete, nil
	})
	var data [][]byte
	var m *mold
	if err == nil {
		data, m, err = e.segment(&s)
	}
	if e.answered(w, err) {
		e.write(w, m.contentType(), data...)
	}
}

// segment returns the bytes of a complete segment, in pieces.
func (e *edge) segment(s *segment) ([][]byte, *mold, error) {
	m := e.mold(s.class, true)
	if m == nil {
		return nil, nil, errGone
	}
	e.mu.Lock()
	tape, cuts := e.tape, e.cuts
	e.mu.Unlock()
	if tape.log != s.log {
		return nil, nil, errGone // since it was found, the channel has another rendition
	}
	parts := s.parts
	if parts == nil || s.dropped > 0 {
		var err error
		if parts, err = cuts.get(s.name(), func() ([]part, error) { return e.cut(tape, s, m) }); err != nil {
			return nil, nil, err
		}
	}
	var data [][]byte
	for _, p := range parts {
		data = append(data, p.data)
	}
	if len(data) == 0 {
		return nil, nil, errGone
	}
	return data, m, nil
}

// cut makes the parts of a complete segment.
func (e *edge) cut(tape *tape, s *segment, m *mold) (parts []part, err error) {
	size := 0
	c := &cutter{mold: m, first: s.first, emit: func(p part) { parts, size = append(parts, p), size+len(p.data) }}
	p := newPipeline(never)
	p.formats = []format{c}
	err = tape.blocks(s.id, s.first, s.end)(func(b *feed.Block, reset bool) error {
		if size > e.server.cfg.BacklogBytes {
			return errLarge
		}
		return p.raw(b, reset)
	})
	if err != nil {
		return nil, err
	}
	c.finish(s.dts + s.ticks)
	if size > e.server.cfg.BacklogBytes {
		return nil, errLarge
	}
	return parts, nil
}

// serveInit answers with the header of a class.
func (e *edge) serveInit(w http.ResponseWriter, r *http.Request) {
	p, ok := parsePlace(r.PathValue("file"), ".mp4", false)
	if !ok {
		http.NotFound(w, r)
		return
	}
	m, err := e.initOf(p)
	if e.answered(w, err) {
		e.write(w, m.contentType(), m.header)
	}
}

func (e *edge) initOf(p placeName) (*mold, error) {
	e.mu.Lock()
	c := e.classOf(p)
	e.mu.Unlock()
	if c == nil {
		return nil, errGone
	}
	if m := e.mold(c, true); m != nil {
		return m, nil
	}
	return nil, errGone
}

// classOf finds a class by the segment that first had it, which may be gone. The caller holds mu.
func (e *edge) classOf(p placeName) *class {
	if e.tape == nil {
		return nil
	}
	if e.open != nil && e.open.class.id == p.id && e.open.class.first == p.first {
		return e.open.class
	}
	for i := len(e.tape.list) - 1; i >= 0; i-- {
		if c := e.tape.list[i].class; c.id == p.id && c.first == p.first {
			return c
		}
	}
	return nil
}

// write sends media, if all that is being sent stays within bounds: a client that takes its time keeps what it is sent in memory.
func (e *edge) write(w http.ResponseWriter, kind string, data ...[]byte) {
	size := 0
	for _, d := range data {
		size += len(d)
	}
	if most := int64(sendingFactor * e.server.cfg.BacklogBytes); e.sending.Add(int64(size)) > most {
		e.sending.Add(-int64(size))
		w.Header().Set("Retry-After", "1")
		e.refuse(w, "full", http.StatusServiceUnavailable, "too many slow requests at once")
		return
	}
	defer e.sending.Add(-int64(size))
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(size))
	e.allow(w)
	for _, d := range data {
		n, err := w.Write(d)
		e.server.metrics.sent.WithLabelValues("hls").Add(float64(n))
		if err != nil {
			return // the client's absence
		}
	}
}

// sendingFactor times BacklogBytes are the most that HLS clients are sent at a time.
const sendingFactor = 4
