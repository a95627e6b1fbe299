package mpegts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tailcast/ingest"
	"tailcast/internal/pace"
	"tailcast/internal/ts"
)

// stallTime is how long a connection may be without a byte before it counts as dead.
const stallTime = 10 * time.Second

// HTTPPull fetches a stream over HTTP, and again whenever it ends, waiting a little longer after each failure in a row. A
// response that declares its length is a recording: it is paced like a File and ends the source when it is complete.
type HTTPPull struct {
	Config
	URL    string
	Client *http.Client // If nil, one that waits 10 s for an answer.
}

// Run implements ingest.Source.
func (h *HTTPPull) Run(ctx context.Context, sink ingest.Sink) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return fmt.Errorf("couldn't fetch %q: %w", strings.SplitN(h.URL, "?", 2)[0], errors.Unwrap(err))
	}
	client := h.Client
	if client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = stallTime
		transport.DialContext = ingest.Dialer().DialContext
		transport.DisableCompression = true // TS does not get smaller, only later
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport}
	}
	return h.repeat(ctx, client, req, sink)
}

func (h *HTTPPull) repeat(ctx context.Context, client *http.Client, req *http.Request, sink ingest.Sink) error {
	cfg := h.Config
	cfg.Stats = h.stats()
	stats := cfg.Stats
	pacer := pace.NewPacer(ctx, sink, math.Inf(1))
	scanner := cfg.scanner(pacer)
	for pause, slow := (ingest.Backoff{}), ingest.AfterRefusal(); ; {
		before := stats.Samples.Load()
		finished, err := once(client, req, scanner, pacer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if finished || errors.Is(err, ErrPlaylist) {
			return err
		}
		if stats.Samples.Load() > before {
			pause.Reset()
			slow.Reset()
		}
		delay := pause.Next()
		if errors.Is(err, errPassword) {
			delay = slow.Next()
		}
		stats.SetError(err)
		h.logger().Warn("stream ended, fetching it again", "url", public(req.URL), "error", err, "delay", delay)
		if !ingest.Sleep(ctx, delay) {
			return ctx.Err()
		}
		stats.Reconnects.Add(1)
	}
}

// ErrPlaylist is why nothing is delivered if the URL is that of a playlist: ingest/hls can follow it.
var ErrPlaylist = errors.New("this is a playlist of HLS, not a stream")

var errPassword = errors.New("the server wants a password: write it into the URL, as http://USER:PASSWORD@HOST/")

// public is a URL as it may be shown: without password and query, either of which may hold a secret.
func public(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.Fragment = "", ""
	return shown.Redacted()
}

// refuse says why an answer is of no use; nil if it may be a stream.
func refuse(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case resp.StatusCode == http.StatusUnauthorized:
		return errPassword
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the server answered %s", resp.Status)
	case encoding != "" && encoding != "identity":
		return fmt.Errorf("the server sends the stream as %s, which nobody asked for: switch that off for video", encoding)
	case strings.HasSuffix(kind, "mpegurl"):
		return ErrPlaylist
	case kind == "text/html":
		return errors.New("the server answered with a web page, not a stream: is this the right address?")
	}
	return nil
}

// once fetches once. Finished says that there is nothing more to come, err why it ended.
func once(client *http.Client, req *http.Request, scanner *ts.Scanner, pacer *pace.Pacer) (finished bool, err error) {
	name := public(req.URL)
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error // which says the URL with its query
		if errors.As(err, &u) {
			err = u.Err
		}
		return false, fmt.Errorf("couldn't fetch %s: %w", name, err)
	}
	if err := refuse(resp); err != nil {
		resp.Body.Close()
		return false, fmt.Errorf("couldn't fetch %s: %w", name, err)
	}
	recording := resp.ContentLength >= 0
	if pacer.SetSpeed(math.Inf(1)); recording {
		pacer.SetSpeed(1)
	}
	err = pump(req.Context(), resp.Body, scanner, stallTime)
	complete := recording && err == nil
	if err == nil {
		err = scanner.Diagnose()
	}
	switch {
	case err != nil:
		return complete || recording && errors.Is(err, ts.ErrNotTS), fmt.Errorf("couldn't take %s: %w", name, err)
	case complete:
		return true, nil
	}
	return false, fmt.Errorf("couldn't go on with %s: the server ended the stream", name)
}
