package feed

import (
	"fmt"
	"time"
)

// Bounds of the guide in a State.
const (
	MaxGuide         = 8    // programmes
	MaxProgrammeText = 1024 // bytes
	maxLanguage      = 3    // bytes
	// maxSecond is the year 2106: times and durations fit their types in every language.
	maxSecond = 1<<32 - 1
)

// A Programme is what a guide lists of a channel: one broadcast with its title. Whole seconds count.
type Programme struct {
	Start    time.Time     // UTC, not before 1970
	Duration time.Duration // 0 if not known
	Title    string        // at most MaxTitle bytes
	Text     string        // what it is about, at most MaxProgrammeText bytes; empty if not known
	Language string        // of title and text, ISO 639-2; empty if not known
}

type programmeJSON struct {
	Start    int64  `json:"start"`
	Duration int64  `json:"duration"`
	Title    string `json:"title"`
	Text     string `json:"text"`
	Language string `json:"language"`
}

func (p Programme) json() programmeJSON {
	return programmeJSON{p.Start.Unix(), int64(p.Duration / time.Second), p.Title, p.Text, p.Language}
}

// guide reads the member of that name, which is absent where nothing is known.
func (o *object) guide() (list []Programme) {
	if _, there := o.members["guide"]; !there {
		return nil
	}
	for _, p := range o.objects("guide", MaxGuide) {
		list = append(list, Programme{
			Start: time.Unix(p.seconds("start"), 0).UTC(), Duration: time.Duration(p.seconds("duration")) * time.Second,
			Title: p.str("title"), Text: p.str("text"), Language: p.str("language"),
		})
		o.keep(p.err)
	}
	return list
}

func (o *object) seconds(name string) int64 {
	n := o.number(name)
	if n > maxSecond {
		o.keep(fmt.Errorf("member %q is %d, want at most 2^32-1", name, n))
		return 0
	}
	return int64(n)
}

func checkGuide(guide []Programme) error {
	if len(guide) > MaxGuide {
		return fmt.Errorf("guide of %d programmes, want at most %d", len(guide), MaxGuide)
	}
	for i, p := range guide {
		if err := p.check(); err != nil {
			return fmt.Errorf("programme %d of the guide: %w", i, err)
		}
	}
	return nil
}

func (p Programme) check() error {
	if start := p.Start.Unix(); start < 0 || start > maxSecond {
		return fmt.Errorf("start at second %d is out of range", start)
	}
	if p.Duration < 0 || p.Duration/time.Second > maxSecond {
		return fmt.Errorf("duration of %v is out of range", p.Duration)
	}
	if err := checkText("title", p.Title, MaxTitle); err != nil {
		return err
	}
	if err := checkText("text", p.Text, MaxProgrammeText); err != nil {
		return err
	}
	return checkText("language", p.Language, maxLanguage)
}
