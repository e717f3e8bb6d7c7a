"""GStreamer's webrtcbin as WHIP publisher and WHEP viewer: runs `gstreamer_client.py` with the system's Python."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYTHON = "/usr/bin/python3"  # Debian's python3-gi belongs to it
_PROGRAM = Path(__file__).parent / "gstreamer_client.py"
_NEEDS = (
    "webrtcbin",
    "nicesrc",
    "dtlsdec",
    "srtpdec",
    "x264enc",
    "rtph264pay",
    "vp8enc",
    "opusenc",
    "avdec_h264",
    "vp8dec",
)
_CHECK = f"""
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
missing = [name for name in {_NEEDS} if Gst.ElementFactory.find(name) is None]
raise SystemExit(f"no elements {{missing}}" if missing else 0)
"""


def require_gstreamer(check: str = _CHECK) -> None:
    """Skip the test, with the reason, where GStreamer or its Python bindings are not installed. check: a program that
    fails, with the reason, where something is missing."""
    try:
        found = subprocess.run([PYTHON, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    except OSError as exc:
        pytest.skip(f"GStreamer is not installed: {exc}")
    if found.returncode:
        reason = found.stderr.strip().splitlines()[-1]
        pytest.skip(f"GStreamer is not complete ({reason}); see the Debian packages in README.md")


@contextmanager
def gstreamer(role: str, url: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """The running program; it is ended afterwards. role: "publish" or "view"."""
    argv = [PYTHON, str(_PROGRAM), role, url, *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
