package feedtest

import "slices"

// A Step is a change as it happened to a Disk: what a tape holds. A test that would break each of a thousand changes plays the
// tape of one run up to there, instead of a thousand runs.
type Step struct {
	What string // as in Change
	Name string
	At   int64  // offset of a write, size after a truncate
	Data []byte // of a write or replace
}

// Record begins a new tape.
func (d *Disk) Record() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taping, d.tape = true, nil
}

// Tape returns what happened since Record.
func (d *Disk) Tape() []Step {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tape)
}

// Do does to d what happened to another disk.
func (d *Disk) Do(s Step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.do(s)
}

// do does a change, and returns the file. The disk is locked.
func (d *Disk) do(s Step) *file {
	if d.taping {
		d.tape = append(d.tape, s)
	}
	f := d.files[s.Name]
	switch s.What {
	case "create":
		f = &file{}
		d.files[s.Name] = f
	case "replace":
		d.files[s.Name] = &file{durable: s.Data, now: slices.Clone(s.Data)}
	case "remove":
		delete(d.files, s.Name)
	case "sync":
		f.durable, f.pending = slices.Clone(f.now), nil
	default:
		p := pending{at: s.At, data: s.Data, truncate: s.What == "truncate"}
		f.now = p.apply(f.now)
		f.pending = append(f.pending, p)
	}
	return f
}
