package player

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tailcast/ingest"
	"tailcast/internal/origin"
)

// This file lists channels for television software: Kodi, Jellyfin, VLC. They want absolute addresses and cannot send headers.

// A Station is one channel of a Lineup.
type Station struct {
	Server *Server
	Path   string // where its Server answers, "" or "c/<id>/"
	Name   string // what it is called here; if empty, as the broadcaster calls it
	Group  string // if empty, "Tailcast"
	Logo   string // URL of a picture; if empty, one is drawn of the channel's key
}

// A Lineup lists channels.
//
//	GET /channels.m3u   extended M3U: tvg-id, tvg-name, tvg-logo, group-title, radio, url-tvg
//	GET /epg.xml        XMLTV (xmltv.dtd): what the broadcaster says is on, or the channel itself, hour by hour
//	GET /api/v1/channels   the same for pages: [{"path", "title", "radio"}], path counted from here
//
// The addresses in it begin with what the request was sent to; whoever wraps it has checked that.
type Lineup struct {
	stations []Station
	now      func() time.Time
	mux      *http.ServeMux
}

// NewLineup makes a Lineup of stations; everything that is not its own goes to next.
func NewLineup(next http.Handler, stations ...Station) *Lineup {
	l := &Lineup{stations: stations, now: time.Now, mux: http.NewServeMux()}
	l.mux.HandleFunc("GET /channels.m3u", l.m3u)
	l.mux.HandleFunc("GET /epg.xml", l.xmltv)
	l.mux.HandleFunc("GET /api/v1/channels", l.json)
	l.mux.Handle("/", next)
	return l
}

func (l *Lineup) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r) }

// listing is what a list says of a station.
type listing struct {
	id, title, group, logo, stream string
	radio                          bool
	kept                           time.Time // since when the past is kept; zero: not worth mentioning
}

func (l *Lineup) listings(base string) (out []listing) {
	for _, s := range l.stations {
		title, codecs := s.Server.title()
		x := listing{id: s.Server.id() + ".tailcast", group: cmp.Or(s.Group, "Tailcast"), radio: isRadio(codecs)}
		x.title = oneLine(cmp.Or(s.Name, title, "Channel "+s.Server.id()[:8]))
		x.logo = cmp.Or(s.Logo, base+s.Path+"logo.png")
		x.stream = base + s.Path + streamFor(codecs)
		out = append(out, x)
	}
	return out
}

// listingsWithPast also say since when the past is kept.
func (l *Lineup) listingsWithPast(base string) []listing {
	out := l.listings(base)
	for i := range out {
		out[i].kept = l.stations[i].Server.keptSince()
	}
	return out
}

// id names the channel: long enough that nobody can make another one with the same.
func (s *Server) id() string { return s.cfg.Replica.Root().String()[:16] }

// title is what the broadcaster calls the channel, and what the rendition is made of that is played; both may be empty.
func (s *Server) title() (string, []string) {
	if s.cfg.Replica == nil {
		return "", nil
	}
	e := s.cfg.Replica.Current()
	if e == nil {
		return "", nil
	}
	state, ok := e.State()
	if !ok || len(state.Renditions) == 0 {
		return state.Title, nil
	}
	for _, r := range state.Renditions {
		if r.Name == s.log() {
			return state.Title, r.Codecs
		}
	}
	return state.Title, state.Renditions[0].Codecs
}

// worthIt is how much of the past must be kept for a guide to offer it.
const worthIt = 5 * time.Minute

// keptSince is since when the past is kept; zero if it is little, or not known.
func (s *Server) keptSince() time.Time {
	from, to, ok := s.cfg.Replica.Kept(s.log())
	if !ok || to.Sub(from) < worthIt {
		return time.Time{}
	}
	return from
}

// Video codecs as RFC 6381 spells their beginnings; State may have these or our own names.
var videoNames = []string{"avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "mp4v"}

func isVideo(codec string) bool {
	return ingest.Codec(codec).IsVideo() || slices.ContainsFunc(videoNames, func(n string) bool { return strings.HasPrefix(codec, n) })
}

func isRadio(codecs []string) bool { return len(codecs) > 0 && !slices.ContainsFunc(codecs, isVideo) }

// streamFor is the endpoint that carries the codecs: TS, unless one of them has no place there.
func streamFor(codecs []string) string {
	for _, c := range codecs {
		if c == string(ingest.VP9) || c == string(ingest.AV1) || strings.HasPrefix(c, "vp09") || strings.HasPrefix(c, "av01") {
			return "live.mp4"
		}
	}
	return "live.ts"
}

// oneLine keeps a title from breaking out of its place in a list: no line ends, no quotes. A comma may stay, since the last one counts.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// baseOf is the address that a request was sent to, up to the file: with what was taken off the path on the way here.
func baseOf(r *http.Request) string {
	path := r.URL.Path
	if asked, err := url.ParseRequestURI(r.RequestURI); err == nil && strings.HasSuffix(asked.Path, path) {
		path = asked.EscapedPath()
	}
	return "http://" + r.Host + path[:strings.LastIndexByte(path, '/')+1]
}

// json lists the channels for the page, which lets people change between them.
func (l *Lineup) json(w http.ResponseWriter, r *http.Request) {
	if refuseForeign(w, r) {
		return
	}
	type channel struct {
		Path  string `json:"path"`
		Title string `json:"title"`
		Radio bool   `json:"radio"`
	}
	list := []channel{}
	for i, x := range l.listings("") {
		list = append(list, channel{l.stations[i].Path, x.title, x.radio})
	}
	secure(w.Header())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // an error here is the client's absence
}

func (l *Lineup) m3u(w http.ResponseWriter, r *http.Request) {
	if refuseForeign(w, r) {
		return
	}
	base := baseOf(r)
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U url-tvg=\"%sepg.xml\" x-tvg-url=\"%sepg.xml\"\n", base, base)
	for i, x := range l.listingsWithPast(base) {
		b.WriteString(l.entry(i+1, x))
	}
	w.Header().Set("Content-Type", "audio/x-mpegurl; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}

// entry is what the list says of a channel.
func (l *Lineup) entry(number int, x listing) string {
	more := ""
	if x.radio {
		more = ` radio="true"`
	}
	if !x.kept.IsZero() { // Kodi fills in the beginning of a programme, in seconds since 1970
		days := int(l.now().Sub(x.kept)/(24*time.Hour)) + 1
		more += fmt.Sprintf(` catchup="default" catchup-days="%d" catchup-source="%s?at={utc}"`, days, x.stream)
	}
	name := strings.ReplaceAll(x.title, ",", " ") // players take what is behind the first comma, or the last one
	return fmt.Sprintf("#EXTINF:-1 tvg-id=\"%s\" tvg-chno=\"%d\" tvg-name=\"%s\" tvg-logo=\"%s\" group-title=\"%s\"%s,%s\n%s\n",
		x.id, number, x.title, oneLine(x.logo), oneLine(x.group), more, name, x.stream)
}

func refuseForeign(w http.ResponseWriter, r *http.Request) bool {
	secure(w.Header())
	return origin.Refuse(w, r, "read this list")
}

// logo draws a picture of the channel's key: five times five fields, the same on both sides, in a colour of its own.
func (s *Server) logo(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if origin.Foreign(r) {
		http.Error(w, "another site may not have this picture", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(drawLogo(s.cfg.Replica.Root()))
}

const (
	logoField  = 40
	logoMargin = 28
)

func drawLogo(key [32]byte) []byte {
	const side = 5*logoField + 2*logoMargin
	ink := color.RGBA{64 + key[0]/2, 64 + key[1]/2, 64 + key[2]/2, 255}
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.RGBA{0xf4, 0xf6, 0xf6, 255}, ink})
	for y := range 5 * logoField {
		for x := range 5 * logoField {
			column, row := x/logoField, y/logoField
			if bit := row*3 + min(column, 4-column); key[3+bit/8]>>(bit%8)&1 == 1 {
				img.SetColorIndex(x+logoMargin, y+logoMargin, 1)
			}
		}
	}
	var out bytes.Buffer
	_ = png.Encode(&out, img) // a buffer takes everything
	return out.Bytes()
}
