package node

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWhoMayChoose: with the token, from this machine, and not for another site.
func TestWhoMayChoose(t *testing.T) {
	chosen := ""
	face := Face{Token: "sesame", Page: http.NotFoundHandler(), Choose: func(name string) error {
		if name != "480p" {
			return errors.New("the channel has no such rendition")
		}
		chosen = name
		return nil
	}}
	for _, c := range []struct {
		method, path, from, header, value, token string
		want                                     int
	}{
		{"GET", "/api/v1/token", "127.0.0.1:9", "", "", "", 200},
		{"GET", "/api/v1/token", "127.0.0.1:9", "Origin", "http://evil.example", "", 403},
		{"GET", "/api/v1/token", "127.0.0.1:9", "Sec-Fetch-Site", "cross-site", "", 403},
		{"GET", "/api/v1/token", "192.0.2.7:9", "", "", "", 403},
		{"POST", "/api/v1/rendition?name=480p", "127.0.0.1:9", "", "", "", 401},
		{"POST", "/api/v1/rendition?name=480p", "127.0.0.1:9", "", "", "sesam", 401},
		{"POST", "/api/v1/rendition?name=480p", "127.0.0.1:9", "Sec-Fetch-Site", "cross-site", "sesame", 403},
		{"POST", "/api/v1/rendition?name=480p", "192.0.2.7:9", "", "", "sesame", 403},
		{"POST", "/api/v1/rendition?name=4k", "127.0.0.1:9", "", "", "sesame", 404},
		{"GET", "/api/v1/rendition?name=480p", "127.0.0.1:9", "", "", "sesame", 404},
		{"POST", "/api/v1/rendition?name=480p", "127.0.0.1:9", "Sec-Fetch-Site", "same-origin", "sesame", 200},
	} {
		chosen = ""
		r := httptest.NewRequest(c.method, "http://127.0.0.1:8080"+c.path, nil)
		r.RemoteAddr = c.from
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		face.handler().ServeHTTP(w, r)
		if w.Code != c.want || (chosen != "") != (c.method == "POST" && c.want == 200) {
			t.Errorf("%s %s from %s, %s %s, token %q: got %d and chose %q, want %d", c.method, c.path, c.from, c.header, c.value, c.token, w.Code, chosen, c.want)
		}
		if c.want == 403 && strings.Contains(w.Body.String(), "sesame") {
			t.Error("gives the token away")
		}
	}
	face.Choose = nil
	w := httptest.NewRecorder()
	face.handler().ServeHTTP(w, httptest.NewRequest("POST", "http://127.0.0.1:8080/api/v1/rendition?name=480p", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("where there is nothing to choose: got %d, want 404", w.Code)
	}
}
