// Package witness shows that software of others understands our logs: litewitness, the witness of filippo.io/torchwood, built and run as
// it is, signs the heads of our catalogs and refuses forks and rollbacks (c2sp.org/tlog-witness); transparency-dev/merkle, which most
// transparency logs verify with, takes our proofs.
//
// It is a module by itself, so that what the witness is made of, a database among others, is no dependency of ours. The witness is no
// tool that we need: a broadcaster may ask anybody's to sign, and a clip can show the date then.
package witness
