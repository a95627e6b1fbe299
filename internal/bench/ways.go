package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/internal/clip"
	"tailcast/internal/command"
	"tailcast/internal/cpu"
	"tailcast/internal/ts"
)

const (
	watchTime = 30 * time.Second
	joins     = 5
)

// ways measures the commands together: an encoder's UDP packets into a streamer, one viewer, and TS out of it.
func ways(table *tabwriter.Writer) error {
	dir, err := os.MkdirTemp("", "tailcast-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return errors.Join(oneHop(table, dir), heavy(table, dir))
}

// oneHop sends the clip at its own pace and compares when a frame's last byte left here with when it came back.
func oneHop(table *tabwriter.Writer, dir string) error {
	e, err := newEncoder(1)
	if err != nil {
		return err
	}
	defer e.close()
	streamer, err := launch("streamer", e.input(), "--data", dir+"/s1", "--rtsp", "")
	if err != nil {
		return err
	}
	defer streamer.Kill()
	viewer, err := launch("viewer", streamer.LinkTo(), "--data", dir+"/v1")
	if err != nil {
		return err
	}
	defer viewer.Kill()
	lags, err := e.watch(viewer.HTTP + "/live.ts?join=next")
	if err != nil {
		return err
	}
	by := fmt.Sprintf("%d pictures: UDP -> streamer -> viewer -> /live.ts", len(lags))
	row(table, "TS bytes in -> out, p50", ms(quantile(lags, .50)), "<= 150 ms", by)
	row(table, "TS bytes in -> out, p99", ms(quantile(lags, .99)), "<= 300 ms", by)
	return join(table, streamer.LinkTo(), dir)
}

// join starts viewers one after the other and waits for the first byte of TS.
func join(table *tabwriter.Writer, link, dir string) error {
	var times []time.Duration
	for i := range joins {
		begin := time.Now()
		v, err := launch("viewer", link, "--data", fmt.Sprintf("%s/j%d", dir, i))
		if err != nil {
			return err
		}
		r, err := http.Get(v.HTTP + "/live.ts?join=last")
		if err == nil {
			_, err = io.ReadFull(r.Body, make([]byte, 188))
			r.Body.Close()
		}
		times = append(times, time.Since(begin))
		if err = errors.Join(err, v.Kill()); err != nil {
			return err
		}
	}
	row(table, "viewer started -> first TS byte, worst", ms(slices.Max(times)), "<= 1 s", fmt.Sprintf("%d viewers, join=last", joins))
	return nil
}

// heavy airs 6 Mbit/s and looks at what the streamer needs for it.
func heavy(table *tabwriter.Writer, dir string) error {
	const rate = 6e6
	e, err := newEncoder(rate / clipRate())
	if err != nil {
		return err
	}
	defer e.close()
	streamer, err := launch("streamer", e.input(), "--data", dir+"/s6", "--rtsp", "")
	if err != nil {
		return err
	}
	defer streamer.Kill()
	viewer, err := launch("viewer", streamer.LinkTo(), "--data", dir+"/v6")
	if err != nil {
		return err
	}
	defer viewer.Kill()
	begin := cpu.Of(streamer.Pid())
	if _, err := e.watch(viewer.HTTP + "/live.ts?join=next"); err != nil {
		return err
	}
	used := (cpu.Of(streamer.Pid()) - begin).Seconds() / watchTime.Seconds()
	by := fmt.Sprintf("%s of 6 Mbit/s TS over UDP, one viewer", watchTime)
	row(table, "streamer at 6 Mbit/s, memory", fmt.Sprintf("%.0f MB", peakMemory(streamer.Pid())/1e6), "<= 60 MB", by)
	row(table, "streamer at 6 Mbit/s, CPU", fmt.Sprintf("%.1f %% of a core", used*100), "", by)
	row(table, "viewer at 6 Mbit/s, memory", fmt.Sprintf("%.0f MB", peakMemory(viewer.Pid())/1e6), "", by)
	return nil
}

func launch(name string, args ...string) (*command.Process, error) {
	return command.Start(command.Config{Bin: binaries(), Name: name, Args: append(args, "--log-level", "error")})
}

// encoder plays the clip in a loop to a UDP port and remembers when each picture's last byte left.
type encoder struct {
	conn  net.Conn
	mux   *ts.Muxer
	speed float64
	video uint8

	mu   sync.Mutex
	sent map[[32]byte]time.Time // by hash of the access unit
}

func newEncoder(speed float64) (*encoder, error) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := free.LocalAddr().String()
	free.Close()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	e := &encoder{conn: conn, speed: speed, sent: map[[32]byte]time.Time{}}
	e.mux = ts.NewMuxer(datagrams{conn})
	return e, nil
}

func (e *encoder) close()        { e.conn.Close() }
func (e *encoder) input() string { return "udp://" + e.conn.RemoteAddr().String() }

// datagrams sends seven packets at a time, as encoders do.
type datagrams struct{ net.Conn }

func (d datagrams) Write(b []byte) (int, error) {
	for part := range slices.Chunk(b, 7*188) {
		_, _ = d.Conn.Write(part) // before the streamer listens there is nobody to refuse it
	}
	return len(b), nil
}

// SetProgram and WriteSample make the encoder a Sink.
func (e *encoder) SetProgram(p *ingest.Program) {
	e.video = videoTrack(p)
	if err := e.mux.SetProgram(p); err != nil {
		panic("bench: " + err.Error())
	}
}

func (e *encoder) WriteSample(s ingest.Sample) {
	_ = e.mux.WriteSample(s)
	if s.Track == e.video {
		e.mu.Lock()
		e.sent[sha256.Sum256(s.Data)] = time.Now()
		e.mu.Unlock()
	}
}

func videoTrack(p *ingest.Program) uint8 {
	for _, t := range p.Tracks {
		if t.Codec.IsVideo() {
			return t.ID
		}
	}
	return math.MaxUint8
}

// watch encodes while it reads url for watchTime after the first picture, and returns how long each picture took.
func (e *encoder) watch(url string) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sending := make(chan error, 1)
	go func() {
		f := &mpegts.File{Open: clip.Open, Loop: true, Speed: e.speed}
		sending <- f.Run(ctx, e)
	}()
	lags, err := e.read(ctx, url)
	cancel()
	if sendErr := <-sending; !errors.Is(sendErr, context.Canceled) {
		err = errors.Join(err, sendErr)
	}
	if err == nil && len(lags) == 0 {
		err = errors.New("no picture came back")
	}
	return lags, err
}

func (e *encoder) read(ctx context.Context, url string) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTime+10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	back := &arrivals{encoder: e}
	scanner := ts.NewScanner(ts.Config{Sink: back})
	buf := make([]byte, 256<<10)
	for back.begin.IsZero() || time.Since(back.begin) < watchTime {
		n, err := r.Body.Read(buf)
		back.now = time.Now()
		_, _ = scanner.Write(buf[:n])
		scanner.Idle()
		if err != nil {
			return nil, err
		}
	}
	return back.lags, nil
}

// arrivals is the Sink of what came back.
type arrivals struct {
	encoder    *encoder
	video      uint8
	begin, now time.Time
	lags       []time.Duration
}

func (a *arrivals) SetProgram(p *ingest.Program) { a.video = videoTrack(p) }

func (a *arrivals) WriteSample(s ingest.Sample) {
	if s.Track != a.video {
		return
	}
	a.encoder.mu.Lock()
	defer a.encoder.mu.Unlock()
	if at, ok := a.encoder.sent[sha256.Sum256(s.Data)]; ok {
		if a.begin.IsZero() {
			a.begin = a.now
		}
		a.lags = append(a.lags, a.now.Sub(at))
	}
}

// clipRate is the bit rate of the clip as TS.
func clipRate() float64 { return float64(len(clip.Bytes())) * 8 / clip.Duration.Seconds() }

func quantile(d []time.Duration, q float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }

// peakMemory is the most that was resident, in bytes (proc(5), VmHWM); 0 where there is no /proc.
func peakMemory(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.SplitN(after, "kB", 2)[0]), 64)
	return kb * 1024
}
