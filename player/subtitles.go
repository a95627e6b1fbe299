package player

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/internal/captions"
)

// This file serves captions to HLS players: a rendition of subtitles for each track that has text, of WebVTT (RFC 8216, 3.5), with the segments
// of the pictures. A segment of text is read out of the blocks of its pictures and of those before, since what is shown at its beginning was
// said there; so the same one says the same tomorrow.

// textLead is how far before a segment what it shows may have been said.
const textLead = 12 * ingest.ClockRate

const textGroup = "text"

func (e *edge) textRoutes(mux *http.ServeMux) {
	mux.Handle("GET /hls/text.m3u8", e.guard(e.serveTextList))
	mux.Handle("GET /hls/t/{track}/{file}", e.guard(e.serveText))
}

// A captionReader is the format of a pipeline that keeps what is said.
type captionReader struct {
	decoder *captions.Decoder
	changes []captions.Change
}

func (c *captionReader) setProgram(p *ingest.Program) {
	c.decoder = captions.NewDecoder(p, func(x captions.Change) { c.changes = append(c.changes, x) })
}

func (c *captionReader) writeSample(s *ingest.Sample) {
	if c.decoder != nil {
		c.decoder.Write(s)
	}
}

func (c *captionReader) segmentFirst() {}
func (c *captionReader) section()      {}
func (c *captionReader) endOfBlock()   {}
func (c *captionReader) close()        {}

// texts are the tracks of captions that the newest segments have, as a multivariant playlist names them. More may come later, so they are
// looked for at each request.
func (e *edge) texts(class *class, folder, dvr string) (out []*playlist.MultivariantRendition) {
	e.mu.Lock()
	sources := e.examples(class)
	e.mu.Unlock()
	r := &captionReader{}
	p := newPipeline(never)
	p.formats = []format{r}
	for _, source := range slices.Backward(sources) {
		_ = source(p.raw) // what cannot be read names nothing
	}
	if r.decoder == nil {
		return nil
	}
	names := map[string]bool{}
	for _, t := range r.decoder.Tracks() {
		if t.Kind == captions.Bitmap {
			continue
		}
		uri := folder + "text.m3u8?track=" + url.QueryEscape(t.ID())
		if dvr != "" {
			uri += "&dvr=" + url.QueryEscape(dvr)
		}
		name := captionName(t)
		if names[name] { // NAME must differ within a group
			name += " " + t.ID()
		}
		names[name] = true
		out = append(out, &playlist.MultivariantRendition{
			Type: playlist.MultivariantRenditionTypeSubtitles, GroupID: textGroup, Name: name, Language: t.Language, Autoselect: true, URI: &uri,
		})
	}
	return out
}

// textsOf are the texts of a rendition of several: of the one that players begin with.
func (s *Server) textsOf(ctx context.Context, name, dvr string) []*playlist.MultivariantRendition {
	v, leave, _ := s.versions.enter(s, name)
	if v == nil {
		return nil
	}
	defer leave()
	if !v.hls.audience.enter(true) {
		return nil
	}
	defer func() { v.hls.audience.leave(true, time.Now()) }()
	ctx, cancel := context.WithTimeout(ctx, min(wakeTime, s.cfg.StartTimeout))
	defer cancel()
	var c *class
	_ = v.hls.await(ctx, func() (bool, error) {
		c = v.hls.playing()
		return c != nil, nil
	})
	if c == nil {
		return nil // it has not begun: who asks again is told
	}
	return v.hls.texts(c, "r/"+name+"/", dvr)
}

// captionName is what people choose by.
func captionName(t captions.Track) string {
	name := fmt.Sprintf("Teletext %d", t.Number)
	if t.Kind == captions.Line21 {
		name = fmt.Sprintf("CC%d", t.Number)
	}
	if t.Language != "" {
		name = t.Language + " · " + name
	}
	if t.Impaired {
		name += " · hard of hearing"
	}
	return name
}

// serveTextList answers with the playlist of a track: the segments of the pictures, as text.
func (e *edge) serveTextList(w http.ResponseWriter, r *http.Request) {
	v, err := parseView(r.URL.Query())
	b, err2 := parseReload(r.URL.Query())
	track := r.URL.Query().Get("track")
	switch {
	case cmp.Or(err, err2) != nil:
		http.Error(w, cmp.Or(err, err2).Error(), http.StatusBadRequest)
		return
	case !isTrackID(track):
		http.Error(w, "track names one of those that index.m3u8 lists", http.StatusBadRequest)
		return
	}
	if e.start(w, r) == nil {
		return
	}
	if b.blocked {
		b.part = -1
		ctx, cancel := context.WithTimeout(r.Context(), e.waiting())
		defer cancel()
		err = e.await(ctx, func() (bool, error) { return e.reached(b) })
	}
	if err == errAhead {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !e.answered(w, err) {
		return
	}
	text, err := e.listed(func() string { return e.textList(v, track) })
	if !e.answered(w, err) {
		return
	}
	e.allow(w)
	writePlaylist(w, []byte(text))
}

// isTrackID tells whether a name may be one of a track: it stands in paths and playlists.
func isTrackID(s string) bool {
	return s != "" && len(s) < 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// textList writes the playlist of a track. The caller holds mu.
func (e *edge) textList(v view, track string) string {
	list := e.shown(v)
	skipped := 0
	if v.skip {
		skipped = e.skippable(list)
	}
	var b strings.Builder
	number, breaks := e.place(list)
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n", e.target)
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=%d.0,HOLD-BACK=%d.0\n", delta*e.target, 3*e.target)
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", number, breaks)
	if skipped > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skipped)
	}
	for i := skipped; i < len(list); i++ {
		s := list[i]
		if s.broken {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		s.date(&b, i == skipped)
		fmt.Fprintf(&b, "#EXTINF:%s,\nt/%s/%s.vtt\n", seconds(s.ticks), track, s.name())
	}
	return b.String()
}

// serveText answers with what a track says in a segment.
func (e *edge) serveText(w http.ResponseWriter, r *http.Request) {
	p, ok := parsePlace(r.PathValue("file"), ".vtt", false)
	track := r.PathValue("track")
	if !ok || !isTrackID(track) {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), e.waiting())
	defer cancel()
	var run []*segment
	var t *tape
	var c *cuts
	err := e.await(ctx, func() (bool, error) {
		s, complete := e.find(p)
		if s == nil {
			return false, errGone
		}
		run, t, c = e.leading(s), e.tape, e.cuts
		return complete, nil
	})
	var said []part
	if err == nil {
		name := run[len(run)-1].name() + " " + track // no segment's name has a blank
		said, err = c.get(name, func() ([]part, error) {
			text, err := t.text(run, track)
			return []part{{data: text}}, err
		})
	}
	if e.answered(w, err) {
		e.write(w, "text/vtt; charset=utf-8", said[0].data)
	}
}

// leading are a segment and those right before it, as far back as what it shows may have been said. The caller holds mu.
func (e *edge) leading(s *segment) []*segment {
	i := slices.Index(e.tape.list, s)
	if i < 0 {
		return []*segment{s}
	}
	first := i
	for first > 0 && !e.tape.list[first].broken && s.dts-e.tape.list[first].dts < textLead {
		first--
	}
	return slices.Clone(e.tape.list[first : i+1])
}

// text reads what a track says in the last of segments that follow each other.
func (t *tape) text(run []*segment, track string) ([]byte, error) {
	r := &captionReader{}
	p := newPipeline(never)
	p.formats = []format{r}
	for i, s := range run {
		err := t.blocks(s.id, s.first, s.end)(func(b *feed.Block, missing bool) error { return p.raw(b, missing) })
		if err != nil && i == len(run)-1 {
			return nil, err
		}
	}
	s := run[len(run)-1]
	return webVTT(cuesOf(r.changes, track, s.dts, s.dts+s.ticks), s.dts), nil
}

// A cue is a text that is shown for a while.
type cue struct {
	from, to int64
	text     string
}

// cuesOf are the texts that a track shows between two times.
func cuesOf(changes []captions.Change, track string, from, to int64) (out []cue) {
	now := cue{from: from}
	end := func(at int64) {
		now.from, now.to = max(now.from, from), min(at, to)
		if now.text != "" && now.from < now.to {
			out = append(out, now)
		}
	}
	for _, c := range changes {
		if c.Track.ID() != track {
			continue
		}
		end(c.At)
		now = cue{from: c.At, text: c.Text}
	}
	end(to)
	return out
}

// webVTT writes cues, whose times count from a segment's beginning: X-TIMESTAMP-MAP says when that is on the clock of the pictures.
func webVTT(cues []cue, base int64) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:%d,LOCAL:00:00:00.000\n", uint64(base-hlsOrigin)%(1<<33))
	for _, c := range cues {
		fmt.Fprintf(&b, "\n%s --> %s\n%s\n", vttTime(c.from-base), vttTime(c.to-base), vttText.Replace(c.text))
	}
	return []byte(b.String())
}

var vttText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func vttTime(ticks int64) string {
	d := time.Duration(ticks) * time.Second / ingest.ClockRate
	return fmt.Sprintf("%02d:%02d:%02d.%03d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60, d.Milliseconds()%1000)
}
