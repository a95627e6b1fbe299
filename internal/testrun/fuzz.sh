#!/bin/sh
# Runs every fuzz target of the repository for the time given, one after the other: go test takes one target at a time.
# A crash leaves its input in testdata/fuzz, to be committed with the cure. A count is surer than a duration: at the end of a
# duration go test now and then reports its own deadline as a failure (golang/go#75804).
set -eu
time=${1:-5000x}
count=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz $(dirname "$file") $target $time"
		go test "$(dirname "$file")" -run "^$" -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x -parallel "${FUZZ_WORKERS:-2}"
		count=$((count + 1))
	done
done
test "$count" -gt 0 || { echo "no fuzz targets found"; exit 1; }
echo "$count fuzz targets ran $time each"
