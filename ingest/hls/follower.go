package hls

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tailcast/ingest"
)

// A follower reloads one media playlist and hands out what is new in it, in order.
//
//	reload ─▶ adopt: begins anew? jumped? ─▶ next piece ─▶ fetch, decrypt ─▶ queue (full: wait)
//	   ▲                                                                       │
//	   └── after a target duration, half of one if nothing was new (RFC 8216, 6.3.4), or at once where the server waits for news
type follower struct {
	pull   *Pull
	stream stream
	main   *follower // whose beginning this one's is near; nil if this is the main one
	out    chan piece
	loader loader

	list      *list
	first     bool // nothing was taken yet
	next      position
	runs      int // how often the numbers began anew
	backwards int // reloads in a row in which they seemed to
	changed   time.Time
	warned    bool // that nothing changes

	recording atomic.Bool // the playlist was complete from the beginning
	began     chan struct{}
	begin     segment       // where the first piece is from; valid when began is closed
	distance  time.Duration // from the end that is to be kept; valid when began is closed

	// How much of the playlist is in front of a piece, for the pace.
	taken time.Duration // of all pieces so far
	edge  atomic.Int64  // taken and what is listed behind it, in nanoseconds
}

// position is the next segment, or part of it.
type position struct{ number, part int }

// piece is a segment, or a part of one, as it came and in the clear.
type piece struct {
	era      era
	data     []byte
	init     []byte        // init section of fMP4; nil if it is not needed
	whole    bool          // a segment of its own, not a part
	start    time.Duration // sum of the durations before
	duration time.Duration
	date     time.Time // of its beginning; zero if unknown
	dated    bool      // by a tag
}

// era is a time in which the media clock goes on: it ends with a discontinuity, or when the numbers begin anew.
type era struct{ run, discontinuity int }

func (e era) before(f era) bool {
	return e.run < f.run || e.run == f.run && e.discontinuity < f.discontinuity
}

const (
	queued     = 2                // pieces that wait
	attempts   = 4                // to fetch a segment
	longTarget = 60 * time.Second // no target duration is taken for longer
)

func newFollower(p *Pull, s stream, main *follower) *follower {
	most := int64(maxSegment)
	if main != nil {
		most = maxSound
	}
	return &follower{
		pull: p, stream: s, main: main, first: true, out: make(chan piece, queued), began: make(chan struct{}),
		loader: loader{client: p.client, most: most},
	}
}

// run follows until the playlist ends. Whoever calls it closes out after that.
func (f *follower) run(ctx context.Context) error {
	for pause := (ingest.Backoff{}); ; {
		loaded := time.Now()
		fresh, err := f.reload(ctx)
		var final refusal
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (errors.As(err, &final) || errors.Is(err, errMaster)) && f.first:
			return err
		case err != nil:
			f.pull.trouble("playlist could not be loaded, trying again", f.stream.name, err)
			if !ingest.Sleep(ctx, pause.Next()) {
				return ctx.Err()
			}
			continue
		}
		pause.Reset()
		if err := f.drain(ctx); err != nil {
			return err
		}
		if f.list.ended {
			return nil
		}
		if !ingest.Sleep(ctx, f.pause(loaded, fresh)) {
			return ctx.Err()
		}
	}
}

// pause is how long to wait before the next reload.
func (f *follower) pause(loaded time.Time, fresh bool) time.Duration {
	every := min(f.list.target, longTarget)
	switch {
	case f.lowLatency() && fresh:
		return 0
	case f.lowLatency():
		every = f.list.part
	case !fresh:
		every /= 2
	}
	return max(every-time.Since(loaded), firstDelay/2)
}

// lowLatency tells whether parts are taken and reloads wait for them.
func (f *follower) lowLatency() bool { return f.list.part > 0 && f.list.blocks }

// reload loads the playlist; fresh tells whether there is anything new.
func (f *follower) reload(ctx context.Context) (fresh bool, err error) {
	uri, within := f.stream.uri, 2*stallTime
	if f.list != nil && f.lowLatency() && !f.first {
		uri, within = f.blocking(uri), 3*f.list.target+stallTime
	}
	a, err := f.load(ctx, uri, within)
	var status errStatus
	if errors.As(err, &status) && uri != f.stream.uri && strings.HasSuffix(status.status, http.StatusText(http.StatusBadRequest)) {
		f.list.blocks = false // it has forgotten what we ask for; a plain reload tells why
	}
	if err != nil {
		return false, err
	}
	l, err := parse(a.body, a.url)
	if err != nil {
		return false, err
	}
	if len(l.segments) == 0 {
		return false, errors.New("the playlist has no segments yet")
	}
	return f.adopt(ctx, l)
}

// load gets the playlist, or what was loaded of it before.
func (f *follower) load(ctx context.Context, uri string, within time.Duration) (answer, error) {
	if a := f.stream.loaded; a != nil {
		f.stream.loaded = nil
		return *a, nil
	}
	return f.pull.client.get(ctx, resource{uri: uri}, maxPlaylist, within)
}

// blocking adds the delivery directives that make the server answer when the next part is there (RFC 8216bis, 6.2.5.2).
func (f *follower) blocking(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	query := u.RawQuery
	if query != "" {
		query += "&"
	}
	u.RawQuery = query + "_HLS_msn=" + strconv.Itoa(f.next.number) + "&_HLS_part=" + strconv.Itoa(f.next.part)
	return u.String()
}

// adopt takes over a new version of the playlist.
func (f *follower) adopt(ctx context.Context, l *list) (fresh bool, err error) {
	now := time.Now()
	old := f.list
	if old != nil && !f.first && f.turned(l) {
		return false, nil
	}
	f.list = l
	if f.first {
		f.recording.Store(l.ended)
		f.changed = now
		if err := f.locate(ctx); err != nil {
			return false, err
		}
		f.first = false
		return true, nil
	}
	f.measure()
	if end(l) != end(old) || l.ended != old.ended {
		f.changed, f.warned = now, false
		f.catchUp()
		return true, nil
	}
	if patience := max(3*l.target, stallTime); now.Sub(f.changed) > patience && !f.warned {
		f.warned = true
		f.pull.trouble("nothing new comes", f.stream.name, errors.New("the playlist does not change any more: has the encoder stopped?"))
	}
	return false, nil
}

// end is where a playlist ends.
func end(l *list) position {
	s := l.segments[len(l.segments)-1]
	if s.open {
		return position{s.number, len(s.parts)}
	}
	return position{s.number + 1, 0}
}

// turned tells whether l is to be passed over since it is behind what was loaded before. Servers behind one address may be out of step; but if it
// stays like that and has nothing in common with what was there, the numbers have begun anew, and so does the follower.
func (f *follower) turned(l *list) bool {
	last := end(l)
	if !last.before(f.next) {
		f.backwards = 0
		return false
	}
	if shares(l, f.list) {
		return last.before(end(f.list)) // no news; or we stand behind its end, as when its last part vanished
	}
	if f.backwards++; f.backwards < 2 {
		return true
	}
	f.pull.log.Warn("the numbers of the playlist begin anew", "playlist", f.stream.name, "expected", f.next.number, "first", l.first)
	f.pull.stats.Reconnects.Add(1)
	f.backwards, f.runs = 0, f.runs+1
	f.next = f.fromEnd(l)
	return false
}

func (p position) before(q position) bool {
	return p.number < q.number || p.number == q.number && p.part < q.part
}

// shares tells whether two playlists have a segment of one number and URI.
func shares(l, old *list) bool {
	for _, s := range l.segments {
		i := s.number - old.first
		if i >= 0 && i < len(old.segments) && !s.open && old.segments[i].media == s.media {
			return true
		}
	}
	return false
}

// locate finds out where to begin.
func (f *follower) locate(ctx context.Context) error {
	if f.main == nil {
		f.next = f.fromEnd(f.list)
		f.begin, f.distance = f.list.segments[f.next.number-f.list.first], f.hold(f.list)
		close(f.began)
		return nil
	}
	select {
	case <-f.main.began:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.next = f.near(f.main.begin)
	return nil
}

// near is the segment that begins where s of another playlist does: by its date, or else by its number.
func (f *follower) near(s segment) position {
	for _, own := range f.list.segments {
		if !s.date.IsZero() && !own.date.IsZero() && own.date.Add(own.duration).After(s.date) {
			return position{number: own.number}
		}
		if (s.date.IsZero() || own.date.IsZero()) && own.number == s.number {
			return position{number: own.number}
		}
	}
	return f.fromEnd(f.list)
}

// fromEnd is where a broadcast is joined: three target durations from its end, or what the server says (RFC 8216, 6.3.3). A recording begins at its beginning.
func (f *follower) fromEnd(l *list) position {
	switch {
	case l.start != nil && *l.start >= 0:
		return fromBeginning(l, *l.start)
	case l.start == nil && l.ended:
		return position{number: l.first}
	}
	return backFrom(l, f.hold(l), f.lowLatency())
}

// hold is how far from the end of a broadcast one should be.
func (f *follower) hold(l *list) time.Duration {
	switch {
	case l.start != nil && *l.start < 0:
		return -*l.start
	case !f.lowLatency():
		return 3 * l.target
	case l.holdBack > 0:
		return l.holdBack
	}
	return 3 * l.part
}

func fromBeginning(l *list, offset time.Duration) position {
	for _, s := range l.segments {
		if offset -= s.duration; offset < 0 {
			return position{number: s.number}
		}
	}
	return position{number: l.segments[len(l.segments)-1].number}
}

// backFrom is the last place at which decoding can begin that is so far from the end, or the first there is.
func backFrom(l *list, hold time.Duration, parts bool) position {
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := l.segments[i]
		if parts {
			for k := len(s.parts) - 1; k >= 0; k-- {
				hold -= s.parts[k].duration
				if hold <= 0 && s.parts[k].independent {
					return position{s.number, k}
				}
			}
		}
		if !parts || len(s.parts) == 0 {
			hold -= s.duration
		}
		if hold <= 0 && !s.open {
			return position{number: s.number}
		}
	}
	return position{number: l.first}
}

// catchUp goes on near the end if that is far away, as after this machine slept: a broadcast is not watched hours late.
func (f *follower) catchUp() {
	l := f.list
	behind := time.Duration(f.edge.Load()) - f.taken
	if l.ended || f.recording.Load() || behind < 3*l.target+max(6*l.target, time.Minute) {
		return
	}
	to := f.fromEnd(l)
	f.pull.log.Warn("far behind the end of the playlist, going on there", "playlist", f.stream.name, "behind", behind)
	f.lost(to.number - f.next.number)
	f.next = to
	f.measure()
}

// measure works out how much is listed that was not taken yet.
func (f *follower) measure() {
	left := time.Duration(0)
	for _, s := range f.list.segments {
		if s.number > f.next.number || s.number == f.next.number && f.next.part == 0 {
			left += s.duration
			continue
		}
		if s.number == f.next.number && f.next.part < len(s.parts) {
			for _, p := range s.parts[f.next.part:] {
				left += p.duration
			}
		}
	}
	f.edge.Store(int64(f.taken + left))
}

// lost counts segments that will not come.
func (f *follower) lost(n int) {
	if n > 0 {
		f.pull.stats.LostSegments.Add(uint64(n))
	}
}
