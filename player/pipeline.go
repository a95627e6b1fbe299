package player

import (
	"time"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/segmenter"
)

// A format makes one container of samples and passes it to its outlet. It belongs to the pipeline's goroutine.
type format interface {
	setProgram(p *ingest.Program)
	segmentFirst() // the next sample begins a segment of the feed
	section()      // the next sample does not continue the one before, though its time does
	writeSample(s *ingest.Sample)
	endOfBlock() // nothing more comes for now: what is complete should go out
	close()
}

// A pipeline is the way of one rendition from blocks to containers: blocks, samples, one timeline, and each container made
// once for all who want it. It belongs to one goroutine.
type pipeline struct {
	assembler *segmenter.Assembler
	formats   []format
	time      timeline
	epoch     feed.EpochID
	old       bool // the block being read is from before the live edge
	now       func() time.Time
}

func newPipeline(now func() time.Time) *pipeline {
	p := &pipeline{now: now}
	p.assembler = segmenter.NewAssembler(p)
	return p
}

// push appends a chunk to s.
func (p *pipeline) push(s *stream, c chunk) {
	c.at, c.old = p.now(), p.old
	s.append(c)
}

// block takes the next block. An error says that the block cannot be read; the pipeline goes on with the next segment.
func (p *pipeline) block(b *feed.Block, id feed.EpochID, reset bool) error {
	switch {
	case id != p.epoch:
		p.assembler.Reset()
		p.time.reset()
	case reset:
		p.assembler.Gap()
		p.time.reset()
	}
	p.epoch = id
	if b.Record.Kind != feed.Media || !b.Record.Flags.Playable() {
		return nil
	}
	first := b.Record.Flags&feed.SegmentFirst != 0
	if first {
		for _, f := range p.formats {
			f.segmentFirst()
		}
	}
	err := p.assembler.Write(b.Payload, first)
	for _, f := range p.formats {
		f.endOfBlock()
	}
	return err
}

// raw takes the next block of one segment, whose times stay as they are, holes too. missing says that there is one before the block.
func (p *pipeline) raw(b *feed.Block, missing bool) error {
	if missing {
		p.assembler.Gap()
	}
	if b.Record.Kind != feed.Media || !b.Record.Flags.Playable() {
		return nil
	}
	return p.assembler.Write(b.Payload, b.Record.Flags&feed.SegmentFirst != 0)
}

func (p *pipeline) close() {
	for _, f := range p.formats {
		f.close()
	}
}

// SetProgram is for the assembler.
func (p *pipeline) SetProgram(program *ingest.Program) {
	for _, f := range p.formats {
		f.setProgram(program)
	}
}

// WriteSample is for the assembler.
func (p *pipeline) WriteSample(s ingest.Sample) {
	section, ok := p.time.move(&s)
	for _, f := range p.formats {
		if section {
			f.section()
		}
		if ok {
			f.writeSample(&s)
		}
	}
}
