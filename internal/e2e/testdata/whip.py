#!/usr/bin/python3
"""Publishes a film by WHIP (RFC 9725), in real time, with GStreamer's webrtcbin: whip.py URL FILM [KEY-FILE]

The pictures are encoded anew, as H.264 of the constrained baseline (WebRTC has no B-frames) with a keyframe each second, the sound
as Opus. The first line of KEY-FILE is the bearer token. It ends with the film, or with Ctrl-C, and says goodbye (DELETE). On Debian:

    apt install python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-libav gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
"""
import os
import signal
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

# Nothing in webrtcbin waits for the clock: clocksync does.
PIPELINE = """
webrtcbin name=rtc bundle-policy=max-bundle
filesrc name=film ! decodebin name=d
d. ! queue ! videoconvert ! video/x-raw,format=I420 ! clocksync
   ! x264enc tune=zerolatency speed-preset=superfast bitrate=1000 key-int-max=25 ! video/x-h264,profile=constrained-baseline
   ! rtph264pay config-interval=-1 aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! rtc.
d. ! queue ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2 ! clocksync
   ! opusenc ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! rtc.
"""


class Publisher:
    """From offer to goodbye. All of it runs in the main loop, but for what finds out that the streams are known."""

    def __init__(self, url, film, key):
        self.url, self.key, self.session, self.why = url, key, None, None
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(PIPELINE)
        self.pipeline.get_by_name("film").set_property("location", film)
        self.rtc = self.pipeline.get_by_name("rtc")
        # Reports shall tell when something was captured, not when its packet was sent: a frame of sound is sent when it is full.
        self.rtc.get_by_name("rtpbin").set_property("rtcp-sync-send-time", False)
        # libnice does not use this machine's own address (127.0.0.1) unless it is named: the one from which the server is reached is enough.
        to = urllib.parse.urlsplit(url)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((to.hostname, to.port or 443))
            self.ice = self.rtc.get_property("ice-agent")  # kept: in GStreamer 1.22 Python's reference is the only one that counts
            self.ice.emit("add-local-ip-address", s.getsockname()[0])
        self.rtc.connect("notify::ice-gathering-state", self.gathered)
        # The offer tells profile and parameter sets, so it has to wait until the encoders have begun.
        self.unknown = list(self.rtc.sinkpads)
        for pad in list(self.unknown):
            pad.connect("notify::caps", self.known)
            pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, self.passing)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, m: self.end(m.parse_error().gerror.message))

    def run(self):
        for s in signal.SIGINT, signal.SIGTERM:
            GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, s, self.end)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        if self.session:
            self.request("DELETE", self.session)
        self.pipeline.set_state(Gst.State.NULL)

    def end(self, why=None):
        self.why = self.why or why
        self.loop.quit()

    def known(self, pad, _):
        if pad in self.unknown:
            self.unknown.remove(pad)
            if not self.unknown:
                GLib.idle_add(self.offer)

    def passing(self, _, info):
        if info.get_event().type == Gst.EventType.EOS:  # webrtcbin tells nobody
            GLib.idle_add(self.end)
        return Gst.PadProbeReturn.OK

    def offer(self):
        for i in range(len(self.rtc.sinkpads)):
            self.rtc.emit("get-transceiver", i).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)

        def made(promise):
            reply = promise.get_reply()  # it owns the offer
            self.rtc.emit("set-local-description", reply.get_value("offer"), None)

        self.rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def gathered(self, *_):
        if self.rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.publish)

    def publish(self):
        offer = self.rtc.get_property("local-description").sdp.as_text()
        try:
            answer = self.request("POST", self.url, offer.encode())
        except urllib.error.HTTPError as e:
            return self.end(f"{e.code} {e.read().decode().strip()}")
        self.session = urllib.parse.urljoin(self.url, answer.headers["Location"])
        _, sdp = GstSdp.SDPMessage.new_from_text(answer.read().decode())
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.rtc.emit("set-remote-description", description, None)

    def request(self, method, url, body=None):
        r = urllib.request.Request(url, body, {"Content-Type": "application/sdp"}, method=method)
        if self.key:
            r.add_header("Authorization", "Bearer " + self.key)
        return urllib.request.urlopen(r, timeout=10)


Gst.init(None)
key = open(sys.argv[3]).readline().strip() if len(sys.argv) > 3 else ""
publisher = Publisher(sys.argv[1], sys.argv[2], key)
publisher.run()
if publisher.why:
    print(publisher.why, file=sys.stderr)
sys.stderr.flush()
os._exit(1 if publisher.why else 0)  # for the same reason nobody may tidy up
