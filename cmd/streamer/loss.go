package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"tailcast/ingest"
	"tailcast/node"
)

// What a stream comes by, for what helps when it loses something: names of ways, and of inputs that no encoder pushes.
const (
	byHLS     = "HLS"
	byUDP     = "UDP"
	byRTSPUDP = "RTSP over UDP"
	byUs      = "" // nothing is lost between it and us
)

// cures say what helps when a stream is lost in part. What comes by another way, over TCP or from a disk, arrives whole or not at all.
var cures = map[string]string{
	"SRT":     "give lost packets more time to come again (latency, at both ends; streamer: --srt-latency 500ms), or send a lower bit rate",
	"WHIP":    "use a better line or a lower bit rate; where the network loses packets SRT with some latency, or RTMP, arrives whole",
	"RTSP":    "send over TCP (ffmpeg: -rtsp_transport tcp), or use a better line",
	byRTSPUDP: "leave out --rtsp-udp, so that the media comes over TCP, or use a better line",
	byUDP:     "send by SRT, which asks for lost packets again, or by a cable; if this machine is too busy to read, by one with time",
	byHLS:     "look at the server and the line from it; a variant of a lower bit rate needs less (#bandwidth=3M)",
}

const elsewhere = "it was lost before it came here: look at what the encoder or the multiplexer itself receives"

// cure is what helps a stream that comes by so and so; viewers cannot repair what never arrived here.
func cure(by string) string {
	if todo, ok := cures[by]; ok {
		return todo
	}
	return elsewhere
}

// by is what an input that is fetched comes by.
func (in input) by(o *options) string {
	switch {
	case in.kind == udp:
		return byUDP
	case in.kind == srtInput:
		return "SRT"
	case in.kind == rtspPull && o.rtspUDP:
		return byRTSPUDP
	}
	return byUs
}

// lossy is what that part of the stream comes by of which most is lost.
func (s *source) lossy() (by string) {
	most := uint64(0)
	for i, st := range s.stats {
		if n := st.LostPackets.Load() + st.LostSegments.Load() + st.LostDatagrams.Load(); n > most {
			most, by = n, s.ways[i]
			if st.LostSegments.Load() > 0 { // a URL does not always tell that there is a playlist
				by = byHLS
			}
		}
	}
	return by
}

// add adds what is counted of a part of the stream, which comes by so and so.
func (s *source) add(by string, stats *ingest.Stats) {
	s.stats, s.ways = append(s.stats, stats), append(s.ways, by)
}

// lossWarning tells of what is lost, and what helps.
func lossWarning(n node.IngestCounts, by string) node.Warning {
	var lost []string
	for _, x := range []struct {
		n    uint64
		what string
	}{{n.LostPackets, "packets"}, {n.LostDatagrams, "datagrams of SRT"}, {n.LostSegments, "segments of HLS"}} {
		if x.n > 0 {
			lost = append(lost, fmt.Sprint(x.n, " ", x.what))
		}
	}
	return node.Warning{ID: "loss", What: "a part of the input is lost on the way: " + strings.Join(lost, ", ") + " so far", Todo: cure(by)}
}

// recent tells by how much a count has grown of late. The zero value is ready.
type recent struct {
	mu    sync.Mutex // guards all below
	total uint64     // at the last look
	grown []growth   // of late, one a second at most
}

type growth struct {
	at time.Time
	by uint64
}

// within looks at a count, and says by how much it has grown in the last d, as far as somebody looked.
func (r *recent) within(d time.Duration, total uint64, now time.Time) (sum uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.grown) - 1
	switch more := total - r.total; {
	case total <= r.total: // nothing more, or a source that counts anew
	case last >= 0 && now.Sub(r.grown[last].at) < time.Second:
		r.grown[last].by += more
	default:
		r.grown = append(r.grown, growth{now, more})
	}
	r.total = total
	for len(r.grown) > 0 && now.Sub(r.grown[0].at) >= d {
		r.grown = r.grown[1:]
	}
	for _, g := range r.grown {
		sum += g.by
	}
	return sum
}
