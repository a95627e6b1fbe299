package player

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/segmenter"
)

// fakeChoice is a Choice that writes down what is wanted.
type fakeChoice struct {
	mu     sync.Mutex
	chosen string
	wants  []string
	done   int
}

func (f *fakeChoice) Chosen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.chosen
}

func (f *fakeChoice) Want(name string) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wants = append(f.wants, name)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.done++
	}
}

func (f *fakeChoice) wanted() ([]string, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.wants), f.done
}

// rungs airs renditions of the synthetic program in one epoch, until the test ends or stop is called.
func (c *channelTest) rungs(names ...string) (rungs map[string]*segmenter.Segmenter, stop func()) {
	c.t.Helper()
	w, err := feed.NewWriter(feed.WriterConfig{Replica: c.replica, Station: c.station})
	if err != nil {
		c.t.Fatal(err)
	}
	state := feed.State{Title: "test"}
	rungs = map[string]*segmenter.Segmenter{}
	for i, name := range names {
		state.Renditions = append(state.Renditions, feed.Rendition{Name: name, Codecs: []string{"h264", "mp4a.40.2"}, Stripes: 1, Bitrate: int64(4_000_000 >> i), Width: 1280 >> i, Height: 720 >> i})
		log, err := w.Log(name)
		if err != nil {
			c.t.Fatal(err)
		}
		rungs[name] = segmenter.New(segmenter.Config{}, func(b segmenter.Block) error {
			e := feed.Entry{Kind: feed.Media, DTS: b.DTS, Duration: b.Duration, Payload: b.Payload}
			if b.SegmentFirst {
				e.Flags |= feed.SegmentFirst
			}
			if b.RandomAccess {
				e.Flags |= feed.RandomAccess
			}
			_, err := log.Append(e)
			return err
		})
		rungs[name].SetProgram(syntheticProgram())
	}
	if err := w.SetState(state); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	c.t.Cleanup(stop)
	return rungs, stop
}

// get asks for a path, with a header if there is one.
func (c *channelTest) get(path string, header ...string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func write(to *segmenter.Segmenter, samples []ingest.Sample) {
	for _, s := range samples {
		to.WriteSample(s)
	}
}

// TestRenditionsAreServedByName: who names one gets that, who names none gets the one that the node has chosen, and the node is told as long as they watch.
func TestRenditionsAreServedByName(t *testing.T) {
	choice := &fakeChoice{chosen: "low"}
	c := newChannel(t, Config{Choice: choice, StartTimeout: 5 * time.Second})
	rungs, _ := c.rungs("high", "low")
	high, low := synthetic(6, 0), synthetic(6, 1)
	write(rungs["high"], high)
	write(rungs["low"], low)
	for path, want := range map[string][]ingest.Sample{"/live.ts?rendition=high": high, "/live.ts?rendition=low": low, "/live.ts": low} {
		answer := c.watch(path)
		got := track(scan(readUntil(t, answer.Body, pictures(picture, 10))).samples, picture)
		if !slices.ContainsFunc(want, func(s ingest.Sample) bool { return bytes.Equal(s.Data, got[0].Data) }) {
			t.Errorf("%s: not a picture of that rendition", path)
		}
		answer.Body.Close()
	}
	wants, _ := choice.wanted()
	slices.Sort(wants)
	if !slices.Equal(wants, []string{"high", "low", "low"}) {
		t.Errorf("the node was told of %v, want each that was asked for", wants)
	}

	if code, text := c.get("/live.ts?rendition=4k"); code != http.StatusNotFound || !strings.Contains(text, "no rendition of this name") {
		t.Errorf("a rendition that there is not: %d %s", code, text)
	}
	if code, _ := c.get("/live.ts?rendition=high", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("for another site: %d, want 403", code)
	}
	if after, _ := choice.wanted(); len(after) != len(wants) {
		t.Errorf("refused requests made the node follow %v", after[len(wants):])
	}
}

// TestNamedBeforeItIsKnown: who names a rendition waits for the catalog, as who names none does.
func TestNamedBeforeItIsKnown(t *testing.T) {
	c := newChannel(t, Config{StartTimeout: 100 * time.Millisecond})
	if code, text := c.get("/live.ts?rendition=low"); code != http.StatusServiceUnavailable {
		t.Errorf("got %d %s before anything is known, want to come back later", code, text)
	}
}

// TestLadder: the multivariant playlist names all renditions, the chosen one first; each plays by its own playlist, and the same moment has the same time in all.
func TestLadder(t *testing.T) {
	choice := &fakeChoice{chosen: "low"}
	c := newChannel(t, Config{Choice: choice})
	rungs, _ := c.rungs("high", "low")
	write(rungs["high"], synthetic(8, 0))
	write(rungs["low"], synthetic(8, 0))
	var list playlist.Multivariant
	multivariant(t, string(c.have("index.m3u8")))
	if err := list.Unmarshal(c.have("index.m3u8?dvr=1h")); err != nil {
		t.Fatal(err)
	}
	if len(list.Variants) != 2 || list.Variants[0].URI != "r/low/main.m3u8?dvr=1h" || list.Variants[1].URI != "r/high/main.m3u8?dvr=1h" {
		t.Fatalf("variants %+v, want low, which was chosen, and high", list.Variants)
	}
	for i, want := range []playlist.MultivariantVariant{{Bandwidth: 2_500_000, Resolution: "640x360"}, {Bandwidth: 5_000_000, Resolution: "1280x720"}} {
		v := list.Variants[i]
		found := i == 0 && v.Codecs[0] == "avc1.4d401e" // captions are looked for in the chosen one, so that it may be made already
		if v.Bandwidth != want.Bandwidth || v.Resolution != want.Resolution || !found && !slices.Equal(v.Codecs, []string{"avc1.64001f", "mp4a.40.2"}) {
			t.Errorf("variant %d is %+v", i, v)
		}
	}
	if wants, _ := choice.wanted(); len(wants) != 0 {
		t.Errorf("the list alone makes the node follow %v", wants)
	}
	times := map[string][]string{}
	for _, name := range []string{"high", "low"} {
		text := string(c.have("r/" + name + "/main.m3u8"))
		m := parseMedia(t, text)
		m.valid(t, text)
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "#EXTINF") {
				times[name] = append(times[name], line)
			}
			if strings.HasPrefix(line, "s/") && len(c.have("r/"+name+"/"+line)) == 0 {
				t.Errorf("%s of %s is empty", line, name)
			}
		}
	}
	if !slices.Equal(times["high"], times["low"]) || len(times["low"]) < 5 {
		t.Errorf("segments of high and low: %v and %v, want the same", times["high"], times["low"])
	}
	var again playlist.Multivariant
	if err := again.Unmarshal(c.have("index.m3u8")); err != nil {
		t.Fatal(err)
	}
	if v := again.Variants[0]; v.Codecs[0] != "avc1.4d401e" {
		t.Errorf("what is made has the codec %v of the catalog, want what was found", v.Codecs)
	}
}

// TestReports: the playlist of a rendition tells where those of the others end that are being made, by the address that the multivariant playlist gives them.
func TestReports(t *testing.T) {
	c := newChannel(t, Config{})
	rungs, _ := c.rungs("high", "low", "least")
	for _, to := range rungs {
		write(to, synthetic(8, 0))
	}
	of := func(name string) *media {
		text := string(c.have("r/" + name + "/main.m3u8?dvr=1h"))
		m := parseMedia(t, text)
		m.valid(t, text)
		return m
	}
	if first := of("high"); len(first.reports) != 0 {
		t.Errorf("of renditions that nobody asked for it is told %+v", first.reports)
	}
	next := of("low")
	for _, name := range []string{"high", "low"} {
		c.have(fmt.Sprintf("r/%s/main.m3u8?_HLS_msn=%d&_HLS_part=0", name, next.number+len(next.segments)))
	}
	low, high := of("low"), of("high")
	for _, x := range []struct{ in, other *media }{{low, high}, {high, low}} {
		number, part := x.other.end()
		uri := map[*media]string{low: "../low/main.m3u8?dvr=1h", high: "../high/main.m3u8?dvr=1h"}[x.other]
		if want := []mediaReport{{uri, number, part}}; !slices.Equal(x.in.reports, want) || part < 0 {
			t.Errorf("reports %+v, want %+v", x.in.reports, want)
		}
	}
}

// TestRenditionThatIsNotOnAgain: when another run of the channel has other renditions, streams of one that is gone end.
func TestRenditionThatIsNotOnAgain(t *testing.T) {
	c := newChannel(t, Config{})
	rungs, stop := c.rungs("high", "low")
	write(rungs["low"], synthetic(4, 0))
	stream := c.watch("/live.ts?rendition=low")
	past := c.watch("/live.ts?rendition=low&at=-0s")
	for _, r := range []*http.Response{stream, past} {
		readUntil(t, r.Body, pictures(picture, 3))
	}
	stop()
	c.rungs("high", "middle")
	for name, r := range map[string]*http.Response{"live": stream, "of the past": past} {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("the stream %s: %v, want its end", name, err)
		}
	}
	if code, _ := c.get("/live.ts?rendition=low"); code != http.StatusNotFound {
		t.Errorf("a rendition of before: got %d", code)
	}
}
