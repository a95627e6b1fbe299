// Package rtp brings media that travels by RTP (RFC 3550) into the vocabulary of package ingest, for the sources whose dialogues agree
// on RTP streams: RTSP and WHIP. The payload formats are gortsplib's; what is ours is what a broadcast needs on top: times that are exact
// and aligned, decoding times, loss that is counted and marked, and samples in the form MPEG-TS carries (internal/es).
//
//	RTP packets ─▶ reorder ─▶ depacketizer ─▶ units on the track's RTP clock, with decoding times ─▶ alignment ─▶ ingest.Sink
//	RTCP sender reports ────────────────────────────────────────────────────────────────────────────────▲
//
// What is carried: H.264, H.265, MPEG-2 video, AV1, VP9, AAC (also LATM, which becomes ADTS), MPEG audio, AC-3, Opus, and KLV as a
// data track. Everything else is left out with a logged sentence that names it: raw RTP payloads would mean nothing to a receiver of
// MPEG-TS. A stream of which nothing is left is refused.
//
// NAL units go out as they came, each behind a four-byte start code; no delimiter is invented. Parameter sets that a random access
// point lacks are put before it, from the description or from the stream.
package rtp
