package feed_test

import (
	"testing"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// A history is what a streamer signed: the record and the root of each size of each log.
type history map[string][]signedRecord

type signedRecord struct {
	record feed.Record
	root   merkle.Hash
}

// remember takes down what the logs of an epoch hold in memory.
func (h history) remember(t *testing.T, e *feed.Epoch) {
	t.Helper()
	for _, l := range e.Logs() {
		for i := uint64(len(h[l.Origin()])); i < l.Head().Size; i++ {
			b, err := l.Block(i)
			if err != nil {
				t.Fatal(err)
			}
			f, err := l.Frontier(i + 1)
			if err != nil {
				t.Fatal(err)
			}
			h[l.Origin()] = append(h[l.Origin()], signedRecord{b.Record, f.Root()})
		}
	}
}

// checkLog checks that a recovered log is a prefix of what was signed, and returns its size.
func checkLog(t *testing.T, name string, l *feed.Log, signed []signedRecord, durable int) int {
	t.Helper()
	head := l.Head()
	if head.Size == 0 {
		return 0
	}
	if head.Size > uint64(len(signed)) || signed[head.Size-1].root != head.Root {
		t.Errorf("%s: %s: head of size %d was never signed", name, l.Origin(), head.Size)
		return 0
	}
	for i := range head.Size {
		b, err := l.Block(i)
		if err != nil && i < uint64(durable) {
			t.Errorf("%s: %s: block %d was promised: %v", name, l.Origin(), i, err)
		}
		if err == nil && b.Record != signed[i].record {
			t.Errorf("%s: %s: block %d is another than the one signed", name, l.Origin(), i)
		}
	}
	return int(head.Size)
}
