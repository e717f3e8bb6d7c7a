"""A WHIP publisher or WHEP viewer with GStreamer's webrtcbin, run as a program.

For the system's Python, which has the package `gi`; imports nothing from this repository. `gstreamer.py` runs it. It
prints the status of the HTTP response, then each change of the connection's state, and at the end, as a viewer, the
number of decoded frames.
"""

import argparse
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

ENCODERS = {
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! video/x-h264,profile={profile} "
    "! rtph264pay config-interval=-1 aggregate-mode=zero-latency "
    "! application/x-rtp,media=video,encoding-name=H264,payload=96",
    "VP8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 ! rtpvp8pay picture-id-mode=2 "
    "! application/x-rtp,media=video,encoding-name=VP8,payload=96",
}
VIDEO = (
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! videoconvert ! {encoder} ! webrtc. "
)
SOUND = (
    "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay "
    "! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! webrtc. "
)
DECODERS = {"H264": "rtph264depay ! avdec_h264", "VP8": "rtpvp8depay ! vp8dec"}
CAPS = {
    "H264": "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "VP8": "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96",
}


class Client:
    """One connection. options: the arguments of the program."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.loop, self.frames = options, GLib.MainLoop(), 0
        self.session, self.etag, self.negotiating = "", "", False
        self.waiting: list[tuple[int, str]] = []  # candidates found before the session's address was known
        publishes = options.role == "publish"
        encoder = ENCODERS[options.codec].format(profile=options.profile)
        parts = VIDEO.format(encoder=encoder) + (SOUND if options.sound else "") if publishes else ""
        description = f"webrtcbin name=webrtc bundle-policy={options.bundle} {parts}"
        self.pipeline, self.bin = Gst.Pipeline.new(), Gst.parse_bin_from_description(description, False)
        self.pipeline.add(self.bin)
        self.webrtc = self.bin.get_by_name("webrtc")
        self.ice = self.webrtc.get_property("ice-agent")  # kept: the last reference in Python would free it
        self.ice.emit("add-local-ip-address", "127.0.0.1")
        self.ice.get_property("agent").set_property("upnp", False)
        self.webrtc.connect("notify::connection-state", self.state_changed)
        self.webrtc.connect("notify::ice-gathering-state", self.gathered)
        self.webrtc.connect("on-ice-candidate", self.candidate_found)
        self.webrtc.connect("pad-added", self.pad_added)
        if publishes:
            self.webrtc.connect("on-negotiation-needed", self.negotiate)

    def run(self) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)
        if self.options.role == "view":
            caps = Gst.Caps.from_string(CAPS[self.options.codec])
            self.webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, caps)
            self.negotiate()
        GLib.timeout_add(round(1000 * self.options.seconds), self.loop.quit)
        self.loop.run()
        if self.session:
            self.request("DELETE", self.session)
        self.pipeline.set_state(Gst.State.NULL)
        if self.options.role == "view":
            report(f"frames {self.frames}")

    def negotiate(self, _: Any = None) -> None:
        if self.negotiating:  # webrtcbin asks once per line
            return
        self.negotiating = True
        self.webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))

    def offered(self, promise: Any) -> None:
        promise.wait()
        reply = promise.get_reply()  # kept: it owns the offer
        offer = reply.get_value("offer")
        if self.options.role == "publish":
            for n in range(1 + self.options.sound):
                line = self.webrtc.emit("get-transceiver", n)
                line.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        self.webrtc.emit("set-local-description", offer, Gst.Promise.new())
        if self.options.trickle:
            GLib.idle_add(self.place, offer.sdp.as_text())

    def gathered(self, *_: Any) -> None:
        complete = self.webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if complete and not self.options.trickle:
            GLib.idle_add(self.place, self.webrtc.get_property("local-description").sdp.as_text())

    def place(self, sdp: str) -> None:
        status, headers, answer = self.request("POST", self.options.url, sdp, "application/sdp")
        report(f"status {status}")
        if status != 201:
            report(answer)
            self.loop.quit()
            return
        self.session = urllib.parse.urljoin(self.options.url, headers["Location"])
        self.etag = headers["ETag"]
        _, parsed = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, parsed)
        self.webrtc.emit("set-remote-description", description, Gst.Promise.new())
        for line, candidate in self.waiting:
            self.send_candidate(line, candidate)

    def candidate_found(self, _: Any, line: int, candidate: str) -> None:
        if self.options.trickle:
            GLib.idle_add(self.send_candidate, line, candidate)

    def send_candidate(self, line: int, candidate: str) -> None:
        if not self.session:
            self.waiting.append((line, candidate))
            return
        description = self.webrtc.get_property("local-description").sdp
        media = description.get_media(line)
        ufrag, password = (media.get_attribute_val(name) for name in ("ice-ufrag", "ice-pwd"))
        mid = media.get_attribute_val("mid")
        fragment = (
            f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\nm=video 9 RTP/AVP 0\r\na=mid:{mid}\r\na={candidate}\r\n"
        )
        status, _, _ = self.request("PATCH", self.session, fragment, "application/trickle-ice-sdpfrag")
        report(f"trickle {status}")

    def request(self, method: str, url: str, body: str | None = None, kind: str = "") -> tuple[int, Any, str]:
        headers = {"Content-Type": kind, "If-Match": self.etag} if kind else {}
        data = body.encode() if body else None
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=15) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.headers, exc.read().decode()

    def state_changed(self, *_: Any) -> None:
        report(f"state {self.webrtc.get_property('connection-state').value_nick}")

    def pad_added(self, _: Any, pad: Any) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        description = (
            f"queue ! {DECODERS[self.options.codec]} ! identity name=counter ! fakesink sync=false async=false"
        )
        sink = Gst.parse_bin_from_description(description, True)
        sink.get_by_name("counter").connect("handoff", self.frame_decoded)
        self.bin.add(sink)
        sink.set_state(Gst.State.PLAYING)
        pad.link(sink.get_static_pad("sink"))

    def frame_decoded(self, *_: Any) -> None:
        self.frames += 1


def report(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["publish", "view"])
    parser.add_argument("url")
    parser.add_argument("--codec", choices=list(ENCODERS), default="H264")
    parser.add_argument("--profile", default="constrained-baseline")
    parser.add_argument("--bundle", choices=["none", "max-bundle"], default="max-bundle")
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--trickle", action="store_true")
    parser.add_argument("--seconds", type=float, default=5.0)
    Gst.init(None)
    Client(parser.parse_args()).run()


main()
