package rtsp

import (
	"fmt"
	"net"
)

const udpBuffer = 4 << 20 // bytes asked for; the kernel gives what it allows

// listenPair binds an even UDP port of host and the next, for RTP and RTCP (RFC 3550, section 11). Port 0 finds a free pair.
func listenPair(host string, port int) (rtp, rtcp *net.UDPConn, err error) {
	if port%2 != 0 {
		return nil, nil, fmt.Errorf("rtsp: UDP port %d is odd: RTP takes an even port and RTCP the next", port)
	}
	for range 64 { // half of the ports that the kernel offers are odd, and some have a busy neighbour
		if rtp, err = listenUDP(host, port); err != nil {
			return nil, nil, fmt.Errorf("rtsp: %w", err)
		}
		even := rtp.LocalAddr().(*net.UDPAddr).Port
		if even%2 == 0 {
			if rtcp, err = listenUDP(host, even+1); err == nil {
				return rtp, rtcp, nil
			}
		}
		rtp.Close()
		if port != 0 {
			break
		}
	}
	return nil, nil, fmt.Errorf("rtsp: no free pair of UDP ports: %w", err)
}

func listenUDP(host string, port int) (*net.UDPConn, error) {
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return nil, err
	}
	udp := c.(*net.UDPConn)
	_ = udp.SetReadBuffer(udpBuffer) // less loses packets under load, and then says so
	return udp, nil
}
