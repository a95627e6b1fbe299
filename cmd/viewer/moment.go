package main

import (
	"strings"
	"time"

	"tailcast/node"
)

// times returns the times that --from and --to mean, of a history from begin to end.
func (o *exportOptions) times(begin, end, now time.Time) (from, to time.Time, err error) {
	from, to = begin, end.Add(time.Microsecond)
	if o.from != "" {
		if from, err = moment(o.from, begin, end, now); err != nil {
			return from, to, node.Usagef("--from %v", err)
		}
	}
	if o.to != "" {
		if to, err = moment(o.to, from, end, now); err != nil {
			return from, to, node.Usagef("--to %v", err)
		}
	}
	if !from.Before(to) {
		return from, to, node.Usagef("--from %s is not before --to %s (there is something from %s to %s)", stamp(from), stamp(to), stamp(begin), stamp(end))
	}
	return from, to, nil
}

// moment reads a time: RFC 3339; a time of today, local; or relative: -60s before end, +60s after begin.
func moment(s string, begin, end, now time.Time) (time.Time, error) {
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		d, err := time.ParseDuration(s)
		if err != nil {
			return time.Time{}, node.Usagef("%q is not a duration like -60s or +15m", s)
		}
		if d < 0 || s[0] == '-' {
			return end.Add(d), nil
		}
		return begin.Add(d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), nil
		}
	}
	return time.Time{}, node.Usagef("%q is not a time: want 2026-11-23T10:00:00Z, 10:00:00, -60s or +60s", s)
}
