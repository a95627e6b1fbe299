package rtsp

import (
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// receiver is a session of gortsplib that packets come from: of the server or of the client.
type receiver interface {
	OnPacketRTP(*description.Media, format.Format, gortsplib.OnPacketRTPFunc)
	OnPacketRTCP(*description.Media, gortsplib.OnPacketRTCPFunc)
}

// attach leads the packets of a session to in, before the first. A panic under a packet goes to crash, which has to end the session.
func attach(from receiver, d *description.Session, in *intake, transport gortsplib.Transport, crash func(reason any)) {
	in.Datagrams = transport != gortsplib.TransportTCP
	for i, t := range in.Tracks() {
		onPacket := func(p *rtp.Packet) {
			defer recovered(crash)
			in.Packet(t, p, time.Now())
		}
		if in.Datagrams {
			in.taps[i].on = onPacket
		} else {
			from.OnPacketRTP(d.Medias[t.Media], in.taps[i], onPacket)
		}
		from.OnPacketRTCP(d.Medias[t.Media], func(p rtcp.Packet) {
			defer recovered(crash)
			if r, ok := p.(*rtcp.SenderReport); ok {
				in.Report(t.Media, r, time.Now())
			}
		})
	}
}
