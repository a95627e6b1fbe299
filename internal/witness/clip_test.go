package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tailcast/feed"
	"tailcast/feed/clip"
	"tailcast/feed/feedtest"
)

// aired returns the logs of a channel whose epoch is over: the rendition, and the catalog, whose last record but one is an anchor.
func aired(t *testing.T) (c *feedtest.Channel, tv, catalog *signedLog) {
	t.Helper()
	c = feedtest.NewChannel(t, feed.Config{}, 4)
	for range 5 {
		c.Append(t, 7, 1000)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Writer.Run(over); err != nil {
		t.Fatal(err)
	}
	log, err := c.Writer.Epoch().Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	return c, readLog(t, c.Log.Log()), readLog(t, log)
}

// cut makes a clip of the records [from, to) of the rendition, under the anchor and with those cosignatures of the catalog's last head.
func cut(t *testing.T, c *feedtest.Channel, tv, catalog *signedLog, from, to uint64, cosignatures []byte) []byte {
	t.Helper()
	m := uint64(len(catalog.leaves))
	log, err := c.Writer.Epoch().Log(feed.CatalogLog)
	if err != nil {
		t.Fatal(err)
	}
	anchor, before, err := feedtest.Take(log, m-2)
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(len(tv.leaves)) // the anchor at the end of an epoch names all of each log
	_, cover := tv.both(t, 0, to, n)
	_, catalogCover := catalog.both(t, 0, m-1, m)
	var file bytes.Buffer
	w := clip.NewWriter(&file, c.Replica.Root())
	for i := from; i < to; i++ {
		b, f, err := feedtest.Take(c.Log.Log(), i)
		if err != nil {
			t.Fatal(err)
		}
		if i == from {
			w.Begin(c.Writer.Epoch().Notes(), feedtest.Rendition, &f)
		}
		w.Block(&b)
	}
	w.Seal(&clip.Proof{
		Size: n, Cover: cover, Signature: tv.heads[n].Signature,
		Index: m - 2, Frontier: slices.Clone(before.Peaks()), Record: [80]byte(anchor.Record.Append(nil)), Payload: anchor.Payload,
		Catalog: m, CatalogCover: catalogCover, CatalogSig: catalog.heads[m].Signature, Cosignatures: cosignatures,
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// A clip whose catalog the witness signed is dated: whoever knows the witness's key can check when it was there at the latest, to whoever
// does not it says that this proves nothing, and a cosignature that is not the witness's refutes it.
func TestClipIsDatedByTheWitness(t *testing.T) {
	c, tv, catalog := aired(t)
	w := newWitness(t, catalog.key[:], catalog.origin)
	m := uint64(len(catalog.leaves))
	w.cosign(catalog, 0, 1)
	lines := bytes.TrimPrefix(w.cosign(catalog, 1, m), catalog.head(m))
	file := cut(t, c, tv, catalog, 9, 21, lines)
	key, err := clip.ParseWitness(w.vkey())
	if err != nil {
		t.Fatal(err)
	}
	root := c.Replica.Root()
	report, err := clip.Verify(bytes.NewReader(file), clip.Options{Root: &root, Witnesses: []*clip.Witness{key}})
	if err != nil {
		t.Fatal(err)
	}
	said := report.Parts[0].Anchor.Witnesses
	if len(said) != 1 || said[0].Name != witnessName || !said[0].Checked || time.Since(said[0].Time) > time.Hour {
		t.Errorf("got %+v, want a time that was checked", said)
	}
	report, err = clip.Verify(bytes.NewReader(file), clip.Options{Root: &root})
	if err != nil || report.Parts[0].Anchor.Witnesses[0].Checked {
		t.Errorf("without the key: got %+v, %v, want it unchecked", report, err)
	}
	for what, wrong := range map[string][]byte{
		"cosignature of another head": bytes.TrimPrefix(otherHead(t, w), otherLog().head(3)),
		"changed time":                changeTime(t, lines),
	} {
		_, err := clip.Verify(bytes.NewReader(cut(t, c, tv, catalog, 9, 21, wrong)), clip.Options{Root: &root, Witnesses: []*clip.Witness{key}})
		if !errors.Is(err, clip.ErrRefuted) {
			t.Errorf("%s: got %v, want ErrRefuted", what, err)
		}
	}
}

func otherLog() *signedLog { return forge(testKey("epoch"), "tailcast.example/log", 3, 3) }

// otherHead has the witness sign another log's head.
func otherHead(t *testing.T, w *witness) []byte {
	t.Helper()
	l := otherLog()
	w.know(l.key[:], l.origin)
	return w.cosign(l, 0, 3)
}

// changeTime returns a signature line that says that it was made a second later.
func changeTime(t *testing.T, line []byte) []byte {
	t.Helper()
	at := bytes.LastIndexByte(line, ' ') + 1
	b, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(line[at:], []byte("\n"))))
	if err != nil {
		t.Fatal(err)
	}
	seconds := b[4:12] // key id, time, signature
	binary.BigEndian.PutUint64(seconds, binary.BigEndian.Uint64(seconds)+1)
	return fmt.Appendf(nil, "%s%s\n", line[:at], base64.StdEncoding.EncodeToString(b))
}
