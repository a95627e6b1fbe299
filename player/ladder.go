package player

import (
	"fmt"
	"net/http"
	"net/url"

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
		Bandwidth: mean + mean/4, AverageBandwidth: &mean, Codecs: playlistCodecs(v.Codecs), URI: "r/" + v.Name + "/main.m3u8",
	}
	if dvr != "" {
		step.URI += "?dvr=" + url.QueryEscape(dvr)
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
