package player

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tailcast/feed"
)

// This file serves the past (at=), and who wants one sound track alone (audio=). Each client has a reader and a pipeline of its own, in the
// goroutine of its request: a block is read when the client has taken the one before. So nothing piles up, the disk is read as fast as the client drinks, and who catches up is live.

// A moment is what at= asks for.
type moment struct {
	at     time.Time
	before time.Duration // the newest moment kept, if at is zero
}

// parseMoment reads at=: a time as in RFC 3339 or in seconds since 1970 UTC, as television software has it, or a duration with a minus, counted
// from the newest moment kept.
func parseMoment(s string) (moment, error) {
	if strings.HasPrefix(s, "-") {
		if d, err := time.ParseDuration(s[1:]); err == nil && d >= 0 {
			return moment{before: d}, nil
		}
	}
	if seconds, err := strconv.ParseUint(s, 10, 32); err == nil {
		return moment{at: time.Unix(int64(seconds), 0)}, nil
	}
	// In a query, + stands for a blank unless somebody escaped it.
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(s, " ", "+"))
	if err != nil || t.UnixMicro() < 0 {
		return moment{}, errors.New("at must be a time like 2026-01-02T15:04:05Z, or a duration before live like -60s")
	}
	return moment{at: t}, nil
}

// notKeptGrace is how far at= may be ahead of the newest record: as far as a clock may be wrong that counts as right.
const notKeptGrace = 5 * time.Second

// in returns the time that is meant, given what is kept, or a refusal.
func (m moment) in(from, to time.Time) (time.Time, error) {
	t := m.at
	if t.IsZero() {
		t = to.Add(-m.before)
	}
	if t.Before(from) || t.After(to.Add(notKeptGrace)) {
		return t, refusal(fmt.Sprintf("nothing of %s is kept here; kept from %s to %s", clock(t), clock(from), clock(to)))
	}
	return t, nil
}

// fineClock is RFC 3339 in milliseconds: a page draws its timeline by it.
const fineClock = "2006-01-02T15:04:05.000Z07:00"

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// A rerun is what one client gets for itself.
type rerun struct {
	log      string
	reader   *feed.Reader
	unread   prometheus.Counter
	pipeline *pipeline
	out      *outlet
	stream   *stream // the one the client gets; nil while it is not known
	chunks   []chunk // of stream, for the client
	begun    bool    // a start has come
	over     bool    // another stream follows, which this client cannot get
	wall     int64   // of the first record
}

func (l live) newRerun(log string, reader *feed.Reader, sound *int) *rerun {
	r := &rerun{log: log, reader: reader, out: newOutlet(), pipeline: newPipeline(time.Now), unread: l.metrics.unread}
	open := func() *stream { return newStream(0, 0) } // for its header; chunks are taken here
	container := l.make
	if sound != nil {
		container = newMP4Of(*sound)
	}
	r.pipeline.formats = []format{container(r.out, open, r.push)}
	return r
}

// push is called by the format.
func (r *rerun) push(s *stream, c chunk) {
	if r.stream == nil {
		r.stream = s
	}
	r.begun = r.begun || c.start
	r.over = r.over || s != r.stream
	if r.begun && !r.over {
		r.chunks = append(r.chunks, c)
	}
}

// read reads one block.
func (r *rerun) read(ctx context.Context) error {
	item, err := r.reader.Next(ctx)
	if err != nil {
		return err
	}
	if r.wall == 0 {
		r.wall = item.Block.Record.Wall
	}
	if r.pipeline.block(&item.Block, item.Epoch.ID(), item.Reset) != nil {
		r.unread.Inc()
	}
	return nil
}

// start reads until there is something to send, or it is known that there never will be.
func (r *rerun) start(ctx context.Context) error {
	for len(r.chunks) == 0 {
		if err := r.read(ctx); err != nil {
			return err
		}
		if _, err := r.out.now(); err != nil {
			return err
		}
	}
	return nil
}

// take returns what was made since.
func (r *rerun) take() []chunk {
	chunks := r.chunks
	r.chunks = nil
	return chunks
}

// serveAlone answers a request for the past, or for one sound track.
func (l live) serveAlone(w http.ResponseWriter, r *http.Request, a ask) {
	again, err := l.open(r.Context(), a)
	var no refusal
	switch {
	case errors.As(err, &no):
		l.refuse(w, "past", http.StatusNotFound, string(no))
		return
	case err != nil:
		l.refuseWaiting(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), l.cfg.StartTimeout)
	err = again.start(ctx)
	cancel()
	switch {
	case errors.As(err, &no):
		l.refuse(w, "codec", http.StatusNotAcceptable, string(no))
		return
	case err != nil:
		l.refuseWaiting(w)
		return
	}
	l.describe(w, again.stream)
	w.Header().Set("X-Tailcast-From", time.UnixMicro(again.wall).UTC().Format(fineClock))
	if r.Method == http.MethodHead {
		return
	}
	l.rerun(w, r, again)
}

// open finds what was on air, or is.
func (l live) open(ctx context.Context, a ask) (*rerun, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.StartTimeout)
	defer cancel()
	name, err := l.chooseLog(ctx)
	if err != nil {
		return nil, err
	}
	if a.past == nil {
		return l.newRerun(name, l.cfg.Replica.Follow(name, joining(a.next), l.cfg.Patience), a.sound), nil
	}
	reader, err := l.readerAt(name, *a.past)
	if err != nil {
		return nil, err
	}
	return l.newRerun(name, reader, a.sound), nil
}

func joining(next bool) feed.Join {
	if next {
		return feed.JoinNext
	}
	return feed.JoinLast
}

// readerAt reads from what was on air.
func (l live) readerAt(name string, m moment) (*feed.Reader, error) {
	from, to, ok := l.cfg.Replica.Kept(name)
	if !ok {
		return nil, refusal("nothing of this channel is kept here yet")
	}
	at, err := m.in(from, to)
	if err != nil {
		return nil, err
	}
	reader, err := l.cfg.Replica.OpenAt(name, at, l.cfg.Patience)
	if err != nil {
		return nil, refusal(fmt.Sprintf("nothing of %s is kept here any longer", clock(at)))
	}
	return reader, nil
}

// rerun sends the past, and goes on live.
func (l live) rerun(w http.ResponseWriter, r *http.Request, again *rerun) {
	c, leave := l.client(w)
	defer leave()
	err := c.write([]chunk{{data: again.stream.header}})
	for err == nil {
		err = c.write(again.take())
		if err == nil && !again.over {
			err = l.more(r.Context(), again)
		}
		if again.over && len(again.chunks) == 0 {
			return
		}
	}
}

// more reads one block, and looks now and then whether the channel still has this rendition.
func (l live) more(ctx context.Context, again *rerun) error {
	brief, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := again.read(brief)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		again.over = l.log() != again.log || l.gone(again.log)
		return nil
	}
	return err
}
