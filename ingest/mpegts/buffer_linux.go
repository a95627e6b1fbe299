package mpegts

import (
	"net"
	"syscall"
)

// receiveBufferOf is the size of the receive buffer that the kernel has granted; 0 if that cannot be known.
func receiveBufferOf(conn *net.UDPConn) (size int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF); err == nil {
			size = n / 2 // Linux doubles what it is asked for, for its own bookkeeping (socket(7))
		}
	})
	if err != nil {
		return 0
	}
	return size
}
