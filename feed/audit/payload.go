package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"tailcast/feed"
)

// payloads reads the payloads of a log in their order, with large reads into one buffer.
type payloads struct {
	*auditor
	dir    string
	starts []uint64 // of the files that are there, in order
	sizes  []int64

	at   int    // of starts: the file that is open or the next
	open bool   // it is open
	file file   // of starts[at]
	from uint64 // buf is the bytes from there on
	buf  []byte
	room []byte
	join []byte // a payload that goes on in the next file

	covered uint64 // up to there records speak of the bytes, or they were found to be zeros
}

const readSize = 1 << 20

// list looks which files there are.
func (p *payloads) list() error {
	entries, err := p.auditor.list(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := p.dir + "/" + e.Name()
		start, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || !payloadKey.MatchString(e.Name()) || start%payloadSize != 0 || !e.Type().IsRegular() {
			return refuted(name, "not a file of payloads")
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed a moment ago
		}
		if err != nil {
			return err
		}
		if info.Size() > payloadSize {
			return refuted(name, "it is larger than 64 MiB")
		}
		p.starts, p.sizes = append(p.starts, start), append(p.sizes, info.Size())
	}
	return nil
}

func (p *payloads) close() {
	p.file.close()
	p.file, p.open = file{}, false
}

// of returns the payload of a record, checked; nil if it has none, or if a file of it was removed. It is valid until the next call.
func (p *payloads) of(r *feed.Record) ([]byte, error) {
	if r.Offset > p.covered {
		if err := p.needZeros(r.Offset); err != nil {
			return nil, err
		}
	}
	p.covered = max(p.covered, r.Offset+uint64(r.Length))
	if r.Length == 0 {
		return nil, r.CheckPayload(nil)
	}
	b, err := p.bytes(r.Offset, int(r.Length))
	if err != nil || b == nil {
		return nil, err
	}
	return b, r.CheckPayload(b)
}

// bytes returns n bytes from offset on, nil if a file of them is not there.
func (p *payloads) bytes(offset uint64, n int) ([]byte, error) {
	if offset >= p.from && offset+uint64(n) <= p.from+uint64(len(p.buf)) {
		return p.buf[offset-p.from:][:n], nil
	}
	end := offset&^(payloadSize-1) + payloadSize
	if offset+uint64(n) <= end {
		return p.fill(offset, n)
	}
	first, err := p.bytes(offset, int(end-offset))
	if err != nil || first == nil {
		return nil, err
	}
	p.join = append(p.join[:0], first...)
	rest, err := p.bytes(end, n-len(first))
	if err != nil || rest == nil {
		return nil, err
	}
	p.join = append(p.join, rest...)
	return p.join, nil
}

// fill reads on from offset, at least n bytes, all of one file.
func (p *payloads) fill(offset uint64, n int) ([]byte, error) {
	ok, err := p.find(offset)
	if err != nil || !ok {
		return nil, err
	}
	p.room = room(p.room, readSize, p.file.size)
	p.buf, err = p.file.part(p.room, int64(offset-p.starts[p.at]))
	p.from = offset
	if err != nil {
		return nil, err
	}
	p.read(len(p.buf))
	if len(p.buf) < n {
		return nil, fmt.Errorf("file %s ends within its payload", p.name())
	}
	return p.buf[:n], nil
}

func (p *payloads) name() string { return fmt.Sprintf("%s/%020d", p.dir, p.starts[p.at]) }

// find opens the file with the byte at offset, and reports whether there is one. Offsets only grow.
func (p *payloads) find(offset uint64) (bool, error) {
	start := offset &^ (payloadSize - 1)
	for p.at < len(p.starts) && p.starts[p.at] < start {
		p.close()
		p.at++
	}
	if p.at == len(p.starts) || p.starts[p.at] != start {
		return false, nil
	}
	if p.open {
		return true, nil
	}
	f, err := openFile(p.fsys, p.name())
	if err != nil || f.ReaderAt == nil { // removed a moment ago
		return false, err
	}
	p.file, p.open = f, true
	return true, nil
}

// needZeros checks that the bytes from those that records spoke of up to offset are zeros, where there are files.
func (p *payloads) needZeros(offset uint64) error {
	for p.covered < offset {
		ok, err := p.find(p.covered)
		if err != nil {
			return err
		}
		next := min(offset, p.covered&^(payloadSize-1)+payloadSize)
		if ok {
			err = p.zeros(next)
		} else if p.at < len(p.starts) {
			next = min(offset, max(next, p.starts[p.at]))
		} else {
			next = offset
		}
		if err != nil {
			return err
		}
		p.covered = next
	}
	return nil
}

// zeros checks the open file up to offset, which is at most its end.
func (p *payloads) zeros(offset uint64) error {
	buf := make([]byte, min(64<<10, offset-p.covered))
	for at := p.covered; at < offset; at += uint64(len(buf)) {
		n := min(uint64(len(buf)), offset-at)
		b, err := p.file.part(buf[:n], int64(at-p.starts[p.at]))
		if err != nil {
			return err
		}
		if !isZero(b) {
			return fmt.Errorf("file %s has bytes before its payload that no record speaks of", p.name())
		}
		p.read(len(b))
	}
	return nil
}

// finish returns how many bytes there are behind the last payload.
func (p *payloads) finish() (left int64, err error) {
	p.close()
	for k, start := range p.starts {
		if end := start + uint64(p.sizes[k]); end > p.covered {
			left += int64(end - max(p.covered, start))
		}
	}
	return left, nil
}
