#!/bin/sh
# Runs every fuzz target of the repository for the time given, one after the other: a test takes one target at a time. A package is built once
# for all its targets, and run as go test -fuzz runs it: in its folder, with what it found before (go env GOCACHE, fuzz).
# A crash leaves its input in testdata/fuzz, to be committed with the cure. A count is surer than a duration: at the end of a
# duration go test now and then reports its own deadline as a failure (golang/go#75804).
set -eu
time=${1:-5000x}
count=0
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
found=$(go env GOCACHE)/fuzz
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
	go test -c -vet=off -fuzz . -o "$bin/fuzz" "$dir"
	package=$(go list "$dir")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz $dir $target $time"
		(cd "$dir" && "$bin/fuzz" -test.paniconexit0 -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.fuzzminimizetime 20x \
			-test.fuzzcachedir "$found/$package" -test.parallel "${FUZZ_WORKERS:-2}")
		count=$((count + 1))
	done
done
test "$count" -gt 0 || { echo "no fuzz targets found"; exit 1; }
echo "$count fuzz targets ran $time each"
