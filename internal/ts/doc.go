// Package ts speaks MPEG transport streams (ISO/IEC 13818-1, "H.222.0" here) both ways.
//
// A [Scanner] takes bytes in any portions and delivers a program and its samples to an ingest.Sink. It is made for what
// broadcasters send: it finds the packets again after lost bytes, counts what continuity counters miss and flags the damaged
// unit instead of dropping it, follows tables that change, and keeps descriptors, sections and unknown streams byte for byte.
// It cannot fail: bad input gives fewer samples, never an error or a panic.
//
// A [Muxer] writes the samples back: same payloads, same times, PIDs and descriptors, with the clock (PCR) and the tables as
// often as receivers expect.
//
// Both work in 90 kHz ticks, unwrapped to int64 (see clock for what happens at 2^33 and at jumps).
package ts
