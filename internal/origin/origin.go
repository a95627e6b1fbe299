// Package origin tells requests that a browser sends for another site from those of our own page, and of programs: what a page elsewhere makes a
// browser fetch comes from the owner's machine, too. For the HTTP servers of node and player.
package origin

import (
	"net/http"
	"net/url"
	"strings"
)

// Foreign tells whether a browser asks on behalf of a page that is not ours. Browsers say so in Sec-Fetch-Site (Fetch Metadata, 2.4), but only to
// servers that they trust: HTTPS, and addresses of their own machine. To others they say it in Origin or Referer, unless the page elsewhere takes
// these off, which it can with pictures and videos, whose bytes it cannot read. Programs send none of the three.
func Foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	case "same-origin", "none":
		return false
	}
	return elsewhere(r, "Origin") || elsewhere(r, "Referer")
}

// Refuse answers a request for another site, which may not do what is said, and tells whether it was one.
func Refuse(w http.ResponseWriter, r *http.Request, what string) bool {
	if !Foreign(r) {
		return false
	}
	http.Error(w, "another site may not "+what+" through your browser", http.StatusForbidden)
	return true
}

// elsewhere tells whether a header is there and names another host than the one that is asked.
func elsewhere(r *http.Request, header string) bool {
	text := r.Header.Get(header)
	if text == "" {
		return false
	}
	from, err := url.Parse(text)
	return err != nil || !strings.EqualFold(from.Host, r.Host)
}
