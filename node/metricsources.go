package node

import "github.com/prometheus/client_golang/prometheus"

// What is told of each input of a rendition, by its name: primary, backup, backup 2, slate.
var (
	sourceOnAir    = sourceDesc("on_air", "1 for the input that viewers see.")
	sourceUp       = sourceDesc("up", "1 for an input that delivers, on air or standing by.")
	sourceBytes    = sourceDesc("received_bytes_total", "Received from the input.")
	sourceSamples  = sourceDesc("samples_total", "Access units and data units taken in.")
	sourceLost     = sourceDesc("lost_packets_total", "Packets missing on the way from the input.")
	sourceSegments = sourceDesc("lost_segments_total", "Segments of HLS that were gone before they were fetched, or could not be.")
	sourceLate     = sourceDesc("lost_datagrams_total", "SRT packets that did not come in time, though asked for again.")
	sourceRepeated = sourceDesc("retransmitted_datagrams_total", "SRT packets that came because they were asked for again.")
	sourceSkipped  = sourceDesc("skipped_bytes_total", "Bytes that were passed over to find packets, or that nobody understood.")
	sourceDamaged  = sourceDesc("damaged_samples_total", "Samples that lost bytes on the way in.")
	sourceDropped  = sourceDesc("dropped_samples_total", "Samples for which there was no room, since this machine was too slow.")
	sourceLeft     = prometheus.NewDesc("tailcast_ingest_source_left_out_samples_total", "Samples that did not go on air though there was room, by cause.", []string{"rendition", "source", "cause"}, nil)
	sourceJumps    = sourceDesc("discontinuities_total", "Jumps of the input's clock.")
	sourceGuessed  = sourceDesc("dts_fallbacks_total", "Decoding times that had to be guessed.")
	sourceAgain    = sourceDesc("reconnects_total", "Connections begun after the first.")
	sourceBitrate  = sourceDesc("bits_per_second", "Bit rate over the last seconds.")
	sourceFPS      = sourceDesc("pictures_per_second", "Pictures a second over the last seconds.")
	sourceKeyframe = sourceDesc("keyframe_interval_seconds", "The longest time between keyframes, of late.")
	sourceMissing  = sourceDesc("missing_tracks", "Tracks of pictures and sound that have stopped while others of the input go on.")
	sourceDrift    = sourceDesc("clock_drift_ratio", "By which part the input's clock is faster than ours; absent while that is not known.")
	switchesDone   = prometheus.NewDesc("tailcast_ingest_switches_total", "Switches from one input to another.", []string{"rendition"}, nil)
)

func sourceDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("tailcast_ingest_source_"+name, help, []string{"rendition", "source"}, nil)
}

func describeSources(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		sourceOnAir, sourceUp, sourceBytes, sourceSamples, sourceLost, sourceSegments, sourceLate, sourceRepeated, sourceSkipped, sourceDamaged,
		sourceDropped, sourceLeft, sourceJumps, sourceGuessed, sourceAgain, sourceBitrate, sourceFPS, sourceKeyframe, sourceMissing, sourceDrift, switchesDone,
	} {
		ch <- d
	}
}

func collectSources(s *Status, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	list := s.Inputs
	if len(list) == 0 {
		list = []*Ingest{s.Ingest}
	}
	for _, i := range list {
		counter(switchesDone, i.Switches, i.Rendition)
		for _, s := range i.Sources {
			s.collect(i.Rendition, counter, gauge)
		}
	}
}

func (s *IngestSource) collect(rendition string, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(sourceOnAir, one(s.OnAir), rendition, s.Name)
	gauge(sourceUp, one(s.State == "on air" || s.State == "standby"), rendition, s.Name)
	for desc, n := range map[*prometheus.Desc]uint64{
		sourceBytes: s.Bytes, sourceSamples: s.Samples, sourceLost: s.LostPackets, sourceSegments: s.LostSegments, sourceLate: s.LostDatagrams,
		sourceRepeated: s.Retransmitted, sourceSkipped: s.SkippedBytes, sourceDamaged: s.DamagedSamples, sourceDropped: s.DroppedSamples,
		sourceJumps: s.Discontinuities, sourceGuessed: s.DTSFallbacks, sourceAgain: s.Reconnects,
	} {
		counter(desc, n, rendition, s.Name)
	}
	for cause, n := range s.LeftOut {
		counter(sourceLeft, n, rendition, s.Name, cause)
	}
	gauge(sourceBitrate, s.Bitrate, rendition, s.Name)
	gauge(sourceFPS, s.FPS, rendition, s.Name)
	gauge(sourceKeyframe, s.Keyframe, rendition, s.Name)
	gauge(sourceMissing, float64(len(s.Missing)), rendition, s.Name)
	if s.Drift != nil {
		gauge(sourceDrift, *s.Drift/1e6, rendition, s.Name)
	}
}
