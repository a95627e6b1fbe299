package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"tailcast/internal/command"
)

// A share is the part of a node's status that tells how the load is shared.
type share struct {
	Name  string
	Peers []struct{}
	Bytes struct {
		Sent struct{ Media, Repair float64 }
	}
}

// sent is how many bytes of blocks went to others.
func (s *share) sent() float64 { return s.Bytes.Sent.Media + s.Bytes.Sent.Repair }

// shares asks all of chain; who does not answer is ending, and left out.
func shares(chain []*command.Process) (all []share) {
	for _, p := range chain {
		s := share{Name: p.Name}
		if getStatus(p.HTTP, &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

func getStatus(base string, into any) error {
	r, err := http.Get(base + "/api/v1/status")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// sharing says who has sent how much; the streamer comes first.
func sharing(all []share) string {
	if len(all) < 2 {
		return ""
	}
	var sum float64
	var parts []string
	for _, s := range all[1:] {
		sum += s.sent()
		parts = append(parts, fmt.Sprintf("%s %.1f (%d peers)", s.Name, s.sent()/1e6, len(s.Peers)))
	}
	return fmt.Sprintf("The streamer has sent %.1f MB, viewers passed on %.1f MB: %s.", all[0].sent()/1e6, sum/1e6, strings.Join(parts, ", "))
}
