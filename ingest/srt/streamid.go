package srt

import (
	"fmt"
	"net/url"
	"strings"
)

// request is what a caller says of itself in the stream id, of which there are three spellings in use:
//
//	#!::r=live/KEY,m=publish,u=name,s=KEY    SRT Access Control (Haivision)
//	publish:live/KEY   publish:live:user:KEY  as MediaMTX and others have it
//	live/KEY                                  as whoever has only one field
type request struct {
	play   bool   // wants to watch, which is not to be had here
	path   string // of the stream, perhaps with the key at its end
	secret string // said by itself; then the path has no key
}

const accessControl = "#!::"

func parseStreamID(id string) (request, error) {
	if strings.HasPrefix(id, "%23!") { // ffmpeg sends what stands in its URL, where # has to be written like this
		if plain, err := url.PathUnescape(id); err == nil {
			id = plain
		}
	}
	if rest, ok := strings.CutPrefix(id, accessControl); ok {
		return parseAccessControl(rest)
	}
	action, rest, ok := strings.Cut(id, ":")
	if !ok {
		return request{path: id}, nil
	}
	parts := strings.SplitN(rest, ":", 3)
	r := request{path: parts[0]}
	switch action {
	case "publish":
	case "request", "read", "play":
		r.play = true
	default:
		return r, fmt.Errorf("stream id begins with an action that is unknown: want publish:NAME or %sr=NAME,m=publish", accessControl)
	}
	if len(parts) == 3 {
		r.secret = parts[2]
	}
	return r, nil
}

// parseAccessControl reads the keys that matter of "SRT Access Control": the others are for whoever sorts streams by them.
func parseAccessControl(text string) (r request, err error) {
	r.play = true // the mode is "request" if nothing is said
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			return r, fmt.Errorf("stream id is not of the form %sr=NAME,m=publish", accessControl)
		}
		switch key {
		case "r":
			r.path = value
		case "s":
			r.secret = value
		case "m":
			if value != "publish" && value != "request" && value != "bidirectional" {
				return r, fmt.Errorf("stream id asks for a mode that is unknown: want m=publish")
			}
			r.play = value != "publish"
		}
	}
	return r, nil
}
