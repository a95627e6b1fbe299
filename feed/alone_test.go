//go:build !race

package feed

import "testing"

// Alone marks a test of what one goroutine computes, which the race detector need not see.
func Alone(*testing.T) {}
