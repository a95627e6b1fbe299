package main

import (
	"net/http"
	"net/http/httptest"
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
