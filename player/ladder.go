package player

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/feed"
)

// This file writes the multivariant playlist of a channel of several renditions. It names all that there are: one that is not followed here begins when
// a player asks for it, and ends when nobody has asked for a while.

// serveLadder answers with it.
func (s *Server) serveLadder(w http.ResponseWriter, r *http.Request, list []feed.Rendition) {
	dvr := r.URL.Query().Get("dvr")
	text, err := s.ladder(list, s.textsOf(r.Context(), s.chosen(), dvr), s.chosen(), dvr)
	if err != nil {
		s.hls.refuse(w, "waiting", http.StatusServiceUnavailable, err.Error())
		return
	}
	s.hls.allow(w)
	writePlaylist(w, text)
}

// ladder is the playlist. The one that was chosen comes first, since players begin with that.
func (s *Server) ladder(list []feed.Rendition, texts []*playlist.MultivariantRendition, chosen, dvr string) ([]byte, error) {
	out := playlist.Multivariant{Version: 9, IndependentSegments: true, Renditions: texts}
	for _, v := range list {
		step := s.step(v, dvr)
		if len(step.Codecs) == 0 {
			continue // nothing that HLS carries
		}
		if len(texts) > 0 {
			step.Subtitles = textGroup
		}
		if v.Name == chosen {
			out.Variants = append([]*playlist.MultivariantVariant{step}, out.Variants...)
		} else {
			out.Variants = append(out.Variants, step)
		}
	}
	return out.Marshal()
}

// step is what the playlist says of one rendition: what was measured, if it is being made, else what the catalog says.
func (s *Server) step(v feed.Rendition, dvr string) *playlist.MultivariantVariant {
	mean := int(v.Bitrate)
	if mean == 0 {
		mean = assumedRate
	}
	step := &playlist.MultivariantVariant{
		Bandwidth: mean + mean/4, AverageBandwidth: &mean, Codecs: playlistCodecs(v.Codecs), URI: "r/" + v.Name + "/" + mediaName(dvr),
	}
	if v.Width > 0 && v.Height > 0 {
		step.Resolution = fmt.Sprintf("%dx%d", v.Width, v.Height)
	}
	if made := s.versions.of(v.Name); made != nil {
		made.hls.measured(step)
	}
	return step
}

// measured fills in what is known of what was made.
func (e *edge) measured(v *playlist.MultivariantVariant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tape == nil || e.tape.newest() == nil || e.tape.newest().class.mold == nil {
		return
	}
	v.Codecs = e.tape.newest().class.mold.codecNames()
	if peak, mean := e.rates(); peak != assumedRate {
		v.Bandwidth, v.AverageBandwidth = peak, &mean
	}
}

// reports tell in the playlist of a rendition how far the others are, so that who changes need not ask for a list twice. RFC 8216bis, B.1, wants one of each
// other rendition; of one that is not being made nothing can be told.
func (s *Server) reports(dvr string) string {
	if s.whole == nil {
		return ""
	}
	var b strings.Builder
	for _, r := range s.whole.renditions() {
		if other := s.whole.versions.of(r.Name); other != nil && other != s {
			other.hls.report(&b, "../"+r.Name+"/"+mediaName(dvr))
		}
	}
	return b.String()
}

// report writes where our playlist ends, if it is live (RFC 8216bis, 4.4.5.4).
func (e *edge) report(b *strings.Builder, uri string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.fresh() {
		return
	}
	s, parts := e.end()
	fmt.Fprintf(b, "#EXT-X-RENDITION-REPORT:URI=%q,LAST-MSN=%d", uri, s.number)
	if parts > 0 {
		fmt.Fprintf(b, ",LAST-PART=%d", parts-1)
	}
	b.WriteByte('\n')
}

// end is the last segment of which the playlist lists anything, and how many parts of it. The caller holds mu, and knows that there is one.
func (e *edge) end() (s *segment, parts int) {
	if s = e.open; s != nil && s.class.mold != nil && s.even(e.part, false) && len(s.parts) > 0 {
		return s, len(s.parts)
	}
	if s = e.tape.newest(); s.even(e.part, true) {
		return s, len(s.parts)
	}
	return s, 0
}
