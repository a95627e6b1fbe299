package hls

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tailcast/ingest"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
)

// stream is a media playlist to follow.
type stream struct {
	uri      string
	name     string  // for people
	language string  // ISO 639-2, if the master playlist says it
	loaded   *answer // what the first request for it gave, if it was made
}

// maxSounds bounds the playlists of sound beside the pictures.
const maxSounds = 8

// choice is which variant to take.
type choice struct {
	variant   string
	bandwidth int // bits a second; 0: any
}

// parseChoice reads the fragment of a URL.
func parseChoice(fragment string) (c choice, err error) {
	if fragment == "" {
		return c, nil
	}
	values, err := url.ParseQuery(fragment)
	if err != nil {
		return c, fmt.Errorf("couldn't understand #%s: want #variant=720p or #bandwidth=3M", fragment)
	}
	for name := range values {
		if name != "variant" && name != "bandwidth" {
			return c, fmt.Errorf("#%s is not known: want #variant=720p or #bandwidth=3M", name)
		}
	}
	c.variant = values.Get("variant")
	if text := values.Get("bandwidth"); text != "" {
		if c.bandwidth, err = parseRate(text); err != nil {
			return c, err
		}
	}
	return c, nil
}

// parseRate reads bits a second: 3000000, 3000k or 3M.
func parseRate(text string) (int, error) {
	unit := 1
	digits := text
	switch {
	case strings.HasSuffix(text, "k"):
		unit, digits = 1e3, text[:len(text)-1]
	case strings.HasSuffix(text, "M"):
		unit, digits = 1e6, text[:len(text)-1]
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n <= 0 || n > 1e9 {
		return 0, fmt.Errorf("#bandwidth=%s: want bits a second, as 3M or 800k", text)
	}
	return int(n * float64(unit)), nil
}

// streams finds out what to follow: the pictures first. It tries until it knows.
func (p *Pull) streams(ctx context.Context) (out []stream, err error) {
	for pause := (ingest.Backoff{}); ; {
		a, err := p.client.get(ctx, resource{uri: p.url.String()}, maxPlaylist, 2*stallTime)
		if err == nil {
			if !isMaster(a.body) {
				return []stream{{uri: p.url.String(), name: "main", loaded: &a}}, nil
			}
			out, err = p.choice.choose(a)
		}
		var final refusal
		if err == nil || ctx.Err() != nil || errors.As(err, &final) {
			return out, err
		}
		p.trouble("couldn't begin, trying again", "master", err)
		if !ingest.Sleep(ctx, pause.Next()) {
			return nil, ctx.Err()
		}
	}
}

// choose picks a variant of a master playlist and all sound that belongs to it.
func (c choice) choose(a answer) ([]stream, error) {
	var m playlist.Multivariant
	if err := m.Unmarshal(append(a.body, '\n')); err != nil {
		return nil, fmt.Errorf("couldn't understand the master playlist: %w", err)
	}
	v, err := c.variantOf(m.Variants)
	if err != nil {
		return nil, err
	}
	main, err := a.url.Parse(v.URI)
	if err != nil {
		return nil, fmt.Errorf("couldn't understand the URI of a variant: %w", errors.Unwrap(err))
	}
	out := []stream{{uri: main.String(), name: "main"}}
	for _, r := range m.Renditions {
		if r.Type != playlist.MultivariantRenditionTypeAudio || v.Audio == "" || r.GroupID != v.Audio || r.URI == nil || len(out) > maxSounds {
			continue
		}
		u, err := a.url.Parse(*r.URI)
		if err != nil || slices.ContainsFunc(out, func(s stream) bool { return s.uri == u.String() }) {
			continue
		}
		s := stream{uri: u.String(), name: r.Name, language: iso639(r.Language)}
		if r.Default { // players take the first sound
			out = slices.Insert(out, 1, s)
		} else {
			out = append(out, s)
		}
	}
	return out, nil
}

// variantOf picks the best variant that is allowed.
func (c choice) variantOf(all []*playlist.MultivariantVariant) (*playlist.MultivariantVariant, error) {
	var names []string
	var fit []*playlist.MultivariantVariant
	for _, v := range all {
		names = append(names, fmt.Sprintf("%s %d bit/s", cmp.Or(v.Resolution, v.URI), v.Bandwidth))
		if c.fits(v) {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		return nil, refusal{fmt.Errorf("no variant is what was asked for; there are: %s", strings.Join(names, ", "))}
	}
	return slices.MaxFunc(fit, func(a, b *playlist.MultivariantVariant) int { return a.Bandwidth - b.Bandwidth }), nil
}

func (c choice) fits(v *playlist.MultivariantVariant) bool {
	if c.bandwidth > 0 && v.Bandwidth > c.bandwidth {
		return false
	}
	height := strings.TrimSuffix(c.variant, "p")
	return c.variant == "" || v.Resolution == c.variant || strings.HasSuffix(v.Resolution, "x"+height) || strings.Contains(v.URI, c.variant)
}

// iso639 is a language of a playlist (RFC 5646) as MPEG-TS has it (ISO 639-2), for the languages of Europe and some more; others are left to what
// the segments say.
func iso639(tag string) string {
	primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if len(primary) == 3 {
		return primary
	}
	const known = " ar ara bg bul bs bos cs ces cy cym da dan de deu el ell en eng es spa et est eu eus fa fas fi fin fr fra ga gle he heb hi hin hr hrv hu hun " +
		"hy hye id ind is isl it ita ja jpn ka kat ko kor lb ltz lt lit lv lav mk mkd mt mlt nb nob nl nld nn nno no nor pl pol pt por ro ron ru rus sk slk " +
		"sl slv sq sqi sr srp sv swe th tha tr tur uk ukr ur urd vi vie zh zho "
	if i := strings.Index(known, " "+primary+" "); len(primary) == 2 && i >= 0 {
		return known[i+4 : i+7]
	}
	return ""
}
