//go:build !race

package clip

// stride is how many bits lie between two that are changed: all are.
const stride = 1
