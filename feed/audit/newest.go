package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// The JSON of file newest, in its one form.
type newestJSON struct {
	Generation uint64     `json:"generation"`
	Number     uint64     `json:"number"`
	Epoch      string     `json:"epoch"`
	Heads      []headJSON `json:"heads"`
}

type headJSON struct {
	Log       string `json:"log"`
	Size      uint64 `json:"size"`
	Root      string `json:"root"`
	Signature string `json:"signature"`
}

const maxNewest = 64 << 10

// newest checks file newest. It is no evidence, but what it says must be true.
func (a *auditor) newest() error {
	text, err := a.readFile("newest", maxNewest)
	if err != nil {
		return err
	}
	var n newestJSON
	var again bytes.Buffer
	if err := json.Unmarshal(text, &n); err != nil {
		return refuted("newest", "%w", err)
	}
	e := json.NewEncoder(&again)
	e.SetEscapeHTML(false)
	if err := e.Encode(n); err != nil || !bytes.Equal(again.Bytes(), text) || n.Heads == nil || len(n.Heads) > feed.MaxLogs {
		return refuted("newest", "not as it must be written")
	}
	return a.newestEpoch(&n)
}

// newestEpoch checks what it says of which epoch. It may be behind, by a minute or by the start that a power cut ended.
func (a *auditor) newestEpoch(n *newestJSON) error {
	id, err := feed.ParseEpochID(n.Epoch)
	if err != nil || n.Generation == 0 || n.Number == 0 || n.Generation > feed.MaxNumber || n.Number > feed.MaxNumber {
		return refuted("newest", "it does not name an epoch")
	}
	k := slices.IndexFunc(a.epochs, func(e *epoch) bool {
		return id == e.note.Key.EpochID() || n.Generation == e.note.Generation && n.Number == e.note.Number
	})
	if k < 0 {
		a.report.Newest = fmt.Sprintf("names epoch %v, of which nothing else is here", id)
		return nil
	}
	e := a.epochs[k]
	if id != e.note.Key.EpochID() || n.Generation != e.note.Generation || n.Number != e.note.Number {
		return refuted("newest", "it names an epoch that is here with another number")
	}
	for k, h := range n.Heads {
		if k > 0 && n.Heads[k-1].Log >= h.Log {
			return refuted("newest", "its heads are not in order of name")
		}
		if err := a.newestHead(e, h); err != nil {
			return err
		}
	}
	return nil
}

// newestHead checks the signature of a head, and has its root compared when the log is read.
func (a *auditor) newestHead(e *epoch, h headJSON) error {
	root, err1 := base64.StdEncoding.Strict().DecodeString(h.Root)
	sig, err2 := base64.StdEncoding.Strict().DecodeString(h.Signature)
	if err1 != nil || err2 != nil || len(root) != merkle.HashSize || len(sig) != feed.SignatureSize || feed.CheckLogName(h.Log) != nil ||
		h.Size == 0 || h.Size > merkle.MaxSize {
		return refuted("newest", "what it says of %.40q is no head", h.Log)
	}
	head := feed.Head{Size: h.Size, Root: merkle.Hash(root), Signature: feed.Signature(sig)}
	origin := feed.Origin(a.root, e.note.Key.EpochID(), h.Log)
	if !a.heads.check(e.note.Key, origin, &head) {
		return refuted("newest", "its head of %s: %w", h.Log, feed.ErrSignature)
	}
	e.claims = append(e.claims, claim{LogHead: feed.LogHead{Log: h.Log, Size: h.Size, Root: head.Root}, by: "newest"})
	return nil
}
