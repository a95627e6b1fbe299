package player

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A playlist names the container that carries the channel, below whatever the page is below, and no title can add a line to it.
func TestPlaylistOfOne(t *testing.T) {
	tv, film := newChannel(t, Config{}), newChannel(t, Config{})
	tv.titled("Eins\nhttp://192.0.2.1/evil", "h264", "aac")
	film.titled("Film", "vp9", "opus")
	mux := http.NewServeMux()
	mux.Handle("/token/c/a/", http.StripPrefix("/token/c/a", tv.server))
	mux.Handle("/", film.server)
	web := httptest.NewServer(mux)
	defer web.Close()
	for path, want := range map[string]string{
		"/token/c/a/live.m3u": "#EXTM3U\n#EXTINF:-1,Eins http://192.0.2.1/evil\n" + web.URL + "/token/c/a/live.ts?join=next\n",
		"/live.m3u":           "#EXTM3U\n#EXTINF:-1,Film\n" + web.URL + "/live.mp4?join=next\n",
	} {
		got, header := body(t, web.URL+path)
		if got != want || header.Get("Content-Type") != "audio/x-mpegurl" || !strings.Contains(header.Get("Content-Disposition"), ".m3u") {
			t.Errorf("%s: got %q, %v; want %q", path, got, header, want)
		}
	}
}

// No list tells another site what there is.
func TestListsRefuseOtherSites(t *testing.T) {
	tv := newChannel(t, Config{})
	web := httptest.NewServer(NewLineup(tv.server, Station{Server: tv.server}))
	defer web.Close()
	for _, path := range []string{"/live.m3u", "/channels.m3u", "/epg.xml", "/api/v1/channels", "/logo.png", "/hls/index.m3u8", "/live.ts"} {
		r, err := http.NewRequest(http.MethodGet, web.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Referer", "http://evil.example/")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %s, want 403", path, answer.Status)
		}
	}
}

// The page finds the channels of its node.
func TestChannelsForThePage(t *testing.T) {
	tv, radio := newChannel(t, Config{}), newChannel(t, Config{})
	tv.titled("Eins", "h264", "aac")
	radio.titled("Wave", "aac")
	web := httptest.NewServer(NewLineup(tv.server, Station{Server: tv.server, Path: "c/a/"}, Station{Server: radio.server, Path: "c/b/", Name: "Radio"}))
	defer web.Close()
	got, header := body(t, web.URL+"/api/v1/channels")
	want := `[{"path":"c/a/","title":"Eins","radio":false},{"path":"c/b/","title":"Radio","radio":true}]` + "\n"
	if got != want || header.Get("Content-Type") != "application/json" || header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %q, %v; want %q", got, header, want)
	}
}
