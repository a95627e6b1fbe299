// Package es knows the forms in which elementary streams travel in MPEG-TS, which are the forms of ingest.Sample, for sources that
// receive another one (RTP, RTMP, fMP4): NAL units become Annex B with their parameter sets in band, AAC gets ADTS headers, Opus its
// control header, AV1 the low-overhead format. It reads from the stream what a track's description needs, and chooses
// what a TS multiplexer would: PIDs, stream types, descriptors.
//
// A track is described in two steps: NewTrack says how its codec is carried, the Describe method of who looks at its units what
// has been seen since. NewProgram puts the tracks into a table.
package es
