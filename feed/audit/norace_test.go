//go:build !race

package audit

// stride is how many bits lie between two that are changed: all are.
const stride = 1
