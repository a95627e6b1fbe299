package player

import (
	"bytes"
	"context"
	"encoding/xml"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/ingest"
)

// titled puts a channel on air under a name.
func (c *channelTest) titled(title string, codecs ...string) {
	c.t.Helper()
	w, err := feed.NewWriter(feed.WriterConfig{Replica: c.replica, Station: c.station})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	if err := w.SetState(feed.State{Title: title, Renditions: []feed.Rendition{{Name: "main", Codecs: codecs, Stripes: 1}}}); err != nil {
		c.t.Fatal(err)
	}
}

func body(t *testing.T, url string) (string, http.Header) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, r.Status, err, text)
	}
	return string(text), r.Header
}

var entry = regexp.MustCompile(`(?m)^#EXTINF:-1 tvg-id="([^"]*)" tvg-chno="\d+" tvg-name="([^"]*)" tvg-logo="([^"]*)" group-title="([^"]*)"( radio="true")?,([^,\n]*)\n(\S+)$`)

// TestLineup: the list is what Kodi's and Jellyfin's readers want, behind a prefix too, and no title can add a line to it.
func TestLineup(t *testing.T) {
	tv, radio, film := newChannel(t, Config{}), newChannel(t, Config{}), newChannel(t, Config{})
	tv.titled("Eins, zwei\n#EXTINF:-1,\"evil\"", "h264", "aac")
	radio.titled("Wave", "mp4a.40.2")
	film.titled("", "vp9", "opus")
	lineup := NewLineup(tv.server,
		Station{Server: tv.server, Path: ""}, Station{Server: radio.server, Path: "c/r/", Name: "My wave", Group: "Radio", Logo: "http://192.0.2.1/x.png"},
		Station{Server: film.server, Path: "c/f/"})
	server := httptest.NewServer(http.StripPrefix("/token", lineup))
	defer server.Close()
	base := server.URL + "/token/"
	text, header := body(t, base+"channels.m3u")
	if !strings.HasPrefix(text, `#EXTM3U url-tvg="`+base+`epg.xml"`) || header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v\n%s", header, text)
	}
	want := [][]string{
		{tv.server.id() + ".tailcast", "Eins, zwei #EXTINF:-1,'evil'", base + "logo.png", "Tailcast", "", "Eins  zwei #EXTINF:-1 'evil'", base + "live.ts"},
		{radio.server.id() + ".tailcast", "My wave", "http://192.0.2.1/x.png", "Radio", ` radio="true"`, "My wave", base + "c/r/live.ts"},
		{film.server.id() + ".tailcast", "Channel " + film.server.id()[:8], base + "c/f/logo.png", "Tailcast", "", "Channel " + film.server.id()[:8], base + "c/f/live.mp4"},
	}
	got := entry.FindAllStringSubmatch(text, -1)
	if len(got) != len(want) || strings.Count(text, "\n") != 1+2*len(want) {
		t.Fatalf("%d entries, want %d:\n%s", len(got), len(want), text)
	}
	for i := range want {
		if strings.Join(got[i][1:], "|") != strings.Join(want[i], "|") {
			t.Errorf("entry %d:\n%q, want\n%q", i, got[i][1:], want[i])
		}
	}
	logo, _ := body(t, got[0][3])
	if _, err := png.Decode(strings.NewReader(logo)); err != nil {
		t.Errorf("logo: %v", err)
	}
}

// TestGuide reads the guide as XMLTV software does.
func TestGuide(t *testing.T) {
	c := newChannel(t, Config{})
	c.titled("A & <B>", "h264")
	server := httptest.NewServer(NewLineup(c.server, Station{Server: c.server}))
	defer server.Close()
	text, _ := body(t, server.URL+"/epg.xml")
	var guide xmltv
	if err := xml.Unmarshal([]byte(text), &guide); err != nil {
		t.Fatal(err)
	}
	if len(guide.Channels) != 1 || guide.Channels[0].Name != "A & <B>" || guide.Channels[0].ID != c.server.id()+".tailcast" {
		t.Fatalf("channels %+v", guide.Channels)
	}
	now, covered, end := time.Now(), false, time.Time{}
	for i, p := range guide.Programmes {
		start, err := time.Parse("20060102150405 -0700", p.Start)
		stop, err2 := time.Parse("20060102150405 -0700", p.Stop)
		if err != nil || err2 != nil || !start.Before(stop) || i > 0 && !start.Equal(end) || p.Channel != guide.Channels[0].ID {
			t.Errorf("programme %d: %+v", i, p)
		}
		covered = covered || !now.Before(start) && now.Before(stop)
		end = stop
	}
	if !covered || end.Sub(now) < 12*time.Hour {
		t.Errorf("the guide does not cover now, or ends at %v", end)
	}
	if lint, err := exec.LookPath("xmllint"); err == nil {
		cmd := exec.Command(lint, "--noout", "--nonet", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("xmllint: %v: %s", err, out)
		}
	}
}

// TestCatchUp: where the past is kept, Kodi is told how to ask for it, and what it asks for is answered.
func TestCatchUp(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	l := NewLineup(c.server, Station{Server: c.server})
	server := httptest.NewServer(l)
	defer server.Close()
	if text, _ := body(t, server.URL+"/channels.m3u"); strings.Contains(text, "catchup") {
		t.Errorf("eight seconds are offered as the past:\n%s", text)
	}
	from, _, _ := c.replica.Kept("main")
	x := listing{id: "x", title: "X", stream: "http://h/live.ts", kept: from.Add(-30 * time.Hour)}
	if got, want := l.entry(1, x), ` catchup="default" catchup-days="2" catchup-source="http://h/live.ts?at={utc}",X`; !strings.Contains(got, want) {
		t.Errorf("entry %q, want %q in it", got, want)
	}
	if m, err := parseMoment("1767225600"); err != nil || !m.at.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("seconds since 1970: %v, %v", m.at, err)
	}
	readUntil(t, c.watch("/live.ts?at="+strconv.FormatInt(from.Unix()+1, 10)).Body, pictures(program.Tracks[0].ID, 3))
}

// TestListedStreamsPlay: what the list names can be opened.
func TestListedStreamsPlay(t *testing.T) {
	program, in := clipSamples(t)
	c := newChannel(t, Config{})
	b := c.broadcast(program)
	defer b.stop()
	b.write(in)
	server := httptest.NewServer(NewLineup(c.server, Station{Server: c.server}))
	defer server.Close()
	text, _ := body(t, server.URL+"/channels.m3u")
	url := entry.FindStringSubmatch(text)[7]
	readUntil(t, c.watch(strings.TrimPrefix(url, server.URL)).Body, pictures(program.Tracks[0].ID, 3))
}

func TestRadioIsWhatHasNoPictures(t *testing.T) {
	for codecs, want := range map[string]bool{"": false, "aac": true, "mp3,opus": true, "mp4a.40.2": true, "h264,aac": false, "avc1.64001f": false, string(ingest.MPEG2Video): false} {
		var list []string
		if codecs != "" {
			list = strings.Split(codecs, ",")
		}
		if got := isRadio(list); got != want {
			t.Errorf("%s: radio %v, want %v", codecs, got, want)
		}
	}
}

func TestLogosDiffer(t *testing.T) {
	if bytes.Equal(drawLogo([32]byte{1, 2, 3, 4}), drawLogo([32]byte{1, 2, 3, 5})) {
		t.Error("two keys have one picture")
	}
}
