#!/bin/sh
# Runs every fuzz target of the repository for the time given, one after the other: go test takes one target at a time.
# A crash leaves its input in testdata/fuzz, to be committed with the cure.
set -eu
time=${1:-10s}
count=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz $(dirname "$file") $target $time"
		go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel "${FUZZ_WORKERS:-2}"
		count=$((count + 1))
	done
done
test "$count" -gt 0 || { echo "no fuzz targets found"; exit 1; }
echo "$count fuzz targets ran $time each"
