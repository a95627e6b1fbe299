package segmenter

import "tailcast/ingest"

// Block sizes in bytes. A small block waits less to be full, a large one carries fewer proofs: a block costs some 240 bytes
// of record, signature and peaks. Beyond 8 KiB a block is more than the congestion window that 1 % loss leaves.
const (
	radioBlock  = 2400
	smallBlock  = 4096
	mediumBlock = 6144
	largeBlock  = 8192
)

// blockSize is for a stream of that many bits per second; 0 if nothing is known yet.
func blockSize(bitrate int64, hasVideo bool) int {
	switch {
	case bitrate == 0 && hasVideo:
		return smallBlock
	case bitrate <= 250_000:
		return radioBlock
	case bitrate <= 750_000:
		return smallBlock
	case bitrate < 3_500_000:
		return mediumBlock
	}
	return largeBlock
}

// meter measures the bit rate over the last segments, each counting half of the one after it.
type meter struct{ bytes, ticks int64 }

func (m *meter) segment(bytes, ticks int64) {
	m.bytes = m.bytes/2 + bytes
	m.ticks = m.ticks/2 + ticks
}

// bitrate is in bits per second; 0 until half a second was measured.
func (m *meter) bitrate() int64 {
	if m.ticks < ingest.ClockRate/2 {
		return 0
	}
	return m.bytes * 8 * ingest.ClockRate / m.ticks
}
