package ts

// sectionReader joins sections from the payloads of a PID (H.222.0, 2.4.4). One that misses bytes is dropped: unlike a
// picture it is of no use to anybody, and it would swallow what follows.
type sectionReader struct {
	buf  []byte
	open bool
	torn uint64 // sections that were dropped
}

// push takes the payload of one packet and calls emit for each section that it completes.
func (r *sectionReader) push(b []byte, start bool, emit func(section []byte)) {
	if len(b) == 0 {
		return
	}
	if start {
		pointer := int(b[0]) // bytes that still belong to the section before
		if b = b[1:]; pointer > len(b) {
			r.tear()
			return
		}
		if r.open {
			r.buf = append(r.buf, b[:pointer]...)
			r.drain(emit)
			r.tear()
		}
		b = b[pointer:]
		r.buf, r.open = r.buf[:0], true
	}
	if r.open {
		r.buf = append(r.buf, b...)
		r.drain(emit)
	}
}

func (r *sectionReader) drain(emit func([]byte)) {
	b := r.buf
	for len(b) >= 3 {
		if b[0] == 0xff { // stuffing to the end of the packet
			r.open, b = false, nil
			break
		}
		n := 3 + int(b[1]&0x0f)<<8 + int(b[2])
		if len(b) < n {
			break
		}
		emit(b[:n])
		b = b[n:]
	}
	r.buf = append(r.buf[:0], b...)
}

// tear drops the section at hand, whose end does not come. A byte or two of stuffing, too few for drain to see, are none.
func (r *sectionReader) tear() {
	if r.open && len(r.buf) > 0 && r.buf[0] != 0xff {
		r.torn++
	}
	r.reset()
}

func (r *sectionReader) reset() { r.buf, r.open = r.buf[:0], false }

// hasCRC tells whether section ends with a CRC: those with the long header do, and splice information does without it.
func hasCRC(section []byte) bool { return section[1]&0x80 != 0 || section[0] == 0xfc }
