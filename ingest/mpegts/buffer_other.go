//go:build !linux

package mpegts

import "net"

// receiveBufferOf is the size of the receive buffer that the kernel has granted; 0 if that cannot be known.
func receiveBufferOf(*net.UDPConn) int { return 0 }
