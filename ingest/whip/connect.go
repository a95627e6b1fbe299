package whip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"tailcast/ingest/rtp"
)

// A packet that is missing is asked for at once and again until it is too late: waitForResent leaves a publisher 200 ms away one try, one next
// door ten. The wait costs latency only when something is lost.
const (
	waitForResent = 250 * time.Millisecond
	askEvery      = 20 * time.Millisecond
	askMost       = 10 // times for one packet
)

// Without a sign of life ICE gives up after the sum of both.
const (
	iceDisconnected = 5 * time.Second
	iceFailed       = 5 * time.Second
	iceKeepAlive    = 2 * time.Second
)

// connect makes a peer connection that answers with what was chosen of an offer and nothing else.
func connect(mux ice.UDPMux, public []netip.Addr, o *offer, log *slog.Logger) (*webrtc.PeerConnection, error) {
	codecs, around, err := engine(o)
	if err != nil {
		return nil, fmt.Errorf("whip: %w", err)
	}
	settings := webrtc.SettingEngine{LoggerFactory: quiet{log}}
	settings.SetLite(true)
	settings.SetICEUDPMux(mux)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetICETimeouts(iceDisconnected, iceFailed, iceKeepAlive)
	if err := settings.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil { // who sends the first packet is who knows the way
		return nil, fmt.Errorf("whip: %w", err)
	}
	if err := settings.SetICEAddressRewriteRules(besides(public)...); err != nil {
		return nil, fmt.Errorf("whip: %w", err)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(codecs), webrtc.WithInterceptorRegistry(around), webrtc.WithSettingEngine(settings))
	return api.NewPeerConnection(webrtc.Configuration{})
}

// besides is the rule by which addresses are named besides our own.
func besides(public []netip.Addr) []webrtc.ICEAddressRewriteRule {
	if len(public) == 0 {
		return nil
	}
	rule := webrtc.ICEAddressRewriteRule{AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend}
	for _, a := range public {
		rule.External = append(rule.External, a.String())
	}
	return []webrtc.ICEAddressRewriteRule{rule}
}

// engine knows the chosen codecs, and what is done around their packets: reports, negative acknowledgements, and the feedback by which
// browsers find out how much the network carries.
func engine(o *offer) (*webrtc.MediaEngine, *interceptor.Registry, error) {
	codecs, around := &webrtc.MediaEngine{}, &interceptor.Registry{}
	for _, m := range o.media {
		if err := codecs.RegisterCodec(m.codec, m.kind); err != nil {
			return nil, nil, err
		}
		if m.resend != nil {
			if err := codecs.RegisterCodec(*m.resend, m.kind); err != nil {
				return nil, nil, err
			}
		}
		mid := webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI} // for encoders that do not tell their SSRCs
		if err := codecs.RegisterHeaderExtension(mid, m.kind); err != nil {
			return nil, nil, err
		}
	}
	ask := []nack.GeneratorOption{nack.GeneratorInterval(askEvery), nack.GeneratorMaxNacksPerPacket(askMost)}
	if err := webrtc.ConfigureNackWithOptions(codecs, around, ask); err != nil {
		return nil, nil, err
	}
	if err := webrtc.ConfigureRTCPReports(around); err != nil {
		return nil, nil, err
	}
	return codecs, around, webrtc.ConfigureTWCCSender(codecs, around)
}

func isVideo(t *rtp.Track) bool {
	_, sound := t.Format.(*format.Opus)
	return !sound
}

// quiet is how pion logs: what it has to say is for those who look for a fault.
type quiet struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (q quiet) NewLogger(scope string) logging.LeveledLogger {
	return quiet{q.log.With("scope", scope)}
}

func (q quiet) Trace(string)          {}
func (q quiet) Tracef(string, ...any) {}
func (q quiet) Debug(string)          {}
func (q quiet) Debugf(string, ...any) {}
func (q quiet) Info(text string)      { q.log.Debug("webrtc", "text", text) }
func (q quiet) Warn(text string)      { q.log.Debug("webrtc", "text", text) }
func (q quiet) Error(text string)     { q.log.Debug("webrtc", "text", text) }

func (q quiet) Infof(format string, args ...any)  { q.Info(fmt.Sprintf(format, args...)) }
func (q quiet) Warnf(format string, args ...any)  { q.Warn(fmt.Sprintf(format, args...)) }
func (q quiet) Errorf(format string, args ...any) { q.Error(fmt.Sprintf(format, args...)) }
