"""Publishers and viewers that share no code with ours: GStreamer's webrtcbin and FFmpeg's whip muxer."""

import datetime
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.end_to_end.gstreamer import gstreamer, require_gstreamer
from tests.end_to_end.serving import Served
from tests.media import ROOT

pytestmark = pytest.mark.slow
OPTIONS = "engine=chroma&key=%2300c83c&background=color:%23ff0000"
_LIMIT_S = 15.0
_MIN_FPS = 20.0  # of 30


def live(served: Served, name: str) -> dict[str, Any]:
    """The session that publishes this name, once its video was measured, in and out."""
    end_s = time.monotonic() + _LIMIT_S
    with httpx.Client(base_url=served.url) as http:
        while time.monotonic() < end_s:
            found = [s for s in http.get("/api/sessions").json()["sessions"] if s["name"] == name]
            if found and found[0]["state"] == "failed":
                raise AssertionError(f"{found[0]['reason']}: {found[0]['detail']}")
            meters = (found[0]["meters"] or {}) if found else {}
            if meters.get("fps_in", 0) >= _MIN_FPS and meters["width"]:
                return dict(found[0])
            time.sleep(0.1)
    raise AssertionError(f"{name} is not live: {found[:1]}\n{served.log.read_text()[-2000:]}")


@pytest.mark.parametrize(
    "words",
    [
        ("--codec", "H264"),
        ("--codec", "H264", "--sound", "--trickle", "--profile", "high"),
        ("--codec", "VP8", "--trickle"),
        ("--codec", "VP8", "--sound", "--bundle", "none"),
    ],
    ids=" ".join,
)
def test_gstreamer_publishes(served: Served, words: tuple[str, ...]) -> None:
    require_gstreamer()
    name = f"gst{abs(hash(words))}"
    with gstreamer("publish", f"{served.url}/whip/{name}?{OPTIONS}", *words, "--seconds", "12"):
        meters = live(served, name)["meters"]
    assert (meters["width"], meters["height"]) == (320, 240)


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_gstreamer_views_what_gstreamer_publishes(served: Served, codec: str) -> None:
    require_gstreamer()
    with gstreamer("publish", f"{served.url}/whip/view{codec}?{OPTIONS}", "--codec", codec, "--seconds", "14"):
        live(served, f"view{codec}")
        with gstreamer("view", f"{served.url}/whep/view{codec}", "--codec", codec, "--seconds", "6") as viewer:
            assert viewer.stdout is not None
            output = viewer.stdout.read()
    assert "state connected" in output
    assert int(output.split("frames ")[1]) > 40, output


def certificate(folder: Path) -> list[str]:
    """Options of the muxer for a P-256 certificate. The one that PyAV's FFmpeg generates has a curve that OpenSSL
    refuses."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, kind, serialization.NoEncryption()))
    return ["--option", f"cert_file={folder / 'cert.pem'}", "--option", f"key_file={folder / 'key.pem'}"]


def ffmpeg(url: str, *words: str) -> "subprocess.Popen[str]":
    if "whip" not in av.formats_available:
        pytest.skip(f"PyAV's FFmpeg {av.ffmpeg_version_info} has no whip muxer")
    argv = [sys.executable, "-m", "tests.end_to_end.ffmpeg_publisher", url, *words]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    "words",
    [(), ("--sound",), ("--profile", "High"), ("--sound", "--option", "whip_flags=dtls_active")],
    ids=lambda words: " ".join(words) or "video",
)
def test_ffmpeg_publishes(served: Served, tmp_path: Path, words: tuple[str, ...]) -> None:
    name = f"ffmpeg{abs(hash(words))}"
    with ffmpeg(f"{served.url}/whip/{name}?{OPTIONS}", *words, *certificate(tmp_path), "--seconds", "5") as process:
        live(served, name)
        output, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, output
