package player

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tailcast/ingest"
)

// This file writes media playlists. gohlslib's writer has one EXT-X-MAP a playlist, but another epoch of a channel may have another one; it would
// also write anew, at each part, what has been the same for hours.

// A view is which part of the tape a playlist shows.
type view struct {
	window time.Duration // at the end; 0: all
	skip   bool          // a delta update is wanted
}

// delta is how many target durations back a delta update begins: RFC 8216bis, 4.4.3.8, wants at least six.
const delta = 6

// playlist writes the media playlist as it is now. The caller holds mu.
func (e *edge) playlist(v view) string {
	list := e.shown(v)
	skipped := 0
	if v.skip {
		skipped = e.skippable(list)
	}
	var b strings.Builder
	b.Grow(1024 + 64*(len(list)-skipped))
	e.head(&b, list)
	if skipped > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skipped)
	}
	recent := e.recent(list)
	for i := skipped; i < len(list); i++ {
		s := list[i]
		e.intro(&b, s, i == skipped, i == skipped || list[i-1].class != s.class)
		if i >= recent && s.even(e.part, true) {
			writeParts(&b, s)
		}
		b.WriteString("#EXTINF:")
		b.WriteString(seconds(s.ticks))
		b.WriteString(",\ns/")
		b.WriteString(s.name())
		b.WriteString(".m4s\n")
	}
	if e.open != nil && e.open.class.mold != nil {
		e.tail(&b, list)
	}
	return b.String()
}

// shown is the part of the tape that a playlist lists: as much as was asked for, but at least three target durations (RFC 8216, 6.2.2).
func (e *edge) shown(v view) []*segment {
	list, ticks := e.tape.list, int64(0)
	if v.window == 0 {
		return list
	}
	most := int64(min(v.window, e.server.cfg.DVR)/time.Millisecond) * (ingest.ClockRate / 1000)
	for i := len(list) - 1; i >= 0; i-- {
		if ticks >= 3*e.target*ingest.ClockRate && ticks+list[i].ticks > most {
			return list[i+1:]
		}
		ticks += list[i].ticks
	}
	return list
}

// head writes the tags that hold for all of it.
func (e *edge) head(b *strings.Builder, list []*segment) {
	number, breaks := e.place(list)
	part := partSeconds(e.part)
	fmt.Fprintf(b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n", e.target)
	fmt.Fprintf(b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=%d.0,HOLD-BACK=%d.0,PART-HOLD-BACK=%.3f\n", delta*e.target, 3*e.target, 3*part)
	fmt.Fprintf(b, "#EXT-X-PART-INF:PART-TARGET=%.3f\n", part)
	fmt.Fprintf(b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n", number, breaks)
}

// place is the number of the first segment listed, and of the discontinuities before the playlist.
func (e *edge) place(list []*segment) (number, breaks uint64) {
	if len(list) == 0 {
		return e.tape.next, e.tape.breaks
	}
	number, breaks = list[0].number, list[0].breaks
	if list[0].broken { // its tag is still in the playlist
		breaks--
	}
	return number, breaks
}

// partSeconds is EXT-X-PART-INF:PART-TARGET: ticks, rounded up to a millisecond.
func partSeconds(ticks int64) float64 {
	const tick = ingest.ClockRate / 1000
	return float64((ticks+tick-1)/tick) / 1000
}

// intro writes what comes before a segment. The first one of a playlist says what would else follow from those before.
func (e *edge) intro(b *strings.Builder, s *segment, first, other bool) {
	if s.broken {
		b.WriteString("#EXT-X-DISCONTINUITY\n")
	}
	if first || s.broken || other {
		fmt.Fprintf(b, "#EXT-X-MAP:URI=\"i/%s.mp4\"\n", s.class.name())
	}
	s.date(b, first)
}

// date writes now and then when a segment was signed, and where times do not go on.
func (s *segment) date(b *strings.Builder, first bool) {
	if first || s.broken || s.number%16 == 0 {
		fmt.Fprintf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", time.UnixMicro(s.wall).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
}

// recent is the place of the first segment whose parts are listed.
func (e *edge) recent(list []*segment) int {
	ticks := int64(0)
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].parts == nil || ticks >= partsFor*e.target*ingest.ClockRate {
			return i + 1
		}
		ticks += list[i].ticks
	}
	return 0
}

// skippable is how many segments a delta update leaves out.
func (e *edge) skippable(list []*segment) int {
	ticks := int64(0)
	for i := len(list) - 1; i >= 0; i-- {
		if ticks += list[i].ticks; ticks >= delta*e.target*ingest.ClockRate {
			return i
		}
	}
	return 0
}

// even tells whether the parts of a segment are as RFC 8216bis, 4.4.3.7, wants those that are listed: none longer than the part target, none but the
// last shorter than 85 % of it. Those of pictures that come as they like are not, nor those of a program before; such a segment is listed without,
// and so is one that is too large to keep.
func (s *segment) even(target int64, complete bool) bool {
	if s.dropped > 0 {
		return false
	}
	for i, p := range s.parts {
		if last := complete && i == len(s.parts)-1; p.ticks > target || !last && !long(p.ticks, target) {
			return false
		}
	}
	return true
}

// tail writes the segment that is being received.
func (e *edge) tail(b *strings.Builder, list []*segment) {
	s := e.open
	if !s.even(e.part, false) {
		return
	}
	if len(s.parts) > 0 {
		e.intro(b, s, len(list) == 0, len(list) == 0 || list[len(list)-1].class != s.class)
		writeParts(b, s)
	}
	fmt.Fprintf(b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p/%s-%d.m4s\"\n", s.name(), len(s.parts))
}

func writeParts(b *strings.Builder, s *segment) {
	for i, p := range s.parts {
		b.WriteString("#EXT-X-PART:DURATION=")
		b.WriteString(seconds(p.ticks))
		fmt.Fprintf(b, ",URI=\"p/%s-%d.m4s\"", s.name(), i)
		if p.independent {
			b.WriteString(",INDEPENDENT=YES")
		}
		b.WriteByte('\n')
	}
}

// seconds writes ticks of 1/90000 s as decimal seconds.
func seconds(ticks int64) string {
	return strconv.FormatFloat(float64(ticks)/ingest.ClockRate, 'f', 5, 64)
}
