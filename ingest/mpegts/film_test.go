package mpegts

import (
	"bytes"
	"hash/maphash"
	"io"
	"testing"
	"time"

	"tailcast/ingest"
	"tailcast/internal/clip"
	"tailcast/internal/ts"
	"tailcast/segmenter"
)

// What follows makes programmes of three parts, airs them in virtual time through Reader, segmenter and back, and writes down what comes
// out and when. The second part is where harm is done.

// partTime is how long a part is.
const partTime = 8 * time.Second

const partTicks = int64(partTime/time.Second) * ingest.ClockRate

// part is what is multiplexed for eight seconds.
type part struct {
	program *ingest.Program
	samples []ingest.Sample
	fresh   bool // by another multiplexer: counters begin anew
}

// film is three parts of the same programme, with times that go on.
func film(p *ingest.Program, eight []ingest.Sample) (parts []part) {
	for i := range int64(3) {
		x := part{program: p}
		for _, s := range eight {
			s.PTS, s.DTS = s.PTS+i*partTicks, s.DTS+i*partTicks
			x.samples = append(x.samples, s)
		}
		parts = append(parts, x)
	}
	return parts
}

// taken is what a scanner finds in a stream.
type taken struct {
	program *ingest.Program
	samples []ingest.Sample
}

func (k *taken) SetProgram(p *ingest.Program) { k.program = p }

func (k *taken) WriteSample(s ingest.Sample) {
	s.Data = bytes.Clone(s.Data)
	k.samples = append(k.samples, s)
}

func take(in []byte) *taken {
	k := &taken{}
	s := ts.NewScanner(ts.Config{Sink: k})
	s.Write(in)
	s.Flush()
	return k
}

func television(testing.TB) []part {
	k := take(clip.Bytes())
	return film(k.program, k.samples)
}

// radio is the clip's sound.
func radio(t testing.TB) []part {
	k := take(clip.Bytes())
	p := *k.program
	p.Tracks, p.PCRPID = p.Tracks[1:], p.Tracks[1].PID
	var sound []ingest.Sample
	for _, s := range k.samples {
		if s.Track == p.Tracks[0].ID {
			sound = append(sound, s)
		}
	}
	return film(&p, sound)
}

// synthetic is 25 pictures a second of so many bytes, of which each n-th is a key picture.
func synthetic(n, size int) func(testing.TB) []part {
	return func(testing.TB) []part {
		p := &ingest.Program{
			Number: 1, PMTPID: 4096, PCRPID: 256, Tracks: []ingest.Track{{Codec: ingest.H264, PID: 256, StreamType: 0x1b, StreamID: 0xe0}},
		}
		parts := film(p, nil)
		for i := range int64(3) * 25 * 8 {
			kind := []byte{0x41, 0x9a}
			if i%int64(n) == 0 {
				kind = []byte{0x65, 0x88}
			}
			x := &parts[i/200]
			x.samples = append(x.samples, ingest.Sample{PTS: i * 3600, DTS: i * 3600, Data: coded(kind, int(i), size)})
		}
		return parts
	}
}

// coded is an access unit with a delimiter, without any further start code.
func coded(kind []byte, seed, size int) []byte {
	b := append([]byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1}, kind...)
	for i := range size {
		b = append(b, byte(i*7+seed*13+i>>8)|0x80)
	}
	return b
}

// multiplexed is what parts become: their packets.
func multiplexed(t testing.TB, parts []part) (out [][][]byte) {
	t.Helper()
	var b bytes.Buffer
	m := ts.NewMuxer(&b)
	for i, x := range parts {
		if x.fresh {
			m = ts.NewMuxer(&b)
		}
		if i == 0 || x.fresh || x.program != parts[i-1].program {
			if err := m.SetProgram(x.program); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range x.samples {
			if err := m.WriteSample(s); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, packetsOf(b.Bytes()))
		b.Reset()
	}
	return out
}

func packetsOf(b []byte) (out [][]byte) {
	for i := 0; i+188 <= len(b); i += 188 {
		out = append(out, bytes.Clone(b[i:i+188]))
	}
	return out
}

// heard is a sample as it came out, its bytes as their sum.
type heard struct {
	program  int // how many were told before
	pid      uint16
	flags    ingest.Flags
	pts, dts int64
	sum      uint64
	size     int
	at       time.Duration // since the beginning
}

// run is what became of a programme.
type run struct {
	begin    time.Time
	seed     maphash.Seed
	stats    *ingest.Stats
	programs int
	in, out  []heard         // as the source delivered it, and as a viewer gets it
	starts   []time.Duration // of segments with a random access point
	blocks   int
	err      error
}

// ear is a Sink that writes down what it hears.
type ear struct {
	*run
	list *[]heard
	told int
	pids [ingest.MaxTracks]uint16
}

func (e *ear) SetProgram(p *ingest.Program) {
	e.told++
	for _, t := range p.Tracks {
		e.pids[t.ID] = t.PID
	}
}

func (e *ear) WriteSample(s ingest.Sample) {
	*e.list = append(*e.list, heard{e.told, e.pids[s.Track], s.Flags, s.PTS, s.DTS, maphash.Bytes(e.seed, s.Data), len(s.Data), time.Since(e.begin)})
}

// tee is the Sink of the source.
type tee struct {
	*run
	ear    *ear
	cutter *segmenter.Segmenter
}

func (x *tee) SetProgram(p *ingest.Program) {
	x.programs++
	x.ear.SetProgram(p)
	x.cutter.SetProgram(p)
}

func (x *tee) WriteSample(s ingest.Sample) {
	x.ear.WriteSample(s)
	x.cutter.WriteSample(s)
}

// onAir airs parts, each in partTime, and returns what was heard. It is called in a bubble of virtual time.
func onAir(t testing.TB, seed maphash.Seed, parts [][]byte) *run {
	t.Helper()
	r := &run{begin: time.Now(), stats: &ingest.Stats{}, seed: seed}
	viewer := segmenter.NewAssembler(&ear{run: r, list: &r.out})
	cutter := segmenter.New(segmenter.Config{}, func(b segmenter.Block) error {
		r.blocks++
		if b.SegmentFirst && b.RandomAccess {
			r.starts = append(r.starts, time.Since(r.begin))
		}
		return viewer.Write(b.Payload, b.SegmentFirst)
	})
	in, out := io.Pipe()
	go func() {
		const tick = 40 * time.Millisecond
		for _, b := range parts {
			for i := range int(partTime / tick) {
				n := int(partTime / tick)
				_, _ = out.Write(b[len(b)*i/n : len(b)*(i+1)/n])
				time.Sleep(tick)
			}
		}
		out.Close()
	}()
	source := &Reader{Config: Config{Stats: r.stats}, R: in}
	r.err = source.Run(t.Context(), &tee{run: r, ear: &ear{run: r, list: &r.in}, cutter: cutter})
	if err := cutter.Close(); err != nil {
		t.Errorf("what was cut cannot be put together again: %v", err)
	}
	return r
}
