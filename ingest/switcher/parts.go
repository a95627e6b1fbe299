package switcher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tailcast/ingest"
)

// What tells that a track has stopped. It is delivery that counts, not what there is to see or hear: silence that is sent is sound.
const (
	quiet = 5 * time.Second  // for which a track brings nothing while others of its input go on; longer for one that is always slow
	proof = 2 * time.Second  // for which it must have come before it is missed
	slow  = 10 * time.Second // the longest time between two samples that counts as slow
)

// presence is how a track comes.
type presence struct {
	n           int // samples
	first, last time.Time
	steps       [2]time.Duration // between the newest three
}

// limit is for how long it may bring nothing. One step may be an accident, so the lesser of two counts: pictures once in eight seconds have
// 21 s, sound of which silence is not sent (DTX: a frame each 400 ms) no less than other sound.
func (p *presence) limit() time.Duration { return quiet + 2*min(p.steps[0], p.steps[1], slow) }

// proven tells whether it has come for long enough to be missed.
func (p *presence) proven() bool { return p.n > 2 && p.last.Sub(p.first) >= proof }

func (p *presence) came(now time.Time) {
	if p.n++; p.n == 1 {
		p.first, p.last = now, now
	}
	p.steps[0], p.steps[1] = p.steps[1], now.Sub(p.last)
	p.last = now
}

// parts tells which tracks of pictures and sound of an input come. Data have no pace of their own and are never missed.
type parts struct {
	tracks [ingest.MaxTracks]presence
	last   time.Time // of any of them
	woke   time.Time // when they came again after all had been silent: nobody is missed for that time
	mended time.Time // when one came again that had stopped alone
}

// follow keeps what is known of the tracks that are the same in both tables.
func (p *parts) follow(was, is *ingest.Program) {
	tracks := p.tracks
	p.tracks = [ingest.MaxTracks]presence{}
	for _, t := range is.Tracks {
		if u := trackOf(was, t.ID); u != nil && u.Codec == t.Codec && u.PID == t.PID {
			p.tracks[t.ID] = tracks[t.ID]
		}
	}
}

// came notes a sample of track id.
func (p *parts) came(id uint8, now time.Time) {
	t := &p.tracks[id]
	switch {
	case now.Sub(p.last) > t.limit():
		p.woke = now
	case p.stopped(id):
		p.mended = now
	}
	t.came(now)
	p.last = now
}

// stopped tells whether others went on for too long after track id.
func (p *parts) stopped(id uint8) bool {
	t := &p.tracks[id]
	since := t.last
	if p.woke.After(since) {
		since = p.woke
	}
	return t.proven() && p.last.Sub(since) > t.limit()
}

// comes tells whether track id does.
func (p *parts) comes(id uint8, now time.Time) bool {
	t := &p.tracks[id]
	return t.n > 0 && now.Sub(t.last) <= t.limit()
}

func trackOf(p *ingest.Program, id uint8) *ingest.Track {
	if p == nil {
		return nil
	}
	for i := range p.Tracks {
		if p.Tracks[i].ID == id && id < ingest.MaxTracks {
			return &p.Tracks[i]
		}
	}
	return nil
}

// missing are the tracks of l that have stopped while others go on. Under mu.
func (l *lane) missing() (list []ingest.Track) {
	if l.program == nil || !l.running {
		return nil
	}
	for _, t := range l.program.Tracks {
		if t.ID < ingest.MaxTracks && l.parts.stopped(t.ID) {
			list = append(list, t)
		}
	}
	return list
}

// missed is what has stopped, for people.
func (l *lane) missed() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missedLocked()
}

func (l *lane) missedLocked() (names []string) {
	for _, t := range l.missing() {
		names = append(names, called(l.program, &t))
	}
	return names
}

// called is what people call a track: by its kind, and if there are several of that by its language or number.
func called(p *ingest.Program, t *ingest.Track) string {
	name, number, of := "sound", 0, 0
	if t.Codec.IsVideo() {
		name = "pictures"
	}
	for i := range p.Tracks {
		if kindOf(p.Tracks[i].Codec) != kindOf(t.Codec) {
			continue
		}
		if of++; p.Tracks[i].ID == t.ID {
			number = of
		}
	}
	switch {
	case of == 1:
		return name
	case language(t) != "":
		return fmt.Sprintf("%s (%s)", name, t.Language)
	}
	return fmt.Sprintf("%s %d", name, number)
}

func language(t *ingest.Track) string { return strings.TrimPrefix(t.Language, "und") }

// relieves tells whether l brings what has stopped at other, and all else that it is known to bring.
func (l *lane) relieves(other *lane, now time.Time) bool {
	other.mu.Lock()
	missing := other.missing()
	other.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(missing) == 0 || l.slate || !l.aliveLocked(now) || len(l.missing()) > 0 {
		return false
	}
	for i := range missing {
		if !l.brings(&missing[i], now) {
			return false
		}
	}
	return true
}

// suffices tells whether l, which is on air, need not make way for a better one of which something has stopped: it brings that, or did until it stopped
// here too, and misses nothing else. To change between two whose sound comes and goes helps nobody.
func (l *lane) suffices(other *lane, now time.Time) bool {
	other.mu.Lock()
	missing := other.missing()
	other.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.missing()
	if len(missing) == 0 || l.slate || l.program == nil {
		return false
	}
	for i := range missing {
		if !l.brings(&missing[i], now) && !l.brought(&missing[i]) {
			return false
		}
	}
	return !slices.ContainsFunc(own, func(t ingest.Track) bool { return !has(missing, &t) })
}

// brings tells whether there is a track like t, and comes. Under mu.
func (l *lane) brings(t *ingest.Track, now time.Time) bool {
	return l.any(t, func(id uint8) bool { return l.parts.comes(id, now) })
}

// brought tells whether there is one that came. Under mu.
func (l *lane) brought(t *ingest.Track) bool {
	return l.any(t, func(id uint8) bool { return l.parts.tracks[id].proven() })
}

// any tells whether there is a track like t of which is holds. Under mu.
func (l *lane) any(t *ingest.Track, is func(id uint8) bool) bool {
	return slices.ContainsFunc(l.program.Tracks, func(u ingest.Track) bool { return alike(&u, t) && u.ID < ingest.MaxTracks && is(u.ID) })
}

func has(list []ingest.Track, t *ingest.Track) bool {
	return slices.ContainsFunc(list, func(u ingest.Track) bool { return alike(&u, t) })
}

// alike tells whether tracks are of one kind and language, as far as both are known.
func alike(t, u *ingest.Track) bool {
	return kindOf(t.Codec) == kindOf(u.Codec) && (language(t) == "" || language(u) == "" || t.Language == u.Language)
}
