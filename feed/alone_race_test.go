//go:build race

package feed

import "testing"

// Alone skips a test of what one goroutine computes: there is no race to be found, and it would take ten times as long.
func Alone(t *testing.T) {
	t.Helper()
	t.Skip("one goroutine: nothing for the race detector")
}
