package feed

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"tailcast/feed/merkle"
)

// newest is what a Replica never goes back behind, also after a restart: the highest epoch it has seen, and the heads of its logs. It is the
// file newest, a JSON object:
//
//	{"generation":1,"number":1767225600000,"epoch":"<16 characters>",
//	 "heads":[{"log":"main","size":5077,"root":"<base64>","signature":"<base64>"}]}
//
// Heads are written once a minute and at the end, so they may be behind the rows; they are there for when the rows are gone.
type newest struct {
	generation uint64
	number     uint64
	epoch      EpochID
	heads      map[string]Head
}

type newestJSON struct {
	Generation uint64           `json:"generation"`
	Number     uint64           `json:"number"`
	Epoch      string           `json:"epoch"`
	Heads      []newestHeadJSON `json:"heads"`
}

type newestHeadJSON struct {
	logHeadJSON
	Signature string `json:"signature"`
}

const (
	newestFile = "newest"
	maxNewest  = 64 << 10
)

// parseNewest reads the file. Signatures are not verified: see remembered.
func parseNewest(text []byte) (newest, error) {
	o, err := parseObject(text)
	if err != nil {
		return newest{}, err
	}
	id, err := ParseEpochID(o.str("epoch"))
	o.keep(err)
	n := newest{generation: o.number("generation"), number: o.number("number"), epoch: id, heads: make(map[string]Head)}
	for _, h := range o.objects("heads", MaxLogs) {
		root, err1 := base64.StdEncoding.DecodeString(h.str("root"))
		sig, err2 := base64.StdEncoding.DecodeString(h.str("signature"))
		if err1 != nil || err2 != nil || len(root) != merkle.HashSize || len(sig) != SignatureSize {
			return newest{}, errors.New("a head without root or signature")
		}
		n.heads[h.str("log")] = Head{Size: h.number("size"), Root: merkle.Hash(root), Signature: Signature(sig)}
		o.keep(h.err)
	}
	if o.err != nil {
		return newest{}, o.err
	}
	if again, err := n.text(); err != nil || string(again) != string(text) {
		return newest{}, errors.New("not written as we write it")
	}
	return n, nil
}

// text returns the content of the file.
func (n *newest) text() ([]byte, error) {
	j := newestJSON{Generation: n.generation, Number: n.number, Epoch: n.epoch.String(), Heads: []newestHeadJSON{}}
	for _, log := range slices.Sorted(maps.Keys(n.heads)) {
		h := n.heads[log]
		j.Heads = append(j.Heads, newestHeadJSON{
			logHeadJSON{log, h.Size, h.Root.String()}, base64.StdEncoding.EncodeToString(h.Signature[:]),
		})
	}
	text, err := marshalEntry(j)
	return append(text, '\n'), err
}

// loadNewest reads the file. One that cannot be read is an error: to go on would be to forget what must not be forgotten.
func (r *Replica) loadNewest() error {
	text, err := r.files.ReadFile(newestFile, maxNewest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		r.floor, err = parseNewest(text)
	}
	if err != nil {
		return fmt.Errorf("file %s in the data directory is damaged (remove it to forget how far this channel was seen): %w", newestFile, err)
	}
	return nil
}

// remembered returns the head of a log that an earlier run saw, not verified; zero if there is none.
func (r *Replica) remembered(e *Epoch, log string) Head {
	if r.floor.epoch != e.ID() {
		return Head{}
	}
	return r.floor.heads[log]
}

// rememberedLogs returns the logs of an epoch that an earlier run saw.
func (r *Replica) rememberedLogs(e *Epoch) []string {
	if r.floor.epoch != e.ID() {
		return nil
	}
	return slices.Sorted(maps.Keys(r.floor.heads))
}

// saveNewest writes the file. Called by the disk goroutine.
func (r *Replica) saveNewest() error {
	e := r.Current()
	if e == nil || e.note.before(r.floor) {
		return nil
	}
	n := newest{generation: e.note.Generation, number: e.note.Number, epoch: e.ID(), heads: make(map[string]Head)}
	for _, l := range e.Logs() {
		if h := l.Head(); h.Size > 0 {
			n.heads[l.name] = h
		}
	}
	text, err := n.text()
	if err != nil {
		return err
	}
	return r.files.WriteFile(newestFile, text)
}
