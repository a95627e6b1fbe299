package segmenter

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"tailcast/ingest"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const vectorsFile = "testdata/vectors.json"

// vectors are examples for other implementations; docs/segment.md says how to read them.
type vectors struct {
	Format int
	Good   []goodVector // what a reader makes of blocks
	Bad    []badVector  // what a reader refuses
}

type goodVector struct {
	Name   string
	Blocks []vectorBlock
	Events []event // programs and samples, in order
}

type badVector struct {
	Name   string
	Blocks []vectorBlock // the last one breaks the format
	Reason string
}

type vectorBlock struct {
	SegmentFirst bool
	Payload      string // hexadecimal
}

func vectorBlocks(blocks []Block) (list []vectorBlock) {
	for _, b := range blocks {
		list = append(list, vectorBlock{b.SegmentFirst, hex.EncodeToString(b.Payload)})
	}
	return list
}

func makeVectors(t *testing.T) vectors {
	v := vectors{Format: initVersion}
	for _, example := range examples() {
		v.Good = append(v.Good, goodVector{
			Name:   example.name,
			Blocks: vectorBlocks(segment(t, Config{BlockSize: minBlock}, example.events)),
			Events: example.events,
		})
	}
	v.Good = append(v.Good, forwardVector(t))
	for _, b := range broken {
		var blocks []Block
		if !b.first {
			blocks = append(blocks, Block{Payload: first().raw(0, 0, 0, 10, 1, 2, 3, 4, 5), SegmentFirst: true})
		}
		blocks = append(blocks, Block{Payload: b.payload, SegmentFirst: b.first})
		v.Bad = append(v.Bad, badVector{b.name, vectorBlocks(blocks), writeAll(NewAssembler(discard{}), blocks).Error()})
	}
	return v
}

// writeAll returns the first error.
func writeAll(a *Assembler, blocks []Block) error {
	for _, b := range blocks {
		if err := a.Write(b.Payload, b.SegmentFirst); err != nil {
			return err
		}
	}
	return nil
}

type example struct {
	name   string
	events []event
}

func examples() []example {
	reordered := sample(0, 0, frame, 20)
	reordered.Sample.PTS = 4 * frame
	walled, later := sample(1, 0, 1920, 8), sample(1, 0, 3840, 8)
	walled.Sample.Wall = time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	later.Sample.Wall = walled.Sample.Wall.Add(21333333)
	return []example{
		{"one picture", []event{{Program: television()}, sample(0, ingest.RandomAccess, 0, 4)}},
		{"sound", []event{{Program: radio()}, sample(1, ingest.RandomAccess, 1<<33-960, 12), sample(1, ingest.RandomAccess, 1<<33+960, 12)}},
		{"times", []event{
			{Program: television()},
			sample(0, ingest.RandomAccess, -2*frame, 20), reordered, walled, later,
			sample(2, ingest.Discontinuity, 1<<40, 0), sample(0, ingest.Damaged, -1<<62, 3), sample(0, 15, 1<<62, 3),
		}},
		{"a picture of four blocks", []event{
			{Program: television()}, sample(0, ingest.RandomAccess|ingest.Recovery, 0, 800), sample(1, 0, 1920, 16), sample(0, 0, frame, 200),
		}},
		{"another program", []event{
			{Program: television()},
			sample(0, ingest.RandomAccess, 0, 4),
			{Program: radio()},
			sample(1, ingest.RandomAccess, 1920, 4), sample(1, ingest.RandomAccess, 3840, 4),
		}},
	}
}

// forwardVector has a unit and a field of a later version, which readers pass over.
func forwardVector(t *testing.T) goodVector {
	track := append(appendTrack(nil, &radio().Tracks[0]), 1, 2, 3)
	encoded := payload{initVersion, 1, 2, 3, 0, 0, 1}
	encoded = append(encoded.num(uint64(len(track))), track...).raw(9, 9)
	blocks := []Block{
		{Payload: firstWith(encoded...).raw(0x81, 3, 1, 2, 3).raw(1, 0x10, 20, 1, 'a').raw(0xfe, 4, 1), SegmentFirst: true},
		{Payload: payload{3, 2, 3, 4}.raw(1, 1, 40, 1, 'b')},
	}
	return goodVector{"of a later version", vectorBlocks(blocks), assemble(t, blocks)}
}

func TestVectors(t *testing.T) {
	made, err := json.MarshalIndent(makeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile(vectorsFile, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, made) {
		t.Errorf("%s is not what this version writes; if that is meant, run: go test ./segmenter -run TestVectors -update", vectorsFile)
	}
	var v vectors
	if err := json.Unmarshal(kept, &v); err != nil {
		t.Fatal(err)
	}
	checkVectors(t, v)
}

// checkVectors reads the file as a stranger would.
func checkVectors(t *testing.T, v vectors) {
	for _, good := range v.Good {
		t.Run(good.Name, func(t *testing.T) {
			checkEqual(t, assemble(t, decodeBlocks(t, good.Blocks)), good.Events)
		})
	}
	for _, bad := range v.Bad {
		t.Run(bad.Name, func(t *testing.T) {
			err := writeAll(NewAssembler(discard{}), decodeBlocks(t, bad.Blocks))
			if err == nil || err.Error() != bad.Reason {
				t.Errorf("got %v, want %s", err, bad.Reason)
			}
		})
	}
}

func decodeBlocks(t *testing.T, list []vectorBlock) (blocks []Block) {
	for _, b := range list {
		p, err := hex.DecodeString(b.Payload)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, Block{Payload: p, SegmentFirst: b.SegmentFirst})
	}
	return blocks
}
