package player

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tailcast/feed"
)

// onAir signs states of a channel one after the other.
func (c *channelTest) onAir(states ...feed.State) {
	c.t.Helper()
	w, err := feed.NewWriter(feed.WriterConfig{Replica: c.replica, Station: c.station})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, s := range states {
		if err := w.SetState(s); err != nil {
			c.t.Fatal(err)
		}
	}
}

// The parts of xmltv.dtd that a guide of ours may use: what stands in each element, in order, and its attributes, those with ! required.
var xmltvDTD = map[string]struct{ children, attributes string }{
	"tv":           {`^(channel )*(programme )*$`, "date source-info-url source-info-name source-data-url generator-info-name generator-info-url"},
	"channel":      {`^(display-name )+(icon )*(url )*$`, "id!"},
	"display-name": {`^$`, "lang"},
	"icon":         {`^$`, "src! width height"},
	"programme":    {`^(title )+(sub-title )*(desc )*(credits )?(date )?(category )*(keyword )*(language )?(icon )*$`, "start! channel! stop pdc-start vps-start showview videoplus clumpidx"},
	"title":        {`^$`, "lang"},
	"desc":         {`^$`, "lang"},
}

// validXMLTV checks a guide against the DTD, which the machine need not have.
func validXMLTV(t *testing.T, text string) {
	t.Helper()
	type open struct {
		name     string
		children string
	}
	var stack []open
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		switch e := token.(type) {
		case xml.StartElement:
			name := e.Name.Local
			rule, known := xmltvDTD[name]
			if !known || len(stack) == 0 && name != "tv" {
				t.Errorf("element %s has no place in the guide", name)
			}
			if len(stack) > 0 {
				stack[len(stack)-1].children += name + " "
			}
			var got []string
			for _, a := range e.Attr {
				got = append(got, a.Name.Local)
			}
			for _, a := range strings.Fields(rule.attributes) {
				if must, ok := strings.CutSuffix(a, "!"); ok && !slices.Contains(got, must) {
					t.Errorf("%s has no %s", name, must)
				}
			}
			for _, a := range got {
				if !slices.Contains(strings.Fields(strings.ReplaceAll(rule.attributes, "!", "")), a) {
					t.Errorf("%s has an attribute %s", name, a)
				}
			}
			stack = append(stack, open{name: name})
		case xml.EndElement:
			last := stack[len(stack)-1]
			if !regexp.MustCompile(xmltvDTD[last.name].children).MatchString(last.children) {
				t.Errorf("%s holds %q", last.name, last.children)
			}
			stack = stack[:len(stack)-1]
		}
	}
}

// TestGuideOfTheBroadcaster: what the catalog says is on, and was, in place of the channel's name; whatever the titles are.
func TestGuideOfTheBroadcaster(t *testing.T) {
	c := newChannel(t, Config{})
	hour := time.Now().UTC().Truncate(time.Hour)
	at := func(minutes int) time.Time { return hour.Add(time.Duration(minutes) * time.Minute) }
	main := []feed.Rendition{{Name: "main", Codecs: []string{"h264"}, Stripes: 1}}
	first := feed.Programme{Start: at(-40), Duration: 30 * time.Minute, Title: "Early"}
	news := feed.Programme{Start: at(-10), Duration: 25 * time.Minute, Title: `Tom & "Jerry" <live>` + "\n]]>\x02", Text: "Zwei\nZeilen & <mehr>", Language: "deu"}
	moved := feed.Programme{Start: at(15), Duration: 10 * time.Minute, Title: "Weather"}
	film := feed.Programme{Start: at(20), Title: "Film"}
	c.onAir(
		feed.State{Title: "Eins", Renditions: main, Guide: []feed.Programme{first, {Start: at(-10), Duration: time.Hour, Title: "An old plan"}}},
		feed.State{Title: "Eins", Renditions: main, Guide: []feed.Programme{news, moved}},
		feed.State{Title: "Eins", Renditions: main, Guide: []feed.Programme{moved, film}},
		feed.State{Title: "Eins", Renditions: main},
	)
	server := httptest.NewServer(NewLineup(c.server, Station{Server: c.server}))
	defer server.Close()
	for range 2 { // the second time nothing is new
		text, _ := body(t, server.URL+"/epg.xml")
		validXMLTV(t, text)
		var guide xmltv
		if err := xml.Unmarshal([]byte(text), &guide); err != nil {
			t.Fatal(err)
		}
		var got []string
		end := ""
		for i, p := range guide.Programmes {
			if i > 0 && p.Start != end {
				t.Errorf("%s begins at %s, the one before ended at %s", p.Title.Text, p.Start, end)
			}
			end = p.Stop
			if p.Title.Text == "Eins" {
				continue
			}
			start, err1 := time.Parse("20060102150405 -0700", p.Start)
			stop, err2 := time.Parse("20060102150405 -0700", p.Stop)
			if err := errors.Join(err1, err2); err != nil || p.Channel != guide.Channels[0].ID {
				t.Errorf("%s: %v, on channel %q of %+v", p.Title.Text, err, p.Channel, guide.Channels)
			}
			desc := ""
			if p.Desc != nil {
				desc = p.Desc.Text
			}
			got = append(got, fmt.Sprintf("%v %v %s|%s|%s", start.Sub(hour), stop.Sub(start), p.Title.Text, desc, p.Title.Lang))
		}
		want := []string{
			"-40m0s 30m0s Early||", "-10m0s 25m0s Tom & 'Jerry' <live> ]]>|Zwei\nZeilen & <mehr>|deu", "15m0s 5m0s Weather||", "20m0s 1h0m0s Film||",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q, want\n%q\n%s", got, want, text)
		}
	}
}

// TestSchedule: whatever a broadcaster lists, slots follow each other without a gap.
func TestSchedule(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	p := func(start, minutes int) feed.Programme {
		return feed.Programme{Start: day.Add(time.Duration(start) * time.Minute), Duration: time.Duration(minutes) * time.Minute, Title: "x"}
	}
	for name, list := range map[string][]feed.Programme{
		"nothing": nil, "one": {p(30, 20)}, "without an end": {p(30, 0)}, "one in another": {p(0, 120), p(30, 10), p(90, 90)}, "twice": {p(30, 20), p(30, 40)},
		"long ago": {p(-600, 30)}, "from yesterday on": {p(-30, 60)}, "tomorrow": {p(2000, 30)}, "over the end": {p(200, 600)}, "of no length": {p(30, 0), p(30, 0)},
	} {
		begin, end := day, day.Add(4*time.Hour)
		at := begin
		for _, s := range schedule(list, begin, end) {
			if !s.from.Equal(at) || !s.to.After(s.from) || s.what == nil && s.to.Sub(s.from) > time.Hour {
				t.Errorf("%s: from %v to %v, the one before ended at %v", name, s.from, s.to, at)
			}
			at = s.to
		}
		if at.Before(end) {
			t.Errorf("%s: ends at %v", name, at)
		}
	}
}

// TestGuideWaitsForWhatIsMissing: a State that comes late, as those do that others send, is read as well, and before what is behind it.
func TestGuideWaitsForWhatIsMissing(t *testing.T) {
	c := newChannel(t, Config{})
	hour := time.Now().UTC().Truncate(time.Hour)
	main := []feed.Rendition{{Name: "main", Codecs: []string{"h264"}, Stripes: 1}}
	state := func(minutes int, title string) feed.State {
		return feed.State{Title: "Eins", Renditions: main, Guide: []feed.Programme{{Start: hour.Add(time.Duration(minutes) * time.Minute), Title: title}}}
	}
	c.onAir(state(0, "Early"), state(10, "News"), state(20, "Film"))
	replica, err := feed.Open(c.station.Root(), feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = replica.Close() }()
	epoch, err := replica.AddNotes(c.replica.Notes())
	if err != nil {
		t.Fatal(err)
	}
	from, err1 := c.replica.Current().Log(feed.CatalogLog)
	to, err2 := epoch.Log(feed.CatalogLog)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	put := func(i uint64) {
		b, err1 := from.Block(i)
		f, err2 := from.Frontier(i)
		b.Payload = bytes.Clone(b.Payload)
		if _, err := to.Put(b, f); errors.Join(err, err1, err2) != nil {
			t.Fatal(err, err1, err2)
		}
	}
	server, size := New(Config{Replica: replica}), from.Head().Size
	said := func() (titles []string) {
		for _, p := range server.programmes() {
			titles = append(titles, p.Title)
		}
		return titles
	}
	if got := said(); got != nil {
		t.Errorf("nothing is here, the guide has %q", got)
	}
	for i := range size {
		if i != size-2 {
			put(i)
		}
	}
	if got := said(); !slices.Equal(got, []string{"Early"}) {
		t.Errorf("one is missing, the guide has %q, want what is before it", got)
	}
	put(size - 2)
	if got := said(); !slices.Equal(got, []string{"Early", "News", "Film"}) {
		t.Errorf("all is here, the guide has %q", got)
	}
}
