package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"

	"tailcast/ingest"
)

// Bounds of what is fetched, in bytes and time.
const (
	maxPlaylist = 4 << 20
	maxSegment  = 64 << 20 // 10 s at 50 Mbit/s
	maxSound    = 8 << 20  // a segment of sound that has a playlist of its own; 10 s at 6 Mbit/s
	maxInit     = 1 << 20
	maxKey      = 16 // AES-128 has no other length
	stallTime   = 10 * time.Second
)

// client fetches whole resources.
type client struct {
	http *http.Client
	own  *http.Transport // to be closed; nil if the client is another's
}

func newClient(given *http.Client) *client {
	if given != nil {
		return &client{http: given}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = ingest.Dialer().DialContext
	jar, _ := cookiejar.New(nil) // fails never
	return &client{http: &http.Client{Transport: transport, Jar: jar}, own: transport}
}

func (c *client) close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// resource is something to be fetched: all of it, or some bytes.
type resource struct {
	uri          string
	from, length int64 // length is 0 for all
}

// answer is what the server sent, and from where it came in the end.
type answer struct {
	body []byte
	url  *url.URL
}

// errStatus is an answer that was not a good one.
type errStatus struct{ status string }

func (e errStatus) Error() string { return "the server answered " + e.status }

var errStalled = fmt.Errorf("nothing came for %v", stallTime)

// get fetches r, of at most so many bytes, within so much time.
func (c *client) get(ctx context.Context, r resource, most int64, within time.Duration) (a answer, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it took longer than %v", within))
	defer cancel()
	ctx, stall := context.WithCancelCause(ctx)
	defer stall(nil)
	timer := time.AfterFunc(stallTime, func() { stall(errStalled) })
	defer timer.Stop()
	a, err = c.exchange(ctx, r, most, func() { timer.Reset(stallTime) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return a, fmt.Errorf("couldn't fetch %s: %w", public(r.uri), err)
	}
	return a, nil
}

// public is a URI as it may be shown: queries and passwords may be secrets.
func public(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "a URI that cannot be read"
	}
	u.RawQuery = ""
	return u.Redacted()
}

func (c *client) exchange(ctx context.Context, r resource, most int64, alive func()) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.uri, nil)
	if err != nil {
		return a, errors.Unwrap(err)
	}
	req.Header.Set("User-Agent", "tailcast")
	if r.length > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.from, r.from+r.length-1))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // which says the URL with its query
		}
		return a, err
	}
	defer resp.Body.Close()
	if err := judge(resp, most); err != nil {
		return a, err
	}
	a.url = resp.Request.URL
	if a.body, err = read(resp.Body, most, alive); err != nil {
		return a, err
	}
	if r.length > 0 && resp.StatusCode == http.StatusOK { // it does not know ranges
		if int64(len(a.body)) < r.from+r.length {
			return a, io.ErrUnexpectedEOF
		}
		a.body = a.body[r.from:][:r.length]
	}
	return a, nil
}

func judge(resp *http.Response, most int64) error {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return errStatus{resp.Status}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" {
		return errors.New("the server answered with a web page: is the address right, and does it need a password?")
	}
	if resp.ContentLength > most {
		return fmt.Errorf("it is %d bytes long, %d are the most", resp.ContentLength, most)
	}
	return nil
}

// read takes a body of at most so many bytes.
func read(body io.Reader, most int64, alive func()) (all []byte, err error) {
	all = make([]byte, 0, 64<<10)
	for {
		n, err := body.Read(all[len(all):cap(all)])
		all = all[:len(all)+n]
		switch {
		case int64(len(all)) > most:
			return all, fmt.Errorf("it is longer than %d bytes", most)
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		}
		if alive(); len(all) == cap(all) {
			all = append(all, 0)[:len(all)]
		}
	}
}
