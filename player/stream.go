package player

import (
	"context"
	"sync"
	"time"
)

// chunk is a run of container bytes that is always written whole. All clients share it, so nobody changes it.
type chunk struct {
	data   []byte
	jump   []byte // of a start: what goes before data for a client that comes from elsewhere in the stream; may be nil
	stamps stamps // what in data counts from a client's beginning
	at     time.Time
	start  bool // decoding can begin here
	old    bool // comes from before the live edge at the time the playing began: no start for who wants the next one
}

// A stream is one unbroken piece of container bytes: a run of TS packets, or one fMP4 init and what belongs to it. The
// pipeline appends chunks, any number of clients read them at their own pace, and nobody waits for anybody: what a slow client
// has not fetched when it is dropped here, it skips.
//
//	open --append--> open --end--> ended (clients read what is left, then their response ends)
type stream struct {
	contentType string
	omitted     string        // tracks of the program that this container cannot carry, for people
	sounds      string        // sound tracks of the program, as X-Tailcast-Audio has them; "" for TS
	captions    string        // of the program, as X-Tailcast-Captions has them
	header      []byte        // what every client gets first: the fMP4 init; nil for TS
	keepFor     time.Duration // chunks before the newest start are kept this long for slow clients
	keepBytes   int           // and the lot is never larger than this

	mu      sync.Mutex
	chunks  []chunk // oldest first
	first   uint64  // number of chunks[0]
	size    int     // bytes in chunks
	newest  uint64  // number of the newest start, if starts
	starts  bool
	ended   bool
	changed chan struct{} // closed at the next append or end
}

func newStream(keepFor time.Duration, keepBytes int) *stream {
	return &stream{keepFor: keepFor, keepBytes: keepBytes, changed: make(chan struct{})}
}

func (s *stream) append(c chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.start {
		s.newest, s.starts = s.first+uint64(len(s.chunks)), true
	}
	s.chunks = append(s.chunks, c)
	s.size += len(c.data)
	s.trim(c.at)
	s.wake()
}

// end lets clients read what is left and go.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wake()
}

func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// trim drops chunks from before the newest start once they are old, and the newest start too if it alone is too large.
func (s *stream) trim(now time.Time) {
	for len(s.chunks) > 1 && (s.size > s.keepBytes || s.first < s.newest && now.Sub(s.chunks[0].at) > s.keepFor) {
		if s.first == s.newest {
			s.starts = false
		}
		s.size -= len(s.chunks[0].data)
		s.chunks[0] = chunk{} // let the bytes go before the array does
		s.chunks = s.chunks[1:]
		s.first++
	}
}

// join makes a cursor that begins at the newest start, or (next) at the first one from now on.
func (s *stream) join(next bool) *cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &cursor{s: s, lost: true, live: next}
	if next {
		c.next = s.first + uint64(len(s.chunks))
	} else {
		c.lost = !c.find()
	}
	return c
}

// A cursor is one client's place in a stream. It belongs to the client's goroutine.
type cursor struct {
	s     *stream
	next  uint64 // number of the chunk to read next; while lost, of the first that may be a start
	lost  bool   // waits for a start
	live  bool   // takes no start from before the live edge
	begun bool   // has read something
}

// read returns the chunks the client has not had, waiting for at least one; none means that the stream has ended. skipped says
// that they do not follow on what was read before, since the client was too slow: they begin at the newest start.
func (c *cursor) read(ctx context.Context) (chunks []chunk, skipped bool, err error) {
	for {
		chunks, skipped, ended, changed := c.poll()
		if len(chunks) > 0 || ended {
			return chunks, skipped, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

func (c *cursor) poll() (chunks []chunk, skipped, ended bool, changed <-chan struct{}) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.lost && c.next < s.first {
		c.lost, c.live = true, false
	}
	if c.lost && !c.find() {
		return nil, false, s.ended, s.changed
	}
	skipped = c.lost && c.begun
	c.lost = false
	chunks = append(chunks, s.chunks[c.next-s.first:]...)
	c.next += uint64(len(chunks))
	if len(chunks) == 0 {
		return nil, false, s.ended, s.changed
	}
	if skipped && chunks[0].jump != nil {
		chunks = append([]chunk{{data: chunks[0].jump}}, chunks...)
	}
	c.begun = true
	return chunks, skipped, false, s.changed
}

// find moves a lost cursor to the newest start, if that will do.
func (c *cursor) find() bool {
	s := c.s
	if !s.starts || s.newest < c.next || c.live && s.chunks[s.newest-s.first].old {
		return false
	}
	c.next = s.newest
	return true
}
