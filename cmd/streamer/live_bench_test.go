package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tailcast/feed"
	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/internal/cpu"
	"tailcast/internal/ts"
	"tailcast/segmenter"
)

// encoded is what an encoder sends of one picture, and when.
type encoded struct {
	at      time.Duration
	packets []byte
}

// encodings of the benchmarks.
var (
	h264 = encoding{ingest.H264, 0x1b, []byte{9, 0xf0}, []byte{0x65, 0x88}, []byte{0x41, 0x9a}}
	hevc = encoding{ingest.H265, 0x24, []byte{0x46, 1, 0x50}, []byte{0x26, 1, 0xaf}, []byte{0x02, 1, 0xd0}}
)

// encoding is how the units of a codec begin: delimiter, key picture, other picture.
type encoding struct {
	codec                ingest.Codec
	streamType           uint8
	delimiter, key, rest []byte
}

// live is so many bit/s as an encoder sends them: 25 pictures a second of uneven size, one a second four times as large, of undeclared
// length as ffmpeg writes them.
func live(b testing.TB, e encoding, length time.Duration, rate float64) (list []encoded) {
	b.Helper()
	var out bytes.Buffer
	m := ts.NewMuxer(&out)
	track := ingest.Track{Codec: e.codec, PID: 256, StreamType: e.streamType, StreamID: 0xe0}
	if err := m.SetProgram(&ingest.Program{Number: 1, PMTPID: 4096, PCRPID: 256, Tracks: []ingest.Track{track}}); err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	share := rate / 8 / 25
	for i := range int64(length.Seconds() * 25) {
		head, weight, flags := e.rest, 0.4+0.95*random.Float64(), ingest.Flags(0)
		if i%25 == 0 {
			head, weight, flags = e.key, 4, ingest.RandomAccess
		}
		data := slices.Concat([]byte{0, 0, 0, 1}, e.delimiter, []byte{0, 0, 0, 1}, head, bytes.Repeat([]byte{0xaa}, int(share*weight)))
		if err := m.WriteSample(ingest.Sample{Flags: flags, PTS: i * 3600, DTS: i * 3600, Data: data}); err != nil {
			b.Fatal(err)
		}
		list = append(list, encoded{time.Duration(i) * 40 * time.Millisecond, unbounded(bytes.Clone(out.Bytes()))})
		out.Reset()
	}
	return list
}

// unbounded takes the lengths out of the PES packets of pictures.
func unbounded(ts []byte) []byte {
	for p := range slices.Chunk(ts, 188) {
		if i := bytes.Index(p, []byte{0, 0, 1, 0xe0}); p[1]&0x40 != 0 && i > 0 {
			p[i+4], p[i+5] = 0, 0
		}
	}
	return ts
}

// send writes pictures when they are due, in pieces of seven packets, and tells when the last of each was out.
func send(w io.Writer, list []encoded, sent func(i int)) error {
	begin := time.Now()
	for i, x := range list {
		time.Sleep(x.at - time.Since(begin))
		for part := range slices.Chunk(x.packets, 7*188) {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		sent(i)
	}
	return nil
}

// BenchmarkLive airs channels in real time, all in this process, from pipes to signed blocks on disk, and says how much of a core that takes, who
// sends them included.
func BenchmarkLive(b *testing.B) {
	const length = 5 * time.Second
	for _, c := range []struct {
		name     string
		encoding encoding
		channels int
		rate     float64
	}{{"hevc25Mbit", hevc, 1, 25e6}, {"ten6Mbit", h264, 10, 6e6}} {
		b.Run(c.name, func(b *testing.B) {
			list := live(b, c.encoding, length, c.rate)
			var used time.Duration
			for b.Loop() {
				var group errgroup.Group
				sinks := make([]*onAir, c.channels)
				for i := range sinks {
					sinks[i] = newChannel(b, feed.Config{Dir: b.TempDir()}).onAir()
				}
				start := cpu.Used()
				for _, sink := range sinks {
					r, w := io.Pipe()
					group.Go(func() error {
						defer w.Close()
						return send(w, list, func(int) {})
					})
					group.Go(func() error { return (&mpegts.Reader{R: r}).Run(b.Context(), sink) })
				}
				if err := group.Wait(); err != nil {
					b.Fatal(err)
				}
				used += cpu.Used() - start
				for _, sink := range sinks {
					if n := sink.outlet.out.Log().Head().Size; n < uint64(c.rate*length.Seconds()/8/8192) {
						b.Fatalf("only %d blocks were signed", n)
					}
				}
			}
			b.ReportMetric(100*used.Seconds()/float64(b.N)/length.Seconds(), "%core")
		})
	}
}

// BenchmarkDelay measures in real time, at 4 Mbit/s, how long after a picture's last byte came in the block with its last byte is signed.
func BenchmarkDelay(b *testing.B) {
	list := live(b, h264, 10*time.Second, 4e6)
	for b.Loop() {
		c := newChannel(b, feed.Config{Dir: b.TempDir()})
		log, err := c.writer.Log(mainRendition)
		if err != nil {
			b.Fatal(err)
		}
		d := &delays{sent: make([]time.Time, len(list))}
		viewer := segmenter.NewAssembler(d)
		cutter := segmenter.New(segmenter.Config{}, func(x segmenter.Block) error {
			if _, err := log.Append(feed.Entry{Kind: feed.Media, Flags: flags(x), DTS: x.DTS, Duration: x.Duration, Payload: x.Payload}); err != nil {
				return err
			}
			return viewer.Write(x.Payload, x.SegmentFirst)
		})
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- (&mpegts.Reader{R: r}).Run(b.Context(), cutter) }()
		if err := send(w, list, d.out); err != nil {
			b.Fatal(err)
		}
		w.Close()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		slices.Sort(d.took)
		n := len(d.took)
		if n < len(list)/2 {
			b.Fatalf("%d pictures of %d came out", n, len(list))
		}
		b.ReportMetric(d.took[n/2].Seconds()*1e3, "p50-ms")
		b.ReportMetric(d.took[n*95/100].Seconds()*1e3, "p95-ms")
	}
}

// delays is the Sink of what was signed.
type delays struct {
	mu   sync.Mutex // guards all below
	sent []time.Time
	took []time.Duration
}

func (d *delays) out(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[i] = time.Now()
}

func (d *delays) SetProgram(*ingest.Program) {}

func (d *delays) WriteSample(s ingest.Sample) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	i := int(s.DTS / 3600)
	switch at := d.sent[i]; {
	case i < 50: // until the stream is known, and trusted
	case at.IsZero(): // signed before who sent it was told so
		d.took = append(d.took, 0)
	default:
		d.took = append(d.took, now.Sub(at))
	}
}

// cryptoFloor is what a block of 8 KiB costs at least on this machine, now: one signature and the hash of its payload.
func cryptoFloor() time.Duration {
	const n = 500
	_, key, _ := ed25519.GenerateKey(nil)
	payload := make([]byte, 8<<10)
	start := cpu.Used()
	for range n {
		sum := sha256.Sum256(payload)
		payload[0] = ed25519.Sign(key, sum[:])[0]
	}
	return (cpu.Used() - start) / n
}
