package player

import (
	"cmp"
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"tailcast/feed"
)

// This file says what is on, as television software wants it: XMLTV. What the broadcaster knows stands in the catalog, now and next at a time; a node has the
// catalog from its beginning, so what has been on is listed too.

// A guide remembers what the catalog of the newest epoch has listed. The zero value is ready.
type guide struct {
	mu    sync.Mutex // guards all below
	epoch feed.EpochID
	read  uint64           // records of the catalog
	list  []feed.Programme // in order of start
}

// maxProgrammes bounds what is remembered: a week of short ones.
const maxProgrammes = 2000

// programmes returns what is known to be or have been on, in order of start.
func (s *Server) programmes() []feed.Programme {
	e := s.cfg.Replica.Current()
	if e == nil {
		return nil
	}
	log, err := e.Log(feed.CatalogLog)
	if err != nil {
		return nil
	}
	g := &s.guide
	g.mu.Lock()
	defer g.mu.Unlock()
	if e.ID() != g.epoch {
		g.epoch, g.read, g.list = e.ID(), 0, nil
	}
	base, size := log.Base(), log.Head().Size
	for ; g.read < size; g.read++ {
		b, err := log.Block(g.read)
		if err != nil && (g.read >= base || base == size) && !errors.Is(err, feed.ErrPruned) {
			break // it is yet to come: go on there the next time
		}
		if err != nil || b.Record.Kind != feed.Event {
			continue
		}
		entry, err := feed.ParseCatalogEntry(b.Payload)
		if state, ok := entry.(feed.State); ok && err == nil {
			g.take(state.Guide)
		}
	}
	return slices.Clone(g.list)
}

// take replaces what was known from the beginning of news on: plans change.
func (g *guide) take(news []feed.Programme) {
	if len(news) == 0 {
		return
	}
	g.list = slices.DeleteFunc(g.list, func(p feed.Programme) bool { return !p.Start.Before(news[0].Start) })
	g.list = append(g.list, news...)
	slices.SortStableFunc(g.list, func(a, b feed.Programme) int { return a.Start.Compare(b.Start) })
	g.list = g.list[max(0, len(g.list)-maxProgrammes):]
}

// A slot is a programme with its end; nil for none that is known.
type slot struct {
	from, to time.Time
	what     *feed.Programme
}

// unknownLength is how long a programme is taken to last that does not say so, if none follows.
const unknownLength = time.Hour

// schedule covers a time without gaps and overlaps: with programmes, each until its end or the next begins, and between them with slots of nothing, an
// hour at most, since software shows what is longer badly.
func schedule(list []feed.Programme, begin, end time.Time) (out []slot) {
	at := begin
	fill := func(to time.Time) {
		for at.Before(to) {
			next := earliest(at.Truncate(time.Hour).Add(time.Hour), to)
			out = append(out, slot{at, next, nil})
			at = next
		}
	}
	for i := range list {
		p := &list[i]
		stop := p.Start.Add(cmp.Or(p.Duration, unknownLength))
		if i+1 < len(list) && (p.Duration == 0 || list[i+1].Start.Before(stop)) {
			stop = list[i+1].Start
		}
		if !stop.After(at) || !p.Start.Before(stop) || !p.Start.Before(end) {
			continue
		}
		fill(p.Start)
		out = append(out, slot{latest(p.Start, begin), stop, p}) // a programme may go on after the end
		at = stop
	}
	fill(end)
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// xmltv is a guide as xmltv.dtd has it.
type xmltv struct {
	XMLName    xml.Name         `xml:"tv"`
	Generator  string           `xml:"generator-info-name,attr"`
	Channels   []xmltvChannel   `xml:"channel"`
	Programmes []xmltvProgramme `xml:"programme"`
}

type xmltvChannel struct {
	ID   string    `xml:"id,attr"`
	Name string    `xml:"display-name"`
	Icon xmltvIcon `xml:"icon"`
}

type xmltvIcon struct {
	Src string `xml:"src,attr"`
}

type xmltvProgramme struct {
	Start   string     `xml:"start,attr"`
	Stop    string     `xml:"stop,attr"`
	Channel string     `xml:"channel,attr"`
	Title   xmltvText  `xml:"title"`
	Desc    *xmltvText `xml:"desc"`
}

type xmltvText struct {
	Lang string `xml:"lang,attr,omitempty"`
	Text string `xml:",chardata"`
}

// A guide reaches this far, and back as far as the past is kept.
const (
	guideBack  = 1 * time.Hour
	guideMost  = 7 * 24 * time.Hour
	guideAhead = 24 * time.Hour
)

func (l *Lineup) xmltv(w http.ResponseWriter, r *http.Request) {
	if refuseForeign(w, r) {
		return
	}
	guide := xmltv{Generator: "tailcast"}
	now := l.now().UTC().Truncate(time.Hour)
	for i, x := range l.listingsWithPast(baseOf(r)) {
		guide.Channels = append(guide.Channels, xmltvChannel{x.id, x.title, xmltvIcon{x.logo}})
		begin := now.Add(-guideBack)
		if !x.kept.IsZero() {
			begin = latest(x.kept.UTC().Truncate(time.Hour), now.Add(-guideMost))
		}
		for _, s := range schedule(l.stations[i].Server.programmes(), begin, now.Add(guideAhead)) {
			guide.Programmes = append(guide.Programmes, s.xmltv(x))
		}
	}
	text, err := xml.MarshalIndent(guide, "", " ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	_, _ = w.Write(slices.Concat([]byte(xml.Header+"<!DOCTYPE tv SYSTEM \"xmltv.dtd\">\n"), text, []byte("\n")))
}

func (s slot) xmltv(x listing) xmltvProgramme {
	p := xmltvProgramme{Start: xmltvTime(s.from), Stop: xmltvTime(s.to), Channel: x.id, Title: xmltvText{Text: x.title}}
	if s.what == nil {
		p.Desc = &xmltvText{Text: "Live. What is on is not known."}
		return p
	}
	p.Title = xmltvText{s.what.Language, cmp.Or(oneLine(s.what.Title), x.title)}
	if s.what.Text != "" {
		p.Desc = &xmltvText{s.what.Language, s.what.Text}
	}
	return p
}

func xmltvTime(t time.Time) string { return t.UTC().Format("20060102150405 -0700") }
