package player

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"tailcast/ingest"
)

// m3u is a playlist of one entry, which the player of a computer opens (RFC 8216 calls the form basic; VLC and mpv read it).
func (s *Server) m3u(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	w.Header().Set("Content-Type", "audio/x-mpegurl")
	w.Header().Set("Content-Disposition", `attachment; filename="tailcast.m3u"`)
	title, stream := s.offer()
	at := "http://" + r.Host + path.Join(path.Dir(pathOf(r)), stream)
	fmt.Fprintf(w, "#EXTM3U\n#EXTINF:-1,%s\n%s?join=next\n", title, at)
}

// pathOf is the path that the client asked for, whatever was taken off it on the way here.
func pathOf(r *http.Request) string {
	p, _, _ := strings.Cut(r.RequestURI, "?")
	if p == "" {
		return r.URL.Path
	}
	return p
}

// offer is what the channel is called, on one line, and the container that carries it: TS unless there is a codec that it cannot carry.
func (s *Server) offer() (title, stream string) {
	title, stream = "Live channel", "live.ts"
	e := s.cfg.Replica.Current()
	if e == nil {
		return title, stream
	}
	state, ok := e.State()
	if !ok || len(state.Renditions) == 0 {
		return title, stream
	}
	if name := strings.Join(strings.Fields(state.Title), " "); name != "" {
		title = name
	}
	for _, codec := range []ingest.Codec{ingest.VP9, ingest.AV1} {
		if slices.Contains(state.Renditions[0].Codecs, string(codec)) {
			stream = "live.mp4"
		}
	}
	return title, stream
}
