//go:build race

package feed_test

// stride is how many writes lie between two that are broken: signatures are ten times as slow under the race detector.
const stride = 7
