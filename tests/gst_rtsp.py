"""GStreamer's RTSP server as a process that can be frozen, killed and restarted: runs `gst_rtsp_server.py` with the
system's Python."""

import subprocess
from pathlib import Path

from stream.serve.die_with_parent import tied
from tests.end_to_end.gstreamer import PYTHON, require_gstreamer
from tests.rtsp import RtspServer

_PROGRAM = Path(__file__).parent / "gst_rtsp_server.py"
_NEEDS = (
    "x264enc",
    "x265enc",
    "jpegenc",
    "opusenc",
    "aacparse",
    "matroskademux",
    "matroskamux",
    "rtph264pay",
    "rtpmp4gpay",
)
_CHECK = f"""
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
missing = [name for name in {_NEEDS} if Gst.ElementFactory.find(name) is None]
raise SystemExit(f"no elements {{missing}}" if missing else 0)
"""


def require_gst_rtsp_server() -> None:
    """Skip the test, with the reason, where GStreamer's RTSP server or its Python bindings are not installed."""
    require_gstreamer(_CHECK)


class GstRtspServer(RtspServer):
    """arguments: those of `tests.gst_rtsp_server`. Skips the test where it is not installed."""

    def __init__(self, *arguments: object) -> None:
        require_gst_rtsp_server()
        super().__init__(*arguments)

    def _launch(self, *arguments: object) -> "subprocess.Popen[str]":
        argv = [PYTHON, str(_PROGRAM), str(self.port), *map(str, arguments)]
        return subprocess.Popen(tied(argv), stdout=subprocess.PIPE, text=True)
