package node

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Ready is what a command says on stdout once it is up: one fact a line, or one JSON object.
type Ready struct {
	Event  string   `json:"event"` // always "ready"
	Role   string   `json:"role"`
	Link   string   `json:"link"`
	HTTP   string   `json:"http,omitempty"` // URL of the page
	Listen []string `json:"listen"`         // addresses other nodes can dial
	RTSP   string   `json:"rtsp,omitempty"` // URL an encoder can push to
	Input  string   `json:"input,omitempty"`
}

// Print writes the facts. A line is a name, spaces and the value.
func (r Ready) Print(w io.Writer, asJSON bool) error {
	r.Event = "ready"
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	facts := [][2]string{{"link", r.Link}, {"http", r.HTTP}, {"rtsp", r.RTSP}, {"input", r.Input}}
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

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
