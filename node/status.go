package node

import "time"

// State is what a node says of the channel it sends or watches.
type State string

// A node is waiting until it knows an epoch, starting until the first media, then live for as long as freshness can be shown.
//
//	waiting → starting → live ⇄ stalled
//	                      ↓        ↓
//	                      ended (the signer said so)
const (
	StateWaiting  State = "waiting"
	StateStarting State = "starting"
	StateLive     State = "live"
	StateStalled  State = "stalled"
	StateEnded    State = "ended"
)

// Status is the answer of GET /api/v1/status.
type Status struct {
	Role       string      `json:"role"`
	Link       string      `json:"link"`
	LAN        []string    `json:"lan,omitempty"` // URLs of the page for the home network, secret included: to be shown, not to be sent on
	Title      string      `json:"title,omitempty"`
	Guide      []Programme `json:"guide,omitempty"` // what the broadcaster says is on, and what comes next; what has ended is left out
	Uptime     float64     `json:"uptime_s"`
	Renditions []Rendition `json:"renditions"`
	State      State       `json:"state"`
	Reason     string      `json:"reason"`
	Flow       string      `json:"flow,omitempty"`          // why no blocks come, though it may still be live; empty: they come
	Silent     float64     `json:"silent_s"`                // since media last came
	ClockError float64     `json:"clock_error_s,omitempty"` // to be added to our clock, if all peers that we dialled agree that it is over 5 s wrong
	Lag        Lag         `json:"lag_s"`
	Peers      []Peer      `json:"peers"`
	Bytes      Bytes       `json:"bytes"`
	Upload     Upload      `json:"upload"`
	Blocks     Blocks      `json:"blocks"`
	Stripes    []Stripe    `json:"stripes"`              // where each comes from; none of a streamer
	Refused    []Refused   `json:"refused"`              // whom we shut out lately, and why; the latest last
	Audience   *Audience   `json:"audience,omitempty"`   // streamers only
	History    *Stored     `json:"history,omitempty"`    // what is on disk; absent if no history is kept
	Faults     []Fault     `json:"faults"`               // proved, of the newest runs of the channel, newest first
	DiskError  string      `json:"disk_error,omitempty"` // why the history has a hole, or has ended; the live edge goes on
	Ingest     *Ingest     `json:"ingest,omitempty"`     // streamers only: the input of the best rendition
	Inputs     []*Ingest   `json:"inputs,omitempty"`     // streamers of several renditions: all of them, best first

	Notes []string `json:"notes"` // what somebody should know although the channel flows: one sentence each

	NoteExpires *time.Time `json:"note_expires,omitempty"` // when the channel note ends: nothing is live after that
}

// Stored is the part of the channel's past that is on disk, with its payloads.
type Stored struct {
	From  time.Time `json:"from"`    // when the oldest block was signed
	Bytes int64     `json:"bytes"`   // in payload files
	Short bool      `json:"no_room"` // the disk is full, so that it is less than the window
}

// Programme is one entry of a guide.
type Programme struct {
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end,omitempty"` // absent if not known: until the next one
	Title    string     `json:"title"`
	Text     string     `json:"text,omitempty"`
	Language string     `json:"language,omitempty"`
}

// Rendition is one log that can be watched.
type Rendition struct {
	Name    string   `json:"name"`
	Epoch   string   `json:"epoch"`
	Head    uint64   `json:"head"` // records verified
	Base    uint64   `json:"base"` // first record held
	Bitrate int64    `json:"bitrate_bps"`
	Codecs  []string `json:"codecs"`
	Width   int      `json:"width,omitempty"` // of the pictures; absent if there are none or it is not known
	Height  int      `json:"height,omitempty"`

	Chosen   bool `json:"chosen"`   // it is what is watched unless another one is named
	Followed bool `json:"followed"` // it is, and passed on

	Kept *Kept `json:"kept,omitempty"` // what can be watched again; absent while there is nothing
}

// Kept is from when to when a channel can be watched here.
type Kept struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Stripe is a part of a rendition, and which peer sends it.
type Stripe struct {
	Log    string `json:"log"`
	Number int    `json:"number"`
	From   string `json:"from"` // id of the peer; empty: nobody sends it
	Hops   int    `json:"hops"` // from the broadcaster to here; 0: not known
	Flows  bool   `json:"flows"`
}

// Refused is somebody whom we shut out for what it did.
type Refused struct {
	ID   string    `json:"id"`
	Addr string    `json:"addr"`
	Role string    `json:"role"`
	Why  string    `json:"why"`
	At   time.Time `json:"at"`
}

// Fault says what the signer of an epoch did against the rules.
type Fault struct {
	Epoch  string `json:"epoch"`
	Log    string `json:"log"`
	Index  uint64 `json:"index"` // of that log: nothing from here on was taken in
	Kind   string `json:"kind"`  // fork, rule or anchor
	Reason string `json:"reason"`
}

// Lag is how long after its signature a block was verified here, in seconds, over the last ten seconds.
type Lag struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Peer is one connected node.
type Peer struct {
	ID      string   `json:"id"`
	Addr    string   `json:"addr"`
	Role    string   `json:"role"`
	Inner   bool     `json:"inner,omitempty"` // it is the viewer inside this streamer, for who wants to see what viewers see
	Path    string   `json:"path"`            // this machine, lan, relay or direct
	Inbound bool     `json:"inbound"`
	Parent  bool     `json:"parent"` // we get stripes from it
	RTT     float64  `json:"rtt_ms"`
	Up      float64  `json:"up_bps"`   // we send to it
	Down    float64  `json:"down_bps"` // it sends to us
	Lag     *float64 `json:"lag_s"`    // null: nothing flows there
	Stripes int      `json:"stripes"`  // that flow between us, both ways
	Fed     int      `json:"fed"`      // of these, those that we send to it
	Blocks  uint64   `json:"blocks"`   // of it that verified
	Repairs uint64   `json:"repairs"`  // of these, those that were asked for one by one
}

// Bytes are totals since the start.
type Bytes struct {
	Sent         Traffic `json:"sent"`
	Received     Traffic `json:"received"`
	WireSent     uint64  `json:"wire_sent"` // QUIC packets, which hold all the rest; without UDP and IP headers
	WireReceived uint64  `json:"wire_received"`
	Appended     uint64  `json:"appended"`
}

// Add adds up the bytes of channels.
func (b *Bytes) Add(c Bytes) {
	b.Sent.add(c.Sent)
	b.Received.add(c.Received)
	b.WireSent += c.WireSent
	b.WireReceived += c.WireReceived
	b.Appended += c.Appended
}

// Upload is what is given to other nodes, and could be.
type Upload struct {
	Rate     float64 `json:"rate_bps"`   // sent now, to all peers
	Limit    uint64  `json:"limit_bps"`  // the cap; 0: none
	Uplink   uint64  `json:"uplink_bps"` // what the line carries, as far as is known; 0: not known yet
	Slots    int     `json:"slots"`      // stripes that can be pushed
	Used     int     `json:"slots_used"` // stripes that are pushed
	Children int     `json:"children"`   // peers that they are pushed to
	Missing  int     `json:"missing"`    // stripes that nobody pushes to us
}

// Add adds up the upload of channels. Their caps are left alone: a channel without one makes the sum none.
func (u *Upload) Add(c Upload) {
	u.Rate += c.Rate
	u.Uplink += c.Uplink
	u.Slots += c.Slots
	u.Used += c.Used
	u.Children += c.Children
	u.Missing += c.Missing
}

// Traffic is split by what the bytes were for.
type Traffic struct {
	Media   uint64 `json:"media"`
	Proofs  uint64 `json:"proofs"`
	Control uint64 `json:"control"`
	Repair  uint64 `json:"repair"`
}

// Total is the sum of all kinds.
func (t Traffic) Total() uint64 { return t.Media + t.Proofs + t.Control + t.Repair }

func (t *Traffic) add(c Traffic) {
	t.Media += c.Media
	t.Proofs += c.Proofs
	t.Control += c.Control
	t.Repair += c.Repair
}

// Blocks are totals since the start, by result.
type Blocks struct {
	Verified  uint64 `json:"verified"`
	Rejected  uint64 `json:"rejected"`
	Missed    uint64 `json:"missed"`
	Duplicate uint64 `json:"duplicate"`
	Repaired  uint64 `json:"repaired"`
	ByOthers  uint64 `json:"by_others"` // of those verified: not from the streamer itself
}

// Add adds up the blocks of channels.
func (b *Blocks) Add(c Blocks) {
	b.Verified += c.Verified
	b.Rejected += c.Rejected
	b.Missed += c.Missed
	b.Duplicate += c.Duplicate
	b.Repaired += c.Repaired
	b.ByOthers += c.ByOthers
}

// IngestCounts is what an input met so far.
type IngestCounts struct {
	Bytes           uint64 `json:"bytes"`
	Samples         uint64 `json:"samples"`
	LostPackets     uint64 `json:"lost_packets"`
	LostSegments    uint64 `json:"lost_segments"`  // of HLS
	LostDatagrams   uint64 `json:"lost_datagrams"` // SRT packets that were not there in time
	Retransmitted   uint64 `json:"retransmitted"`  // SRT packets that came because they were asked for again
	DamagedSamples  uint64 `json:"damaged_samples"`
	SkippedBytes    uint64 `json:"skipped_bytes"`
	Discontinuities uint64 `json:"discontinuities"`
	DTSFallbacks    uint64 `json:"dts_fallbacks"`
	Reconnects      uint64 `json:"reconnects"`
}

// Ingest is the health of a streamer's input.
type Ingest struct {
	Rendition string `json:"rendition,omitempty"`
	Input     string `json:"input"`
	IngestCounts
	Refused   uint64 `json:"refused"` // attempts to publish without the key
	LastError string `json:"last_error,omitempty"`

	Bitrate  float64   `json:"bitrate_bps"` // of what was taken in, over the last seconds
	FPS      float64   `json:"fps"`
	Keyframe float64   `json:"keyframe_s"` // the longest time between two of them, of late
	Tracks   []string  `json:"tracks"`     // for people: "h264 1280x720", "aac 48 kHz (eng)"
	Warnings []Warning `json:"warnings"`
	Push     *Push     `json:"push,omitempty"` // where an encoder can send to; absent if the streamer fetches its input

	Sources  []IngestSource `json:"sources"`  // in order of preference
	Switches uint64         `json:"switches"` // from one of them to another
}

// IngestSource is one of the inputs that a streamer can put on air.
type IngestSource struct {
	Name   string `json:"name"`             // primary, backup, backup 2, slate
	Input  string `json:"input"`            // what it was called on the command line
	State  string `json:"state"`            // waiting, standby, on air, down
	OnAir  bool   `json:"on_air"`           // viewers see it; so they may though it is down, if there is nothing else
	Reason string `json:"reason,omitempty"` // why it is in that state

	Missing []string `json:"missing,omitempty"` // tracks that have stopped while others of it go on: "sound (eng)"

	IngestCounts
	DroppedSamples uint64 `json:"dropped_samples"` // there was no room for them: this machine is too slow
	// LeftOut are samples that did not go on air for other reasons, by cause (ingest.Cause).
	LeftOut   map[string]uint64 `json:"left_out,omitempty"`
	LastError string            `json:"last_error,omitempty"`

	Bitrate  float64  `json:"bitrate_bps"`
	FPS      float64  `json:"fps"`
	Keyframe float64  `json:"keyframe_s"`
	Tracks   []string `json:"tracks"`
	Drift    *float64 `json:"clock_drift_ppm"` // by how much its clock is faster than ours; null while that is not known
	Push     *Push    `json:"push,omitempty"`  // where an encoder can send it to; absent if the streamer fetches it
}

// Warning is what a broadcaster should change, and how.
type Warning struct {
	ID   string `json:"id"`
	What string `json:"what"`
	Todo string `json:"todo"`
}

// Push is where an encoder can send to.
type Push struct {
	HTTP string `json:"http,omitempty"` // MPEG-TS by PUT or POST
	RTSP string `json:"rtsp,omitempty"`
	WHIP string `json:"whip,omitempty"` // WebRTC; the stream key goes into the bearer token
	// RTMP and RTMPS are a server, which ends with /live, and behind it what OBS calls the stream key.
	RTMP  string `json:"rtmp,omitempty"`
	RTMPS string `json:"rtmps,omitempty"`
	SRT   string `json:"srt,omitempty"`
}
