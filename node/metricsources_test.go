package node

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// told is the status of one input in which no two figures are the same, and what /metrics is to make of it.
func told() (Status, map[string]float64) {
	drift := 12.5
	s := IngestSource{
		Name: "backup", Input: "udp://a", State: "standby", Reason: "well", Missing: []string{"sound", "pictures"},
		IngestCounts: IngestCounts{
			Bytes: 11, Samples: 12, LostPackets: 13, LostSegments: 14, LostDatagrams: 15, Retransmitted: 16, DamagedSamples: 17, SkippedBytes: 18, Discontinuities: 19,
			DTSFallbacks: 20, Reconnects: 21,
		},
		DroppedSamples: 22, LeftOut: map[string]uint64{"overlap": 23}, LastError: "none", Bitrate: 24, FPS: 25, Keyframe: 26, Tracks: []string{"H.264"}, Drift: &drift, Push: &Push{},
	}
	return Status{Ingest: &Ingest{Rendition: "main", Sources: []IngestSource{s}, Switches: 27}}, map[string]float64{
		"on_air": 0, "up": 1, "received_bytes_total": 11, "samples_total": 12, "lost_packets_total": 13, "lost_segments_total": 14, "lost_datagrams_total": 15,
		"retransmitted_datagrams_total": 16, "damaged_samples_total": 17, "skipped_bytes_total": 18, "discontinuities_total": 19, "dts_fallbacks_total": 20,
		"reconnects_total": 21, "dropped_samples_total": 22, "left_out_samples_total": 23, "bits_per_second": 24, "pictures_per_second": 25,
		"keyframe_interval_seconds": 26, "missing_tracks": 2, "clock_drift_ratio": 12.5e-6,
	}
}

// scraped collects what is told of inputs, as statusCollector does.
type scraped struct{ status Status }

func (s *scraped) Describe(ch chan<- *prometheus.Desc) { describeSources(ch) }

func (s *scraped) Collect(ch chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType) func(*prometheus.Desc, float64, ...string) {
		return func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
		}
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		send(prometheus.CounterValue)(d, float64(v), labels...)
	}
	collectSources(&s.status, count, send(prometheus.GaugeValue))
}

// TestSourceMetrics: an alert is set by the name on the page, so these are the names, and each has the figure of the status that it is named after.
func TestSourceMetrics(t *testing.T) {
	status, want := told()
	all := prometheus.NewPedanticRegistry() // it also refuses what is collected and not described
	all.MustRegister(&scraped{status})
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[strings.TrimPrefix(f.GetName(), "tailcast_ingest_source_")] = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue() // it is one of the two
	}
	if n := got["tailcast_ingest_switches_total"]; n != 27 {
		t.Errorf("tailcast_ingest_switches_total is %v, want 27", n)
	}
	delete(got, "tailcast_ingest_switches_total")
	if !maps.Equal(got, want) {
		t.Errorf("of an input /metrics tells\n%v, want\n%v", got, want)
	}
	same(t, "metrics", slices.Sorted(maps.Keys(got)), firstColumn(t, "| metric | |"))
}

// TestSourceStatus: the fields of the status are those on the page.
func TestSourceStatus(t *testing.T) {
	status, _ := told()
	text, err := json.Marshal(status.Ingest.Sources[0])
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	same(t, "fields", slices.Sorted(maps.Keys(fields)), firstColumn(t, "| field | |"))
}

func same(t *testing.T, what string, got, page []string) {
	t.Helper()
	if !slices.Equal(got, page) {
		t.Errorf("%s: there are\n%v, and docs/ingest.md has\n%v", what, got, page)
	}
}

var inCode = regexp.MustCompile("`([a-z_]+)`")

// firstColumn are the names in the first column of the table of docs/ingest.md that begins with head, in order of the alphabet.
func firstColumn(t *testing.T, head string) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	_, health, _ := strings.Cut(string(text), "\n## Health\n")
	_, table, ok := strings.Cut(health, head+"\n|---|---|\n")
	if !ok {
		t.Fatalf("there is no table %q", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		for _, m := range inCode.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}
