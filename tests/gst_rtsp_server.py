"""An RTSP server with GStreamer's gst-rtsp-server, run as a program.

For the system's Python, which has the package `gi`; imports nothing from this repository. `gst_rtsp.py` runs it. It
prints "ready". Paths:

/h264, /h265, /mjpeg, /h264-opus, /h264-pcmu, /h264-pcma: live test pictures, with ticks as sound.
/NAME for each `--clip NAME=FILE`: a Matroska file of H.264 and AAC, played from its start when the first client comes;
of H.265 and AAC where NAME begins with "h265".
/rec, /rec-aac: accept ANNOUNCE and RECORD of H.264, the second with AAC, and write the Matroska file `--record`.
"""

import argparse
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer

PICTURE = "videotestsrc is-live=1 pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! "
TICKS = " audiotestsrc is-live=1 wave=ticks ! audio/x-raw,rate={} ! audioconvert ! "
H264 = PICTURE + (
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 threads=1 "
    "! rtph264pay name=pay0 pt=96 config-interval=1"
)
H265 = PICTURE + (
    "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=12 ! h265parse "
    "! rtph265pay name=pay0 pt=96 config-interval=1"
)
LIVE = {
    "/h264": H264,
    "/h265": H265,
    "/mjpeg": PICTURE + "jpegenc ! rtpjpegpay name=pay0 pt=26",
    "/h264-opus": H264 + TICKS.format(48000) + "opusenc ! rtpopuspay name=pay1 pt=97",
    "/h264-pcmu": H264 + TICKS.format(8000) + "mulawenc ! rtppcmupay name=pay1",
    "/h264-pcma": H264 + TICKS.format(8000) + "alawenc ! rtppcmapay name=pay1",
}
CLIP = (
    "filesrc location={file} ! matroskademux name=demux "
    "demux.video_0 ! queue ! {codec}parse ! rtp{codec}pay name=pay0 pt=96 config-interval=1 "
    "demux.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
)
RECORD = (
    "matroskamux name=mux streamable=true ! filesink location={} rtph264depay name=depay0 ! h264parse ! queue ! mux. "
)
RECORD_AAC = "rtpmp4gdepay name=depay1 ! aacparse ! queue ! mux."


class Server:
    """user: USER:PASSWORD, or "". basic: by basic instead of digest authentication. tls: PEM file, or ""."""

    def __init__(self, port: int, user: str, basic: bool, tls: str) -> None:
        self._server = GstRtspServer.RTSPServer(service=str(port), address="127.0.0.1")
        self._role = "user" if user else "anonymous" if tls else ""
        if self._role:
            self._server.set_auth(_auth(user, basic, tls))

    def mount(self, path: str, launch: str, record: bool = False) -> None:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {launch} )")
        factory.set_shared(True)
        factory.set_latency(50)
        if record:
            factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        if self._role:
            access = f"{self._role},media.factory.access=(bool)true,media.factory.construct=(bool)true"
            factory.add_role_from_structure(Gst.Structure.new_from_string(access))
        self._server.get_mount_points().add_factory(path, factory)

    def run(self) -> None:
        self._server.attach(None)
        print("ready", flush=True)
        GLib.MainLoop().run()


def _auth(user: str, basic: bool, tls: str) -> Any:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user" if user else "anonymous")
    if tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(tls))
    if not user:
        auth.set_default_token(token)
    elif basic:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*user.split(":")), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(*user.split(":"), token)
    return auth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--user", default="")
    parser.add_argument("--basic", action="store_true")
    parser.add_argument("--tls", default="")
    parser.add_argument("--clip", action="append", default=[])
    parser.add_argument("--record", default="")
    arguments = parser.parse_args()
    Gst.init(None)
    server = Server(arguments.port, arguments.user, arguments.basic, arguments.tls)
    for path, launch in LIVE.items():
        server.mount(path, launch)
    for clip in arguments.clip:
        name, _, file = clip.partition("=")
        server.mount(f"/{name}", CLIP.format(file=file, codec="h265" if name.startswith("h265") else "h264"))
    if arguments.record:
        server.mount("/rec", RECORD.format(arguments.record), record=True)
        server.mount("/rec-aac", RECORD.format(arguments.record) + RECORD_AAC, record=True)
    server.run()


if __name__ == "__main__":
    main()
