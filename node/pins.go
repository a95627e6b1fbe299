package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tailcast/feed"
)

// Pins is the value of --pin: relays of ours, as NODEKEY@HOST:PORT each. It is a pflag.Value; each call of Set adds.
type Pins []feed.Anchor

// maxPins bounds them: each takes a place for every stripe.
const maxPins = 16

func (p *Pins) String() string {
	var all []string
	for _, a := range *p {
		all = append(all, Pin(a))
	}
	return strings.Join(all, ",")
}

// Pin spells an anchor that names its node as --pin wants it.
func Pin(a feed.Anchor) string { return a.Node.String() + "@" + a.Addr }

// Type implements pflag.Value.
func (p *Pins) Type() string { return "pin" }

// Set implements pflag.Value.
func (p *Pins) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		a, err := parsePin(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("%q: %w; a relay prints what to write here as pin", part, err)
		}
		if slices.ContainsFunc(*p, func(b feed.Anchor) bool { return Pin(a) == Pin(b) }) {
			continue
		}
		if len(*p) == maxPins {
			return fmt.Errorf("more than %d relays", maxPins)
		}
		*p = append(*p, a)
	}
	return nil
}

// parsePin also takes the spelling of links, HOST:PORT~NODEKEY, from which people may copy.
func parsePin(text string) (feed.Anchor, error) {
	if key, addr, ok := strings.Cut(text, "@"); ok {
		text = addr + "~" + key
	}
	a, err := feed.ParseAnchor(text)
	if err == nil && a.Node == nil {
		err = errors.New("want NODEKEY@HOST:PORT")
	}
	return a, err
}
