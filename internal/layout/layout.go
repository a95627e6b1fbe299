// Package layout holds the map of the repository: which package may import which. The map is a test, so it stays true; it reads
// the import statements itself, since `go list` behind the test cache would go on saying "ok" after a violation.
//
// Changing the map is welcome: change it here, in docs/architecture.md, and say why in the commit.
package layout

// Module is the import path that all of ours begin with.
const Module = "tailcast"

// Allowed maps each package to the packages of ours that its non-test files may import, and nothing else of ours.
// A name that ends in "/*" stands for every package below that folder.
var Allowed = map[string][]string{
	"feed/merkle":      {},
	"internal/durable": {},
	"internal/seal":    {}, // and only cmd/streamer links it: a viewer has no use for age
	"feed":             {"feed/merkle", "internal/durable"},
	"feed/feedtest":    {"feed", "feed/merkle", "internal/durable"},
	"feed/audit":       {"feed", "feed/merkle"},
	"feed/clip":        {"feed", "feed/merkle"},

	"ingest":                 {},
	"internal/clip":          {},
	"internal/clip/cliptest": {},
	"internal/slate":         {},
	"internal/ts":            {"ingest"},
	"internal/es":            {"ingest"},
	"internal/pace":          {"ingest"},
	"internal/rtporder":      {},
	"ingest/mpegts":          {"ingest", "internal/ts", "internal/pace", "internal/rtporder"},
	"ingest/rtp":             {"ingest", "internal/es", "internal/rtporder"},
	"ingest/hls":             {"ingest", "internal/es", "internal/pace", "internal/ts"},
	"ingest/rtsp":            {"ingest", "ingest/admit", "ingest/rtp"},
	"ingest/whip":            {"ingest", "ingest/admit", "ingest/rtp"},
	"ingest/admit":           {}, // who may publish, for all that listen
	"ingest/srt":             {"ingest", "ingest/admit", "ingest/mpegts"},
	"ingest/rtmp":            {"ingest", "ingest/admit", "internal/es"},

	"ingest/ingesttest":  {"ingest", "internal/ts", "internal/clip", "internal/clip/cliptest"},
	"ingest/rtp/rtptest": {},

	"ingest/switcher": {"ingest"}, // it switches whatever comes
	"segmenter":       {"ingest"},

	"quicwire":      {"feed", "feed/merkle"},
	"discovery":     {"internal/durable"},
	"discovery/lan": {"discovery"},

	"swarm": {"feed", "feed/merkle", "quicwire", "discovery"},

	"internal/origin": {},

	"internal/captions":              {"ingest"},
	"internal/captions/captionstest": {},

	"player": {"feed", "segmenter", "ingest", "internal/ts", "internal/captions", "internal/origin"},

	"node":         {"feed", "quicwire", "swarm", "discovery", "discovery/*", "internal/durable", "internal/origin"},
	"cmd/streamer": {"node", "feed", "segmenter", "swarm", "player", "ingest", "ingest/*", "internal/clip", "internal/slate", "internal/durable", "internal/seal"},
	"cmd/viewer":   {"node", "feed", "feed/audit", "feed/clip", "swarm", "player", "internal/durable"},
	"cmd/relay":    {"node", "feed"}, // media are bytes to it: it links neither segmenter nor player
	"cmd/demo":     {"internal/command"},

	"internal/layout":  {},
	"internal/command": {},
	"internal/cpu":     {},
	"internal/testrun": {},
	"internal/e2e":     {},
	"internal/bench":   {"internal/command", "internal/cpu", "ingest", "ingest/mpegts", "internal/ts", "internal/clip"},
	"internal/netsim":  {},

	"internal/netsim/model": {},
	"swarm/simulate":        {"swarm", "quicwire", "feed", "feed/merkle", "internal/netsim/model"},
	"internal/sim":          {"swarm/simulate"},
	"internal/plot":         {}, // a module by itself

	"internal/benchswarm": {"feed", "feed/feedtest", "quicwire", "swarm", "internal/cpu"},
}

// Foreign maps packages of others, and all below them, to the only packages of ours that may import them, tests aside.
var Foreign = map[string][]string{
	"filippo.io/age":                  {"internal/seal"}, // who watches has no passphrases
	"github.com/libp2p/zeroconf":      {"discovery/lan"}, // so that its traps are avoided in one place
	"github.com/pion/webrtc":          {"ingest/whip"},   // who watches receives nothing by WebRTC or RTSP
	"github.com/bluenviron/gortsplib": {"ingest/rtp", "ingest/rtp/rtptest", "ingest/rtsp", "ingest/whip"},
}
