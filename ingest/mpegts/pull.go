package mpegts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"tailcast/ingest"
	"tailcast/internal/pace"
	"tailcast/internal/ts"
)

const (
	stallTime  = 10 * time.Second // without a byte, after which a connection counts as dead
	firstDelay = 250 * time.Millisecond
	maxDelay   = 10 * time.Second
)

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
		return fmt.Errorf("couldn't fetch %q: %w", h.URL, err)
	}
	client := h.Client
	if client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = stallTime
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
	for delay := firstDelay; ; {
		before := stats.Samples.Load()
		finished, err := once(client, req, scanner, pacer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if finished {
			return err
		}
		if stats.Samples.Load() > before {
			delay = firstDelay
		}
		stats.SetError(err)
		h.logger().Warn("stream ended, fetching it again", "url", req.URL.Redacted(), "error", err, "delay", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		delay = min(2*delay, maxDelay)
		stats.Reconnects.Add(1)
	}
}

// once fetches once. Finished says that there is nothing more to come, err why it ended.
func once(client *http.Client, req *http.Request, scanner *ts.Scanner, pacer *pace.Pacer) (finished bool, err error) {
	url := req.URL.Redacted()
	resp, err := client.Do(req)
	if err != nil {
		return false, fmt.Errorf("couldn't fetch the stream: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return false, fmt.Errorf("couldn't fetch %s: the server answered %s", url, resp.Status)
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
		return complete || recording && errors.Is(err, ts.ErrNotTS), fmt.Errorf("couldn't take %s: %w", url, err)
	case complete:
		return true, nil
	}
	return false, fmt.Errorf("couldn't go on with %s: the server ended the stream", url)
}
