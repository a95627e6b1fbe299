package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParsePlan(t *testing.T) {
	got, err := parsePlan("1:1,100 4:25  4/8:10")
	one, four := stream{1_000_000, 6 << 10, 8}, stream{4_000_000, 8 << 10, 16}
	want := []row{{one, 1}, {one, 100}, {four, 25}, {stream{4_000_000, 8 << 10, 8}, 10}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestParsePlanRefuses(t *testing.T) {
	for plan, want := range map[string]string{
		"1":       "want Mbit/s[/stripes]:viewers",
		"x:1":     `"x" Mbit/s`,
		"0.001:1": "Mbit/s, want a number from 0.05",
		"1/33:1":  "stripes, want a number from 1 to 32",
		"1/a:1":   `"a" stripes`,
		"1:0":     `"0" viewers`,
		"1:1,":    `"" viewers`,
	} {
		if rows, err := parsePlan(plan); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want an error with %q", plan, rows, err, want)
		}
	}
}

// The streamer, who signs, and the viewers, who judge, must agree on when a block is due.
func TestStreamPace(t *testing.T) {
	begin := time.Unix(1_800_000_000, 12345)
	for _, s := range []stream{newStream(100_000), newStream(1_000_000), newStream(4_000_000), newStream(20_000_000)} {
		payload, segments := 0, 0
		for i := uint64(0); s.due(begin, i).Before(begin.Add(10 * time.Second)); i++ {
			payload += s.Block
			if s.first(i) {
				segments++
			}
			due := s.due(begin, i)
			if got := s.at(begin, due); got != i {
				t.Fatalf("%v: block %d is due at %v, where %d comes next", s, i, due, got)
			}
			if got := s.at(begin, due.Add(1)); got != i+1 {
				t.Fatalf("%v: after block %d comes %d", s, i, got)
			}
		}
		if rate := float64(payload) * 8 / 10; rate < 0.98*float64(s.Rate) || rate > 1.02*float64(s.Rate) || segments != 10 {
			t.Errorf("%v: signs %.0f bit/s in %d segments in 10 s, want %d and 10", s, rate, segments, s.Rate)
		}
	}
	if got := newStream(1_000_000).at(begin, begin.Add(-time.Hour)); got != 0 {
		t.Errorf("an hour before the beginning block %d comes next, want 0", got)
	}
}
