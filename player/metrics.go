package player

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the player decided.
type metrics struct {
	clients *prometheus.GaugeVec
	sent    *prometheus.CounterVec
	skips   *prometheus.CounterVec
	refused *prometheus.CounterVec
	unread  prometheus.Counter
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "tailcast", Subsystem: "player", Name: name, Help: help}
	}
	counter := func(name, label, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	return &metrics{
		clients: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("clients", "Clients that are being served.")), []string{"format"}),
		sent:    counter("sent_bytes_total", "format", "Container bytes handed to clients."),
		skips:   counter("skips_total", "format", "Times a slow client was moved to the live edge."),
		refused: counter("refused_total", "reason", "Requests answered without a stream: full, codec, waiting, past, rendition or foreign."),
		unread: prometheus.NewCounter(prometheus.CounterOpts(
			opts("unreadable_blocks_total", "Verified blocks whose payload could not be read."))),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.clients, m.sent, m.skips, m.refused, m.unread}
}
