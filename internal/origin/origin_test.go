package origin

import (
	"net/http/httptest"
	"testing"
)

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		header, value string
		want          bool
	}{
		{"X", "a program", false},
		{"Sec-Fetch-Site", "same-origin", false},
		{"Sec-Fetch-Site", "none", false},
		{"Sec-Fetch-Site", "cross-site", true},
		{"Sec-Fetch-Site", "same-site", true},
		{"Origin", "http://192.168.1.7:8080", false},
		{"Origin", "http://192.168.1.7", true},
		{"Origin", "http://evil.example", true},
		{"Origin", "null", true},
		{"Referer", "http://192.168.1.7:8080/page", false},
		{"Referer", "http://evil.example/192.168.1.7:8080", true},
		{"Referer", "://", true},
	} {
		r := httptest.NewRequest("GET", "http://192.168.1.7:8080/live.ts", nil)
		r.Header.Set(c.header, c.value)
		if got := Foreign(r); got != c.want {
			t.Errorf("%s: %s: foreign %v, want %v", c.header, c.value, got, c.want)
		}
	}
	r := httptest.NewRequest("GET", "http://127.0.0.1:8080/", nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Referer", "https://tv.example/") // behind a proxy that the page came through
	if Foreign(r) {
		t.Error("a browser's word counts less than a proxy's")
	}
}
