package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"tailcast/feed"
)

// newLag makes the histogram of how late blocks are.
func newLag() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tailcast_block_lag_seconds",
		Help:    "Verified here minus the wall clock of the record, of blocks that were pushed to us in time.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .3, .5, .75, 1, 2, 5},
	})
}

// statusCollector turns the status of a channel into metrics, so that the two cannot disagree: names with the prefix tailcast_, base units, no
// peer ids in labels. Of a node with many channels each metric carries the channel's name.
type statusCollector struct{ channel *Channel }

var (
	appendedBytes = prometheus.NewDesc("tailcast_feed_appended_bytes_total", "Payload that was signed here.", nil, nil)
	historyBytes  = prometheus.NewDesc("tailcast_feed_history_bytes", "Payload on disk.", nil, nil)
	historyFrom   = prometheus.NewDesc("tailcast_feed_history_start_timestamp_seconds", "When the oldest block on disk was signed.", nil, nil)
	historyShort  = prometheus.NewDesc("tailcast_feed_history_no_room", "1 while the disk is full, so that less than the window is kept.", nil, nil)
	sentBytes     = prometheus.NewDesc("tailcast_peer_sent_bytes_total", "Sent to peers, by what it was for.", []string{"kind"}, nil)
	receivedBytes = prometheus.NewDesc("tailcast_peer_received_bytes_total", "Received from peers, by what it was for.", []string{"kind"}, nil)
	wireSent      = prometheus.NewDesc("tailcast_wire_sent_bytes_total", "QUIC packets sent to peers, without UDP and IP headers.", nil, nil)
	wireReceived  = prometheus.NewDesc("tailcast_wire_received_bytes_total", "QUIC packets received from peers, without UDP and IP headers.", nil, nil)
	uplink        = prometheus.NewDesc("tailcast_uplink_bytes_per_second", "What the line carries up, as far as is known; 0: not known.", nil, nil)
	upLimit       = prometheus.NewDesc("tailcast_upload_limit_bytes_per_second", "The cap on what is sent to peers; 0: none.", nil, nil)
	slots         = prometheus.NewDesc("tailcast_slots", "Stripes that can be pushed to peers.", nil, nil)
	slotsUsed     = prometheus.NewDesc("tailcast_slots_used", "Stripes that are pushed to peers.", nil, nil)
	children      = prometheus.NewDesc("tailcast_children", "Peers that stripes are pushed to.", nil, nil)
	missing       = prometheus.NewDesc("tailcast_stripes_missing", "Stripes that nobody pushes to us.", nil, nil)
	blocks        = prometheus.NewDesc("tailcast_blocks_total", "Blocks by what became of them.", []string{"result"}, nil)
	peersByRole   = prometheus.NewDesc("tailcast_peers", "Connected peers.", []string{"role"}, nil)
	isLive        = prometheus.NewDesc("tailcast_live", "1 while the node may say that it is live.", nil, nil)
	noteExpiry    = prometheus.NewDesc("tailcast_channel_note_expiry_timestamp_seconds", "When the channel note ends, after which nothing is live.", nil, nil)
	faultsKnown   = prometheus.NewDesc("tailcast_faults", "Runs of the channel, of those known, whose signer is proved to have broken the rules.", []string{"kind"}, nil)
	ingestBytes   = prometheus.NewDesc("tailcast_ingest_received_bytes_total", "Received from the encoder.", nil, nil)
	ingestSamples = prometheus.NewDesc("tailcast_ingest_samples_total", "Access units and data units taken in.", nil, nil)
	ingestLost    = prometheus.NewDesc("tailcast_ingest_lost_packets_total", "Packets missing on the way from the encoder.", nil, nil)
	ingestLate    = prometheus.NewDesc("tailcast_ingest_lost_datagrams_total", "SRT packets that did not come in time, though asked for again.", nil, nil)
	ingestAgain   = prometheus.NewDesc("tailcast_ingest_retransmitted_datagrams_total", "SRT packets that came because they were asked for again.", nil, nil)
	ingestRefused = prometheus.NewDesc("tailcast_ingest_refused_total", "Attempts to publish without the stream key.", nil, nil)
	ingestDamaged = prometheus.NewDesc("tailcast_ingest_damaged_samples_total", "Samples that lost bytes on the way in.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{appendedBytes, historyBytes, historyFrom, historyShort, sentBytes, receivedBytes, wireSent, wireReceived, uplink, upLimit, slots, slotsUsed, children, missing, blocks, peersByRole, isLive, noteExpiry, faultsKnown, ingestBytes, ingestSamples, ingestLost, ingestLate, ingestAgain, ingestRefused, ingestDamaged} {
		ch <- d
	}
	describeSources(ch)
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.channel.Status()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter(appendedBytes, s.Bytes.Appended)
	if h := s.History; h != nil {
		gauge(historyBytes, float64(h.Bytes))
		gauge(historyFrom, float64(h.From.UnixMilli())/1000)
		gauge(historyShort, one(h.Short))
	}
	for desc, t := range map[*prometheus.Desc]Traffic{sentBytes: s.Bytes.Sent, receivedBytes: s.Bytes.Received} {
		counter(desc, t.Media, "media")
		counter(desc, t.Proofs, "proofs")
		counter(desc, t.Control, "control")
		counter(desc, t.Repair, "repair")
	}
	counter(wireSent, s.Bytes.WireSent)
	counter(wireReceived, s.Bytes.WireReceived)
	for desc, v := range map[*prometheus.Desc]float64{
		uplink: float64(s.Upload.Uplink) / 8, upLimit: float64(s.Upload.Limit) / 8, missing: float64(s.Upload.Missing),
		slots: float64(s.Upload.Slots), slotsUsed: float64(s.Upload.Used), children: float64(s.Upload.Children),
	} {
		gauge(desc, v)
	}
	counter(blocks, s.Blocks.Verified, "verified")
	counter(blocks, s.Blocks.Rejected, "rejected")
	counter(blocks, s.Blocks.Missed, "missed")
	counter(blocks, s.Blocks.Duplicate, "duplicate")
	counter(blocks, s.Blocks.Repaired, "repaired")
	roles := map[string]float64{"streamer": 0, "relay": 0, "viewer": 0}
	for _, p := range s.Peers {
		roles[p.Role]++
	}
	for role, count := range roles {
		gauge(peersByRole, count, role)
	}
	faultsByKind(s.Faults, gauge)
	gauge(isLive, one(s.State == StateLive))
	if s.NoteExpires != nil {
		gauge(noteExpiry, float64(s.NoteExpires.Unix()))
	}
	if s.Ingest == nil {
		return
	}
	counter(ingestBytes, s.Ingest.Bytes)
	counter(ingestSamples, s.Ingest.Samples)
	counter(ingestLost, s.Ingest.LostPackets)
	counter(ingestLate, s.Ingest.LostDatagrams)
	counter(ingestAgain, s.Ingest.Retransmitted)
	counter(ingestRefused, s.Ingest.Refused)
	counter(ingestDamaged, s.Ingest.DamagedSamples)
	collectSources(&s, counter, gauge)
}

// one is how metrics say yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// faultsByKind counts faults; all kinds are there from the start, so that an alert can be set.
func faultsByKind(faults []Fault, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	kinds := make(map[string]float64)
	for _, k := range []feed.FaultKind{feed.KindFork, feed.KindRule, feed.KindAnchor} {
		kinds[k.String()] = 0
	}
	for _, f := range faults {
		kinds[f.Kind]++
	}
	for kind, n := range kinds {
		gauge(faultsKnown, n, kind)
	}
}
