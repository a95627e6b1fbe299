package node

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHostCheck(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("page")) })
	h := Handler(Face{Status: func() any { return Status{} }, Page: page}, prometheus.NewRegistry())
	for host, want := range map[string]int{
		"127.0.0.1:8080":        200,
		"127.0.0.1":             200,
		"localhost:8080":        200,
		"[::1]:8080":            200,
		"[::1]":                 200,
		"192.168.1.7:8080":      200,
		"evil.example":          421,
		"evil.example:8080":     421,
		"127.0.0.1.evil.com:80": 421,
		"localhost.evil.com":    421,
		"":                      421,
		"0.0.0.0:8080":          421,
		"[::]:8080":             421,
		"[::ffff:0.0.0.0]:80":   421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: got %d, want %d", host, w.Code, want)
		}
	}
}

func TestReadyzFollowsState(t *testing.T) {
	status := Status{State: StateStalled, Reason: "nobody answers"}
	h := Handler(Face{
		Status: func() any { return status }, Page: http.NotFoundHandler(),
		Ready: func() (bool, string) { return status.State == StateLive, status.Reason },
	}, prometheus.NewRegistry())
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "127.0.0.1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := get("/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), "nobody answers") {
		t.Errorf("/readyz while stalled: got %d %q, want 503 with the reason", w.Code, w.Body)
	}
	if w := get("/healthz"); w.Code != 200 {
		t.Errorf("/healthz while stalled: got %d, want 200", w.Code)
	}
	status.State = StateLive
	if w := get("/readyz"); w.Code != 200 {
		t.Errorf("/readyz while live: got %d, want 200", w.Code)
	}
	if w := get("/api/v1/status"); w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("/api/v1/status: got headers %v, want JSON without CORS", w.Header())
	}
}

// TestNothingForOtherSites: what a page elsewhere makes a browser ask for, is refused wherever it would show the channel or the home network; programs and our
// own page get it.
func TestNothingForOtherSites(t *testing.T) {
	say := func() string { return "http://192.168.1.7:8080/secretsecretsecretsecretse/" }
	face := Face{Status: func() any { return Status{LAN: []string{say()}} }, Link: say, LAN: say, Page: http.NotFoundHandler(), Ready: func() (bool, string) { return true, "" }}
	other := face
	face.Channels = map[string]Face{"other": other}
	h := Handler(face, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // events end at once
	for _, path := range []string{"/api/v1/status", "/api/v1/events", "/api/v1/link.svg", "/api/v1/lan.svg"} {
		for _, c := range []struct {
			header, value string
			want          int
		}{
			{"X", "a program", 200},
			{"Sec-Fetch-Site", "same-origin", 200},
			{"Sec-Fetch-Site", "none", 200},
			{"Sec-Fetch-Site", "cross-site", 403},
			{"Sec-Fetch-Site", "same-site", 403},
			{"Origin", "http://evil.example", 403},
			{"Referer", "http://evil.example/", 403},
		} {
			for _, path := range []string{path, "/c/other" + path} {
				r, w := httptest.NewRequestWithContext(ctx, "GET", path, nil), httptest.NewRecorder()
				r.Host = "127.0.0.1"
				r.Header.Set(c.header, c.value)
				if h.ServeHTTP(w, r); w.Code != c.want || c.want == 403 && strings.Contains(w.Body.String(), "secret") {
					t.Errorf("%s, %s: %s: got %d %q, want %d", path, c.header, c.value, w.Code, w.Body, c.want)
				}
			}
		}
	}
}
