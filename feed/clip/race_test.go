//go:build race

package clip

// stride is how many bits lie between two that are changed: all is ten times as slow under the race detector.
const stride = 29
