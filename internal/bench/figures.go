package main

// figures are the targets that a package's own benchmark measures.
var figures = []figure{
	{"sign and append a block of 8 KiB, with the file write", "./feed", "BenchmarkAppend$/^disk/8KiB", "cpu-us/block", "<= 100 us"},
	{"sign and append a block of 16 KiB, with the file write", "./feed", "BenchmarkAppend$/^disk/16KiB", "cpu-us/block", "<= 100 us"},
	{"verify and follow a block of 8 KiB", "./feed", "BenchmarkFollow$/^memory", "cpu-us/block", "<= 80 us"},
	{"  allocations beyond the payload", "./feed", "BenchmarkFollow$/^memory", "allocs/op", "0"},
	{"verify an archive: payloads, records, tree, each log's last head; one core", "./feed/audit", "BenchmarkVerify$/^last", "MB/s", ">= 700 MB/s"},
	{"  and every head, on all cores", "./feed/audit", "BenchmarkVerify$/^every", "MB/s", ">= 250 MB/s"},
	{"append at 10^4 records, 8 KiB, with the file write", "./feed", "BenchmarkAppendAt$/^1e4", "cpu-us/block", "<= 100 us"},
	{"append at 10^8 records", "./feed", "BenchmarkAppendAt$/^1e8", "cpu-us/block", "as at 10^4"},
	{"find a time in a log of 10^4 records", "./feed", "BenchmarkLookup$/^time/1e4", "cpu-us/lookup", ""},
	{"find a time in a log of 10^8 records", "./feed", "BenchmarkLookup$/^time/1e8", "cpu-us/lookup", "as at 10^4"},
	{"  memory that passes through", "./feed", "BenchmarkLookup$/^time/1e8", "B/op", "as at 10^4"},
	{"begin to read at a time, 10^8 records", "./feed", "BenchmarkLookup$/^reader/1e8", "cpu-us/lookup", ""},
	{"longest join proof up to 10^6 records", "./feed", "BenchmarkJoinProof$/^1e6", "B", "<= 700 B"},
	{"longest join proof up to 10^8 records", "./feed", "BenchmarkJoinProof$/^1e8", "B", "<= 900 B"},
	{"demultiplex TS", "./internal/ts", "BenchmarkScanner", "MB/cpu-s", ">= 500"},
	{"multiplex TS", "./internal/ts", "BenchmarkMuxer", "MB/cpu-s", ""},
	{"TS to signed blocks on disk, 6 Mbit/s", "./cmd/streamer", "BenchmarkIngest$/^6Mbit", "MB/cpu-s", ">= 150"},
	{"TS to signed blocks on disk, 0.7 Mbit/s", "./cmd/streamer", "BenchmarkIngest$/^clip", "MB/cpu-s", ""},
	{"one hop on loopback, signed -> verified, p50", "./swarm", "BenchmarkHop$/^hops=1", "p50-ms", "<= 3 ms"},
	{"three hops", "./swarm", "BenchmarkHop$/^hops=3", "p50-ms", ""},
	{"8 KiB blocks through one session, both ends", "./quicwire", "BenchmarkStripe", "Gbit/core-s", ""},
	{"an idle peer", "./quicwire", "BenchmarkIdleSession", "KiB/end", "<= 120 KiB"},
	{"50 readers of a 4 Mbit/s /live.ts", "./player", "BenchmarkFiftyReaders", "%core", "<= 25 %"},
}
