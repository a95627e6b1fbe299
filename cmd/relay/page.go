package main

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"tailcast/node"
)

//go:embed web/*.css web/*.svg
var web embed.FS

// pageText is a template: the page is made here, so that it needs no script.
//
//go:embed web/relay.html
var pageText string

// policy allows the page a style and an icon, and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A page is what the template shows.
type page struct {
	Title, Sentence, State, Tone string
	Notes                        []string
	Gauges                       []gauge
	Channels                     []row
	Pin, Uptime, Now             string
}

// A gauge is a number, and perhaps what it may be.
type gauge struct {
	Name, Value, Of, More string
	Full                  bool   // it has a bar
	Fraction              uint64 // of it, in thousandths
}

// A row is a channel.
type row struct {
	Title, Short, State, Tone, Reason, Lag, Peers, Fed, Given, Ratio, Disk, Since, Link string
}

func newPage(s *status, pin string, now time.Time) page {
	p := page{
		Sentence: together(s.Reason), State: label(s.State), Tone: tone(s.State), Pin: pin,
		Title:  "Tailcast relay: " + count(len(s.Channels), "channel"),
		Uptime: span(time.Duration(s.Uptime * float64(time.Second))), Now: now.UTC().Format("2 January 2006, 15:04:05 UTC"),
		Gauges: []gauge{
			newGauge("Sending now", s.Upload.Rate, float64(s.Upload.Limit), rate),
			newGauge("Sent in "+now.UTC().Format("January"), float64(s.Monthly.Sent), float64(s.Monthly.Limit), bytes),
			newGauge("On disk", float64(s.Disk.Bytes+s.Disk.Leftover), float64(s.Disk.Limit), bytes),
		},
	}
	if s.Monthly.UsedUp {
		p.Gauges[0] = newGauge("Sending now", s.Upload.Rate, 0, rate) // nothing is allowed
	}
	for _, note := range s.Notes {
		p.Notes = append(p.Notes, together(note))
	}
	if s.Disk.Leftover > 0 {
		p.Gauges[2].More = amount(uint64(s.Disk.Leftover)) + " of channels that are not seeded any more"
	}
	for _, c := range s.Channels {
		p.Channels = append(p.Channels, newRow(&c))
	}
	return p
}

func bytes(n float64) string { return amount(uint64(n)) }

// together keeps numbers and what they count on one line.
func together(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words[:len(words)-1] {
		if word != "" && strings.Trim(word, "0123456789.") == "" {
			words[i] = word + "\u00a0"
			continue
		}
		words[i] = word + " "
	}
	return strings.Join(words, "")
}

func newGauge(name string, value, limit float64, write func(float64) string) gauge {
	g := gauge{Name: name, Value: together(write(value))}
	if limit > 0 {
		g.Of, g.Full, g.Fraction = together(write(limit)), true, uint64(1000*min(1, value/limit))
	}
	return g
}

func newRow(c *channel) row {
	r := row{
		Title: cmp.Or(c.Title, "Channel without a name"), Short: c.Key[:16], State: label(c.State), Tone: tone(c.State), Link: c.Link,
		Lag: "–", Disk: "–", Peers: fmt.Sprint(len(c.Peers)), Given: amount(c.Bytes.Sent.Total()),
	}
	if c.State != node.StateLive {
		r.Reason = c.Reason
	} else {
		r.Lag = seconds(c.Lag.P50)
	}
	if c.DiskError != "" {
		r.Reason = strings.TrimPrefix(r.Reason+"; disk: "+c.DiskError, "; ")
	}
	if n := c.Upload.Children; n > 0 {
		r.Fed = fmt.Sprint(n, " fed from here")
	}
	if got := c.Bytes.Received.Total(); got > 0 {
		r.Ratio = fmt.Sprintf("%.1f × received", float64(c.Bytes.Sent.Total())/float64(got))
	}
	if c.History != nil {
		r.Disk, r.Since = amount(uint64(c.History.Bytes)), "since "+c.History.From.UTC().Format("2 Jan, 15:04")
		if c.History.Short {
			r.Since += "; the disk is full"
		}
	}
	return r
}

// label writes a state as a word that begins a line.
func label(s node.State) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}

// tone is the colour of a state.
func tone(s node.State) string {
	switch s {
	case node.StateLive:
		return "live"
	case node.StateEnded:
		return "quiet"
	}
	return "warn"
}

// secure sets what every answer carries.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", policy)
		next.ServeHTTP(w, r)
	})
}

// face is what the relay shows over HTTP: the page, and of each channel the status.
func (r *relay) face() node.Face {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", r.page())
	mux.HandleFunc("GET /web/{file}", func(w http.ResponseWriter, req *http.Request) {
		http.ServeFileFS(w, req, web, "web/"+req.PathValue("file"))
	})
	mux.HandleFunc("GET /c/{key}/api/v1/status", r.serveChannel)
	return node.Face{Status: func() any { return r.status() }, Ready: r.isReady, Page: secure(mux)}
}

// isReady reports whether something is seeded.
func (r *relay) isReady() (bool, string) {
	s := r.status()
	if s.live() > 0 || len(s.Channels) == 0 {
		return s.live() > 0, s.Reason
	}
	return false, s.Channels[0].Reason
}

// page answers with the page. What broadcasters write, html/template takes for text.
func (r *relay) page() http.Handler {
	layout, pin := template.Must(template.New("page").Parse(pageText)), r.ready().Pin
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := r.status()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = layout.Execute(w, newPage(&s, pin, time.Now())) // an error here is the client's absence
	})
}

func (r *relay) serveChannel(w http.ResponseWriter, req *http.Request) {
	for _, m := range r.list() {
		if m.link.Root.String() == req.PathValue("key") {
			node.WriteStatus(w, req, channel{m.link.Root.String(), m.channel.Status()})
			return
		}
	}
	http.Error(w, "no such channel is seeded here", http.StatusNotFound)
}
