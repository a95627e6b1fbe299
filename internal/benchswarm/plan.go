package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A stream is what the streamer signs: blocks of one size at one pace, a segment a second.
type stream struct {
	Rate    int64 // bits of payload per second
	Block   int   // bytes of payload
	Stripes int
}

// newStream fills in what docs/swarm.md and the segmenter choose for a bit rate.
func newStream(rate int64) stream {
	switch {
	case rate < 400_000:
		return stream{rate, 2 << 10, 1}
	case rate <= 750_000:
		return stream{rate, 4 << 10, 8}
	case rate < 3_500_000:
		return stream{rate, 6 << 10, 8}
	case rate < 16_000_000:
		return stream{rate, 8 << 10, 16}
	}
	return stream{rate, 8 << 10, 32}
}

// gap is the time between two blocks.
func (s stream) gap() time.Duration {
	return time.Duration(float64(s.Block) * 8 / float64(s.Rate) * float64(time.Second))
}

// due returns when block i is signed, if the first is at begin.
func (s stream) due(begin time.Time, i uint64) time.Time {
	return begin.Add(time.Duration(i) * s.gap())
}

// at returns the first block that is due at t, or later.
func (s stream) at(begin, t time.Time) uint64 {
	gap := s.gap()
	return uint64(max(0, t.Sub(begin)+gap-1) / gap)
}

// first reports whether block i begins a segment.
func (s stream) first(i uint64) bool {
	second := func(i uint64) int64 { return int64(time.Duration(i) * s.gap() / time.Second) }
	return i == 0 || second(i) != second(i-1)
}

// A row is one line of the table.
type row struct {
	stream  stream
	viewers int
}

func (r row) String() string {
	return fmt.Sprintf("%g Mbit/s in %d stripes, %d viewers", float64(r.stream.Rate)/1e6, r.stream.Stripes, r.viewers)
}

// parsePlan reads Mbit/s[/stripes]:viewers,viewers,... with spaces between several.
func parsePlan(plan string) (rows []row, err error) {
	for part := range strings.FieldsSeq(plan) {
		what, list, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("-plan %q: want Mbit/s[/stripes]:viewers, and more numbers of viewers after commas", part)
		}
		s, err := parseStream(what)
		if err != nil {
			return nil, fmt.Errorf("-plan %q: %w", part, err)
		}
		for text := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > 10_000 {
				return nil, fmt.Errorf("-plan %q: %q viewers, want a number from 1 to 10000", part, text)
			}
			rows = append(rows, row{s, n})
		}
	}
	return rows, nil
}

func parseStream(text string) (stream, error) {
	rate, stripes, given := strings.Cut(text, "/")
	mbit, err := strconv.ParseFloat(rate, 64)
	if err != nil || mbit < 0.05 || mbit > 100 {
		return stream{}, fmt.Errorf("%q Mbit/s, want a number from 0.05 to 100", rate)
	}
	s := newStream(int64(mbit * 1e6))
	if !given {
		return s, nil
	}
	if s.Stripes, err = strconv.Atoi(stripes); err != nil || s.Stripes < 1 || s.Stripes > 32 {
		return stream{}, fmt.Errorf("%q stripes, want a number from 1 to 32", stripes)
	}
	return s, nil
}
