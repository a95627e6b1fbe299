package srt

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Address is what an srt:// URL says.
type Address struct {
	Addr           string // host:port
	Listen         bool   // wait there instead of calling
	StreamID       string
	PassphraseFile string
	Latency        time.Duration // If zero, the default.
}

// ParseURL reads srt://host:port?mode=caller&streamid=...&passphrase-file=...&latency=120. Parameters that concern senders, or ffmpeg's
// handling of packets, are passed over.
func ParseURL(u *url.URL) (a Address, err error) {
	a.Addr = u.Host
	if u.Port() == "" {
		return a, errors.New("an srt:// URL needs a port: srt://host:8890")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, errors.New("the query of the srt:// URL cannot be read: write # as %23, and & within a value as %26")
	}
	switch mode := q.Get("mode"); mode {
	case "", "caller":
		if u.Hostname() == "" {
			return a, errors.New("whom to call? srt://host:port; to wait for a call: srt://:8890?mode=listener")
		}
	case "listener":
		a.Listen = true
	default:
		return a, fmt.Errorf("SRT mode %q: want caller or listener", mode)
	}
	if q.Has("passphrase") {
		return a, errors.New("a passphrase in the URL can be read by every user of this machine: put it into a file and write passphrase-file=FILE")
	}
	a.StreamID, a.PassphraseFile = q.Get("streamid"), q.Get("passphrase-file")
	if text := q.Get("latency"); text != "" {
		a.Latency, err = parseLatency(text)
	}
	if u.Fragment != "" {
		err = errors.New("the srt:// URL is cut at #: write # as %23, as in streamid=%23!::r=NAME,m=request")
	}
	return a, err
}

// parseLatency reads milliseconds, as SRT's own tools have them. ffmpeg and OBS write microseconds.
func parseLatency(text string) (time.Duration, error) {
	ms, err := strconv.ParseUint(text, 10, 32)
	d := time.Duration(ms) * time.Millisecond
	switch {
	case err != nil || d == 0:
		return 0, fmt.Errorf("SRT latency %q: want milliseconds, as in latency=120", text)
	case d > longestLatency:
		return 0, fmt.Errorf("SRT latency %q is in milliseconds and at most %d; 120000 of ffmpeg and OBS, which write microseconds, is latency=120", text, longestLatency.Milliseconds())
	}
	return d, nil
}
