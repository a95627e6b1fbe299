package ts

import (
	"bytes"

	"tailcast/ingest"
)

// picture is what the bytes of an access unit tell about it.
type picture struct {
	end        int  // where the next access unit begins, or the end of the bytes
	key        bool // decoding can begin here
	recovery   bool // decoding can begin here, and looks right after a few more
	parameters bool // parameter sets are there; in elementary.scratch, with start codes
}

// pictures splits u into access units.
func (s *Scanner) pictures(es *elementary, u unit) {
	p := es.look(u.data)
	first, n := u, int64(1)
	if p.end < len(u.data) {
		n += int64(countPictures(es.track.Codec, u.data[p.end:]))
	}
	for k := int64(1); ; k++ {
		rest := u.data[p.end:]
		u.data = u.data[:p.end]
		s.picture(es, u, p)
		if len(rest) == 0 {
			return
		}
		// Only the first has times of its own. The others share the time to the next PES packet, taken to be as long as the last was.
		shift := k * es.step / n
		s.stats.DTSFallbacks.Add(1)
		u = unit{data: rest, pts: first.pts + shift, dts: first.dts + shift, flags: first.flags & ingest.Damaged}
		p = es.look(rest)
	}
}

func (s *Scanner) picture(es *elementary, u unit, p picture) {
	// Some senders never set random_access_indicator and some always; those who mean it have parameter sets there.
	if p.key || p.recovery || u.rai && p.parameters {
		u.flags |= ingest.RandomAccess
		if !p.key {
			u.flags |= ingest.Recovery
		}
	}
	if p.parameters && u.flags&ingest.Damaged == 0 {
		s.configureVideo(es)
	}
	u.rai = false
	s.send(es, u)
}

// configureVideo takes over the parameter sets in scratch if one of them is new.
func (s *Scanner) configureVideo(es *elementary) {
	t := es.track
	width, height := dimensions(t.Codec, es.scratch)
	if t.Codec == ingest.MPEG2Video {
		// The matrices in a sequence header may change with each of them; every key picture brings its own.
		s.out.changed = s.out.changed || t.Width != width || t.Height != height
		t.Width, t.Height = width, height
		return
	}
	isNew := false
	eachUnit(es.scratch, func(nal []byte) { isNew = isNew || !bytes.Contains(t.Config, nal) })
	if isNew {
		t.Config, t.Width, t.Height = bytes.Clone(es.scratch), width, height
		s.out.changed = true
	}
}

// look reads one access unit. A delimiter should come first in it (H.264, 7.4.1.2.3), but x264's message with its options stands before that in what ffmpeg's
// multiplexer, and so OBS by SRT, sends first: messages and parameter sets alone are no access unit yet.
func (es *elementary) look(b []byte) (p picture) {
	es.scratch = es.scratch[:0]
	seen := false
	for i := nextUnit(b, 0); i < len(b); {
		kind := kindOf(es.track.Codec, b[i:])
		if kind&delimiter != 0 && seen {
			p.end = beginning(b, i)
			return p
		}
		seen = seen || kind&(information|parameters) == 0
		next := nextUnit(b, i)
		p.key = p.key || kind&key != 0
		if kind&parameters != 0 {
			p.parameters = true
			es.scratch = append(append(es.scratch, 0, 0, 0, 1), trim(b, i, next)...)
		}
		if kind&information != 0 && !p.recovery {
			p.recovery = hasRecoveryPoint(es.track.Codec, trim(b, i, next))
		}
		i = next
	}
	p.end = len(b)
	return p
}

func countPictures(c ingest.Codec, b []byte) (n int) {
	for i := nextUnit(b, 0); i < len(b); i = nextUnit(b, i) {
		if kindOf(c, b[i:])&delimiter != 0 {
			n++
		}
	}
	return n
}

// beginsPicture tells whether an access unit, and not just a part of one, begins at the first byte of b.
func beginsPicture(c ingest.Codec, b []byte) bool {
	i := nextUnit(b[:min(len(b), 8)], 0)
	return i <= 4 && i < len(b) && kindOf(c, b[i:])&(delimiter|parameters|first) != 0
}
