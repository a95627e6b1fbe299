package node

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/term"
)

// Ready is what a command says on stdout once it is up: one fact a line, or one JSON object.
type Ready struct {
	Event  string   `json:"event"` // always "ready"
	Role   string   `json:"role"`
	Link   string   `json:"link"`            // of the first channel, if there are many
	Links  []string `json:"links,omitempty"` // of all channels, if there may be many
	Pin    string   `json:"pin,omitempty"`   // relays: what a streamer's --pin takes
	HTTP   string   `json:"http,omitempty"`  // URL of the page
	LAN    []string `json:"lan,omitempty"`   // URLs of it for others on the local network; whoever knows one may watch
	Listen []string `json:"listen"`          // addresses other nodes can dial
	RTSP   string   `json:"rtsp,omitempty"`  // URL an encoder can push to
	WHIP   string   `json:"whip,omitempty"`  // URL that takes offers of WebRTC
	RTMP   string   `json:"rtmp,omitempty"`
	RTMPS  string   `json:"rtmps,omitempty"`
	SRT    string   `json:"srt,omitempty"`
	Input  string   `json:"input,omitempty"`
}

// Print writes the facts. A line is a name, spaces and the value.
func (r Ready) Print(w io.Writer, asJSON bool) error {
	r.Event = "ready"
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	facts := [][2]string{{"http", r.HTTP}, {"rtsp", r.RTSP}, {"rtmp", r.RTMP}, {"rtmps", r.RTMPS}, {"srt", r.SRT}, {"whip", r.WHIP}, {"input", r.Input}, {"pin", r.Pin}}
	links := r.Links
	if len(links) == 0 {
		links = []string{r.Link}
	}
	for _, link := range slices.Backward(links) {
		facts = slices.Insert(facts, 0, [2]string{"link", link})
	}
	for _, url := range r.LAN {
		facts = append(facts, [2]string{"lan", url})
	}
	for _, addr := range r.Listen {
		facts = append(facts, [2]string{"listen", addr})
	}
	for _, fact := range facts {
		if fact[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-7s %s\n", fact[0], fact[1]); err != nil {
			return err
		}
	}
	return nil
}

// IsTerminal tells whether a person sees what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
