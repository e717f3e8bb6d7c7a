"""Sources of every protocol and codec from real servers, with their sound in step with the picture."""

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import av
import pytest

from stream.address import Address
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.connection import Connection, Picture, SoundPacket
from stream.sources.live.network import NetworkSource
from stream.sources.live.protocols import PROTOCOLS, Protocol
from tests.flashes import beeps_s, make_clip
from tests.gst_rtsp import GstRtspServer
from tests.http_video import HttpVideoServer
from tests.live_recording import PROMPT, Recording, record, until_live
from tests.media import ROOT
from tests.playing import playing
from tests.rtmp import KEY, RtmpServer
from tests.self_signed import both
from tests.servers import free_port


@pytest.fixture(scope="module")
def gstreamer(clips: Path) -> Iterator[GstRtspServer]:
    server = GstRtspServer("--clip", f"flash={clips / 'clip.mkv'}")
    yield server
    server.kill()


@pytest.mark.long
@pytest.mark.parametrize("transport", ["tcp", pytest.param("udp", marks=pytest.mark.slow)])
def test_rtsp_is_in_step(gstreamer: GstRtspServer, transport: Any) -> None:
    seen = record(gstreamer.url("flash"), 3.2, Settings(rtsp_transport=transport))
    assert seen.states == [SourceState("live")]
    assert seen.sound == ("aac", 48_000)
    seen.assert_in_step()


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "sound"),
    [
        ("h265", None),
        pytest.param("mjpeg", None, marks=pytest.mark.slow),
        ("h264-opus", ("opus", 48_000)),
        ("h264-pcmu", ("pcm_mulaw", 8_000)),
        pytest.param("h264-pcma", ("pcm_alaw", 8_000), marks=pytest.mark.slow),
    ],
)
def test_rtsp_carries_codecs(gstreamer: GstRtspServer, path: str, sound: tuple[str, int] | None) -> None:
    seen = record(gstreamer.url(path), 1.4)
    assert (seen.source.info.width, seen.source.info.height) == (320, 240)
    assert len([frame for frame in seen.frames if not frame.slate]) > 15
    assert seen.frames[-1].pixels.std() > 10, "a picture"
    assert (seen.sound if seen.source.info.sound else None) == sound
    assert sound is None or beeps_s(seen.peaks)


@pytest.mark.parametrize("basic", [True, False], ids=["basic", "digest"])
def test_rtsp_asks_for_a_password(basic: bool) -> None:
    server = GstRtspServer("--user", "ann:s3cret", *(["--basic"] if basic else []))
    try:
        assert record(server.url("h264", "ann:s3cret"), 0.3).states == [SourceState("live")]
        source = NetworkSource(Address.read(server.url("h264", "ann:wrong")), PROMPT)
        assert source.info.sound, "a source that was not reached may have sound later"
        assert source.state.reason == "wrong user or password (401)"
        source.close()
    finally:
        server.kill()


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_a_certificate_is_verified(scheme: str, tmp_path: Path, clips: Path) -> None:
    chain, joined = both(tmp_path)
    server: GstRtspServer | HttpVideoServer
    if scheme == "rtsps":
        server = GstRtspServer("--tls", joined)
        url = server.url("h264").replace("rtsp:", "rtsps:")
    else:
        server = HttpVideoServer(clips, "--tls", joined)
        url = server.url(scheme="https")
    try:
        refused = NetworkSource(Address.read(url), PROMPT)
        assert refused.info
        assert refused.state == SourceState("reconnecting", "its certificate is not trusted (self-signed certificate)")
        refused.close()
        trusted = PROMPT.model_copy(update={"ca_file": chain})
        assert record(url, 0.3, trusted).states == [SourceState("live")]
        assert record(url, 0.3, insecure=True).states == [SourceState("live")]
    finally:
        server.kill()


@pytest.mark.long
def test_rtmp_waits_for_a_publisher(tmp_path: Path, clips: Path) -> None:
    server = RtmpServer(tmp_path / "nginx")
    states: list[SourceState] = []
    source = NetworkSource(Address.read(server.url()), PROMPT, SourceOptions(duration_s=20, on_state=states.append))
    try:
        assert source.info.width == 1280
        waiting = SourceState("reconnecting", "nothing is published there yet, or it may not be played")
        assert states == [waiting]
        with playing(clips / "clip.mkv", server.url(), "flv"):
            pictures = (item for item in source if isinstance(item, Frame) and not item.slate)
            assert len(list(itertools.islice(pictures, 10))) == 10, states
        assert SourceState("live") in states
    finally:
        source.close()
        server.kill()


@pytest.mark.slow
def test_rtmp_is_in_step(tmp_path: Path, clips: Path) -> None:
    server = RtmpServer(tmp_path / "nginx")
    try:
        url = server.url(application="keyed")
        with playing(clips / "clip.mkv", f"{url}?key={KEY}", "flv"):
            until_live(url)
            seen = record(url, 3.2)
        assert seen.sound == ("aac", 48_000)
        seen.assert_in_step(1.0)
    finally:
        server.kill()


@pytest.mark.slow
def test_udp_is_in_step(clips: Path) -> None:
    port = free_port()
    with playing(clips / "clip.ts", f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts"):
        url = f"udp://127.0.0.1:{port}"
        until_live(url)
        seen = record(url, 3.2)
    assert seen.sound == ("aac", 48_000)
    seen.assert_in_step()


def test_av1_is_decoded() -> None:
    received: list[Picture | SoundPacket] = []
    connection = Connection(Address.read("rtsp://camera/1"), PROTOCOLS["rtsp"], Settings(), received.append)
    with av.open(str(ROOT / "tests" / "data" / "numbers.obu")) as container:
        frames = sum(1 for packet in container.demux() if packet.size)
    with av.open(str(ROOT / "tests" / "data" / "numbers.obu")) as container:
        connection._read(container)
    assert len(received) == frames


class Child:
    """A file object of a child process, as an opener returns it."""

    started: ClassVar[list["Child"]] = []
    reason = "the child has ended"

    def __init__(self, address: Address, settings: Settings) -> None:
        words = ["cat", address.name] if address.name else ["sleep", "60"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, bufsize=0)
        self.started.append(self)

    def read(self, size: int) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.read(size)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def child_scheme(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opener = f"{__name__}:Child"
    protocol = Protocol("", "mpegts", demuxer="mpegts", check=str, opener=opener, paced=True)
    monkeypatch.setitem(PROTOCOLS, "child", protocol)
    Child.started.clear()
    yield
    assert Child.started
    for child in Child.started:
        assert child.process.returncode is not None, "ended with its connection"
        assert child.process.stdout is not None
        child.process.stdout.close()


@pytest.mark.long
@pytest.mark.usefixtures("child_scheme")
def test_a_child_process_is_read_and_ended(clips: Path) -> None:
    source = NetworkSource(Address("child", str(clips / "short.ts")), PROMPT, SourceOptions(duration_s=2.5))
    make_clip(clips / "short.ts", 1.2)
    seen = Recording(source)
    for item in source:
        seen.add(item)
        if source.state.name == "reconnecting":
            assert source.state.reason == "the child has ended"
            break
    source.close()
    assert len([frame for frame in seen.frames if not frame.slate]) > 25
    assert len(beeps_s(seen.peaks)) == 1


@pytest.mark.usefixtures("child_scheme")
def test_a_child_process_that_sends_nothing_is_ended() -> None:
    source = NetworkSource(Address("child", ""), Settings(rtsp_timeout_s=0.5, rtsp_retry_s=30))
    assert source.info
    for _ in source:
        if source.state.name == "reconnecting":
            break
    assert source.state.reason == "the source did not answer within 0.5 s"
    source.close()
