package player

import (
	"cmp"
	"fmt"
	"net/http"
)

// m3u is a playlist of one entry, which the player of a computer opens (RFC 8216 calls the form basic; VLC and mpv read it).
func (s *Server) m3u(w http.ResponseWriter, r *http.Request) {
	if refuseForeign(w, r) {
		return
	}
	w.Header().Set("Content-Type", "audio/x-mpegurl")
	w.Header().Set("Content-Disposition", `attachment; filename="tailcast.m3u"`)
	title, codecs := s.title()
	fmt.Fprintf(w, "#EXTM3U\n#EXTINF:-1,%s\n%s%s?join=next\n", oneLine(cmp.Or(title, "Live channel")), baseOf(r), streamFor(codecs))
}
