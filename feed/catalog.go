package feed

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"tailcast/feed/merkle"
)

// A CatalogEntry is the payload of an event record of the catalog: a State, a LogAnchor or a Takedown. On disk and wire it is a JSON
// object, so that people can read it, whose member "type" says which. Unknown types and members are skipped.
type CatalogEntry interface {
	// Payload returns the JSON, always the same for the same entry, or what is wrong with the entry.
	Payload() ([]byte, error)
}

// Bounds of catalog entries.
const (
	MaxCatalogEntry = 16 << 10 // bytes of JSON
	MaxTitle        = 256      // bytes
	MaxCodecs       = 32       // codecs of a rendition
	MaxCodec        = 64       // bytes of a codec
	MaxStripes      = 32
	MaxReason       = 1024 // bytes

	MaxPicture = 65535 // pixels a side
)

// A State says what an epoch consists of. Each replaces the one before, but for the stripes of a rendition, which stay for the epoch.
type State struct {
	Title      string      // what people call the channel
	Renditions []Rendition // best first, 1 to 15
	Guide      []Programme // what is on and what comes next, in order of start; empty if not known
}

// A Rendition is one version of the channel that can be watched alone; Name is also that of its log.
type Rendition struct {
	Name    string
	Codecs  []string // RFC 6381, as "avc1.64001f" and "mp4a.40.2"
	Stripes int      // 1 to 32; block i is of stripe i mod Stripes
	Bitrate int64    // bit/s of payload, about; 0 if not known

	Width, Height int // of the pictures, in pixels; 0 if there are none or it is not known
}

// A LogAnchor pins the logs of its epoch: their heads at the time. A witness of the catalog thereby witnesses them all.
type LogAnchor struct {
	Logs []LogHead // in order of name
}

// A Takedown asks whoever holds the payloads of the records [From, To) of a log to delete them. The records stay.
type Takedown struct {
	Epoch    EpochID
	Log      string
	From, To uint64
	Reason   string
}

// The types in JSON.
const (
	stateType    = "state"
	anchorType   = "anchor"
	takedownType = "takedown"
)

// ErrUnknownEntry says that an entry is of a type that this version does not know; whoever reads the catalog skips it.
var ErrUnknownEntry = errors.New("unknown type of catalog entry")

// ParseCatalogEntry reads the payload of an event record of the catalog. Entries of unknown types give ErrUnknownEntry.
func ParseCatalogEntry(payload []byte) (CatalogEntry, error) {
	e, err := parseCatalogEntry(payload)
	if err != nil {
		return nil, fmt.Errorf("catalog entry: %w", err)
	}
	return e, nil
}

func parseCatalogEntry(payload []byte) (CatalogEntry, error) {
	if len(payload) > MaxCatalogEntry {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(payload), MaxCatalogEntry)
	}
	o, err := parseObject(payload)
	if err != nil {
		return nil, err
	}
	switch kind := o.str("type"); kind {
	case stateType:
		return o.state()
	case anchorType:
		return o.anchor()
	case takedownType:
		return o.takedown()
	default:
		if o.err != nil {
			return nil, o.err
		}
		return nil, fmt.Errorf("%w: %.40q", ErrUnknownEntry, kind)
	}
}

// The shapes of the JSON, with their members in the order in which we write them.
type (
	stateJSON struct {
		Type       string          `json:"type"`
		Title      string          `json:"title"`
		Renditions []renditionJSON `json:"renditions"`
		Guide      []programmeJSON `json:"guide,omitempty"`
	}
	renditionJSON struct {
		Name    string   `json:"name"`
		Codecs  []string `json:"codecs"`
		Stripes int      `json:"stripes"`
		Bitrate int64    `json:"bitrate"`
		Width   int      `json:"width,omitempty"`
		Height  int      `json:"height,omitempty"`
	}
	anchorJSON struct {
		Type string        `json:"type"`
		Logs []logHeadJSON `json:"logs"`
	}
	logHeadJSON struct {
		Log  string `json:"log"`
		Size uint64 `json:"size"`
		Root string `json:"root"`
	}
	takedownJSON struct {
		Type   string `json:"type"`
		Epoch  string `json:"epoch"`
		Log    string `json:"log"`
		From   uint64 `json:"from"`
		To     uint64 `json:"to"`
		Reason string `json:"reason"`
	}
)

// Payload returns the JSON of s.
func (s State) Payload() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	j := stateJSON{Type: stateType, Title: s.Title}
	for _, r := range s.Renditions {
		j.Renditions = append(j.Renditions, renditionJSON{r.Name, append([]string{}, r.Codecs...), r.Stripes, r.Bitrate, r.Width, r.Height})
	}
	for _, p := range s.Guide {
		j.Guide = append(j.Guide, p.json())
	}
	return marshalEntry(j)
}

// Payload returns the JSON of a.
func (a LogAnchor) Payload() ([]byte, error) {
	if err := checkLogHeads(a.Logs); err != nil {
		return nil, err
	}
	j := anchorJSON{Type: anchorType, Logs: []logHeadJSON{}}
	for _, h := range a.Logs {
		j.Logs = append(j.Logs, logHeadJSON{h.Log, h.Size, h.Root.String()})
	}
	return marshalEntry(j)
}

// Payload returns the JSON of t.
func (t Takedown) Payload() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	return marshalEntry(takedownJSON{takedownType, t.Epoch.String(), t.Log, t.From, t.To, t.Reason})
}

func (o *object) state() (State, error) {
	s := State{Title: o.str("title")}
	for _, r := range o.objects("renditions", MaxLogs) {
		s.Renditions = append(s.Renditions, Rendition{
			Name: r.str("name"), Codecs: r.strs("codecs", MaxCodecs), Stripes: int(r.number("stripes")), Bitrate: int64(r.number("bitrate")),
			Width: int(r.hint("width", MaxPicture)), Height: int(r.hint("height", MaxPicture)),
		})
		o.keep(r.err)
	}
	s.Guide = o.guide()
	if o.err != nil {
		return State{}, o.err
	}
	return s, s.check()
}

func (o *object) anchor() (LogAnchor, error) {
	var a LogAnchor
	for _, h := range o.objects("logs", MaxLogs) {
		root, err := parseHash(h.str("root"))
		h.keep(err)
		a.Logs = append(a.Logs, LogHead{Log: h.str("log"), Size: h.number("size"), Root: root})
		o.keep(h.err)
	}
	if o.err != nil {
		return LogAnchor{}, o.err
	}
	return a, checkLogHeads(a.Logs)
}

func (o *object) takedown() (Takedown, error) {
	id, err := ParseEpochID(o.str("epoch"))
	o.keep(err)
	t := Takedown{Epoch: id, Log: o.str("log"), From: o.number("from"), To: o.number("to"), Reason: o.str("reason")}
	if o.err != nil {
		return Takedown{}, o.err
	}
	return t, t.check()
}

func (s State) check() error {
	if err := checkText("title", s.Title, MaxTitle); err != nil {
		return err
	}
	if len(s.Renditions) == 0 || len(s.Renditions) > MaxLogs-1 {
		return fmt.Errorf("%d renditions, want 1 to %d", len(s.Renditions), MaxLogs-1)
	}
	names := map[string]bool{CatalogLog: true}
	for _, r := range s.Renditions {
		if names[r.Name] {
			return fmt.Errorf("rendition %.40q twice, or named as the catalog", r.Name)
		}
		names[r.Name] = true
		if err := r.check(); err != nil {
			return fmt.Errorf("rendition %.40q: %w", r.Name, err)
		}
	}
	return checkGuide(s.Guide)
}

func (r Rendition) check() error {
	if err := CheckLogName(r.Name); err != nil {
		return err
	}
	if r.Stripes < 1 || r.Stripes > MaxStripes {
		return fmt.Errorf("%d stripes, want 1 to %d", r.Stripes, MaxStripes)
	}
	if r.Bitrate < 0 || r.Bitrate > MaxNumber {
		return fmt.Errorf("bit rate %d is out of range", r.Bitrate)
	}
	if r.Width < 0 || r.Width > MaxPicture || r.Height < 0 || r.Height > MaxPicture {
		return fmt.Errorf("pictures of %d by %d are out of range", r.Width, r.Height)
	}
	if len(r.Codecs) > MaxCodecs {
		return fmt.Errorf("%d codecs, want at most %d", len(r.Codecs), MaxCodecs)
	}
	for _, c := range r.Codecs {
		if err := checkText("codec", c, MaxCodec); err != nil {
			return err
		}
	}
	return nil
}

func (t Takedown) check() error {
	if err := CheckLogName(t.Log); err != nil {
		return err
	}
	if t.From >= t.To || t.To > merkle.MaxSize {
		return fmt.Errorf("records [%d, %d) are none", t.From, t.To)
	}
	return checkText("reason", t.Reason, MaxReason)
}

// checkText returns what is wrong with a text for people.
func checkText(what, s string, limit int) error {
	if len(s) > limit || !utf8.ValidString(s) {
		return fmt.Errorf("%s of %d bytes, want at most %d of UTF-8", what, len(s), limit)
	}
	return nil
}
