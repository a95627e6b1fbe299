// Package e2e tests the commands together, as processes on loopback: from an encoder to a player. It has no code of its own.
package e2e
