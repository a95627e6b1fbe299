package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"tailcast/node"
)

// metrics are those of the relay as a whole. What each channel says of itself carries its name (node.Host.Join).
type metrics struct {
	relay *relay

	channels, sent, limit, allowed, disk, diskLimit *prometheus.Desc
}

func newMetrics(r *relay) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tailcast_relay_"+name, help, labels, nil)
	}
	return &metrics{
		relay:     r,
		channels:  desc("channels", "Channels by state.", "state"),
		sent:      desc("month_sent_bytes", "Sent to peers in this calendar month (UTC)."),
		limit:     desc("month_limit_bytes", "What may be sent in a calendar month; 0: no limit."),
		allowed:   desc("upload_limit_bytes_per_second", "What all channels together may send now; 0: no limit."),
		disk:      desc("disk_bytes", "Payload on disk, of all channels, those included that are not seeded any more."),
		diskLimit: desc("disk_limit_bytes", "How much it may be; 0: no limit."),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.channels, m.sent, m.limit, m.allowed, m.disk, m.diskLimit} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.relay.status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	states := make(map[node.State]float64)
	for _, c := range s.Channels {
		states[c.State]++
	}
	for _, state := range best {
		gauge(m.channels, states[state], string(state))
	}
	gauge(m.sent, float64(s.Monthly.Sent))
	gauge(m.limit, float64(s.Monthly.Limit))
	gauge(m.allowed, float64(s.Upload.Limit)/8)
	gauge(m.disk, float64(s.Disk.Bytes+s.Disk.Leftover))
	gauge(m.diskLimit, float64(s.Disk.Limit))
}
