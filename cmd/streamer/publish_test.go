package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWhoMayPublish(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name, key, from, header, value string
		want                           int
	}{
		{"this machine, no key set", "", "127.0.0.1:9", "", "", 200},
		{"this machine by IPv6", "", "[::1]:9", "", "", 200},
		{"another machine, no key set", "", "192.0.2.7:9", "", "", 403},
		{"a web page on this machine", "", "127.0.0.1:9", "Origin", "http://evil.example", 403},
		{"a form of a web page", "", "127.0.0.1:9", "Sec-Fetch-Site", "cross-site", 403},
		{"through a proxy on this machine", "", "127.0.0.1:9", "X-Forwarded-For", "192.0.2.7", 403},
		{"through one that says it otherwise", "", "127.0.0.1:9", "Via", "1.1 proxy", 403},
		{"no key shown", "sesame-open", "127.0.0.1:9", "", "", 401},
		{"another key", "sesame-open", "192.0.2.7:9", "Authorization", "Bearer sesame-opem", 401},
		{"bearer token", "sesame-open", "192.0.2.7:9", "Authorization", "Bearer sesame-open", 200},
		{"password", "sesame-open", "192.0.2.7:9", "Authorization", "Basic eDpzZXNhbWUtb3Blbg==", 200},
	} {
		r := httptest.NewRequest("PUT", "/ingest", nil)
		r.RemoteAddr = c.from
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		guard(c.key, ok).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", c.name, w.Code, c.want)
		}
	}
}

// TestRecipesPublish: what the page says to paste lets an encoder in, once the key stands where it says; and it does not give the key away.
func TestRecipesPublish(t *testing.T) {
	for _, key := range []string{"", "sesame-open"} {
		src, err := waitForPush(&options{key: key, rtsp: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- src.run(ctx, &recorder{}) }()
		web := httptest.NewServer(src.ways[0].handler)
		p := src.pushes(web.URL, key != "")
		if shown := p.HTTP + p.RTSP; key != "" && strings.Contains(shown, key) || strings.Count(shown, "YOUR-KEY") != 2*min(len(key), 1) {
			t.Errorf("key %q: the page shows %s", key, shown)
		}
		r, err := http.NewRequest(http.MethodPut, strings.ReplaceAll(p.HTTP, "YOUR-KEY", key), strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
			t.Errorf("key %q: what the page says to paste is answered with %s", key, answer.Status)
		}
		web.Close()
		cancel()
		<-done
	}
}
