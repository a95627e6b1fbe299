package clip

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"tailcast/feed"
	"tailcast/feed/merkle"
)

// An input takes fields from the front of a clip. It remembers the first error and yields zeros from then on, so that callers check
// once, before they believe anything.
type input struct {
	r   *bufio.Reader
	sum hash.Hash
	at  int64
	err error
	io  error // of reading the file: nothing is known about it then
}

func newInput(r io.Reader) *input {
	return &input{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf("byte %d: %w", in.at, fmt.Errorf(format, args...))
	}
}

// fill reads all of b.
func (in *input) fill(b []byte, what string) {
	if in.err != nil {
		clear(b)
		return
	}
	n, err := io.ReadFull(in.r, b)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		in.at += int64(n)
		in.fail("the file ends within %s", what)
	case err != nil:
		in.io = err
		in.fail("couldn't read %s: %w", what, err)
	}
	if in.err != nil {
		clear(b)
		return
	}
	in.at += int64(n)
	in.sum.Write(b)
}

func (in *input) take(n int, what string) []byte {
	b := make([]byte, n)
	in.fill(b, what)
	return b
}

func (in *input) u8(what string) int { return int(in.take(1, what)[0]) }

func (in *input) u64(what string) uint64 { return binary.BigEndian.Uint64(in.take(8, what)) }

// size reads a size of a log, or an index.
func (in *input) size(what string) uint64 {
	n := in.u64(what)
	if n > merkle.MaxSize {
		in.fail("%s is %d, more than a log can have", what, n)
		return 0
	}
	return n
}

// sized reads a u16 length of at most limit, and the bytes.
func (in *input) sized(limit int, what string) []byte {
	n := int(binary.BigEndian.Uint16(in.take(2, what)))
	if n > limit {
		in.fail("%s of %d bytes, want at most %d", what, n, limit)
		return nil
	}
	return in.take(n, what)
}

func (in *input) hashes(n int, what string) []merkle.Hash {
	list := make([]merkle.Hash, n)
	for k := range list {
		in.fill(list[k][:], what)
	}
	return list
}

// frontier reads frontier(n).
func (in *input) frontier(n uint64, what string) merkle.Frontier {
	f, err := merkle.NewFrontier(n, in.hashes(merkle.PeakCount(n), what))
	if err != nil {
		in.fail("%s: %w", what, err)
	}
	return f
}

// header reads what stands before the first part.
func (in *input) header() feed.PublicKey {
	if got := in.take(len(title), "its title"); in.err == nil && string(got) != title {
		in.at = 0
		if bytes.HasPrefix(got, []byte("tailcast clip ")) {
			in.fail("a clip of another version, %.1q; this program knows version 1: get a newer one", got[14:])
		}
		in.fail("not a clip")
	}
	want := len(feed.Link{}.String())
	line := string(in.take(want+1, "its link"))
	if in.err != nil {
		return feed.PublicKey{}
	}
	link, err := feed.ParseLink(line)
	if err != nil {
		in.fail("its link: %w", err)
	} else if (feed.Link{Root: link.Root}).String()+"\n" != line {
		in.fail("its link is not in its one spelling")
	}
	return link.Root
}

// trailer reads what stands after the last part, and returns the checksum.
func (in *input) trailer() (sum [sha256.Size]byte) {
	in.sum.Sum(sum[:0])
	if got := in.take(sha256.Size, "its checksum"); in.err == nil && [sha256.Size]byte(got) != sum {
		in.fail("the checksum is wrong: the file was damaged")
	}
	if _, err := in.r.ReadByte(); in.err == nil && !errors.Is(err, io.EOF) {
		in.fail("something follows the checksum")
	}
	return sum
}
