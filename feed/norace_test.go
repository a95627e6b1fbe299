//go:build !race

package feed_test

// stride is how many writes lie between two that are broken: all are.
const stride = 1
