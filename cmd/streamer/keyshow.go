package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"tailcast/feed"
)

// keyFacts is what `key show` and all that changes keys print: one fact a line, or one JSON object. There is no secret in it.
type keyFacts struct {
	Event       string     `json:"event"` // always "keys"
	Link        string     `json:"link,omitempty"`
	RootKey     string     `json:"root_key"` // here, sealed or elsewhere
	RootFile    string     `json:"root_key_file,omitempty"`
	Station     string     `json:"station,omitempty"`
	StationFile string     `json:"station_key_file,omitempty"`
	Next        string     `json:"next_station,omitempty"` // waits for a channel note that names it
	NextFile    string     `json:"next_station_key_file,omitempty"`
	Stations    []string   `json:"stations"` // that the channel note names
	Generation  uint64     `json:"generation,omitempty"`
	NotAfter    *time.Time `json:"not_after,omitempty"`
	DaysLeft    *int       `json:"days_left,omitempty"` // negative once it has expired
	NoteFile    string     `json:"note_file,omitempty"`
}

func (k *keyCommand) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Say which keys there are, where they are, and how long the channel note lasts",
		Long: `Say which keys there are, where they are and whether they are sealed, and how long the channel note
lasts. Nothing that it prints is secret.`,
		Example: "  streamer key show\n  streamer key show --json | jq .days_left",
		Args:    exactly(0, "none"),
		RunE: func(*cobra.Command, []string) error {
			keys, err := k.keys()
			if err != nil {
				return err
			}
			return k.tell(keys)
		},
	}
}

func (k *keyCommand) tell(keys feed.Keys) error { return factsOf(keys).print(os.Stdout, k.JSON) }

func factsOf(keys feed.Keys) keyFacts {
	f := keyFacts{Event: "keys", RootKey: "elsewhere", Stations: []string{}}
	if keys.Channel != nil {
		f.Link = feed.Link{Root: *keys.Channel}.String()
	}
	switch keys.Root {
	case feed.RootHere:
		f.RootKey, f.RootFile = "here", keys.RootFile()
	case feed.RootSealed:
		f.RootKey, f.RootFile = "sealed", keys.SealedRootFile()
	}
	if keys.Station != nil {
		f.Station, f.StationFile = keys.Station.String(), keys.StationFile()
	}
	if keys.Next != nil {
		f.Next, f.NextFile = keys.Next.String(), keys.NextFile()
	}
	if keys.Note == nil {
		return f
	}
	for _, s := range keys.Note.Stations {
		f.Stations = append(f.Stations, s.String())
	}
	days := daysLeft(keys.Note.NotAfter)
	f.Generation, f.NotAfter, f.DaysLeft, f.NoteFile = keys.Note.Generation, &keys.Note.NotAfter, &days, keys.NoteFile()
	return f
}

func (f keyFacts) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(f)
	}
	for _, line := range f.lines() {
		if _, err := fmt.Fprintf(w, "%-11s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

func (f keyFacts) lines() (lines [][2]string) {
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, [2]string{name, value})
		}
	}
	add("link", f.Link)
	switch f.RootKey {
	case "here":
		add("root key", "not sealed, in "+f.RootFile)
	case "sealed":
		add("root key", "sealed, in "+f.RootFile)
	default:
		add("root key", "elsewhere")
	}
	add("station", f.Station)
	add("station key", f.StationFile)
	if f.Next != "" {
		add("next", f.Next+", waits for a channel note that names it")
	}
	for _, s := range f.Stations {
		if s != f.Station {
			add("other", s)
		}
	}
	if f.NotAfter == nil {
		add("note", "none yet")
		return lines
	}
	add("generation", fmt.Sprint(f.Generation))
	add("not after", f.NotAfter.Format(time.RFC3339)+", "+leftInWords(*f.DaysLeft))
	add("note", f.NoteFile)
	return lines
}

func leftInWords(days int) string {
	switch {
	case days < 0:
		return "expired"
	case days == 1:
		return "1 day left"
	}
	return fmt.Sprintf("%d days left", days)
}
