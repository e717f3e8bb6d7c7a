"""Sources of every protocol and codec from real servers, with their sound in step with the picture."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest

from stream.address import Address
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceOptions, SourceState
from stream.sources.connection import Connection, Picture, SoundPacket
from stream.sources.network import NetworkSource
from stream.sources.protocols import PROTOCOLS, Protocol
from tests.flashes import beeps_s, flashes_s, loudness, make_clip, offsets_s
from tests.gst_rtsp import GstRtspServer
from tests.http_video import HttpVideoServer
from tests.media import ROOT
from tests.playing import playing
from tests.rtmp import KEY, RtmpServer
from tests.rtsp import ROOM, near
from tests.servers import free_port
from web.http.tls import certificate

IN_STEP_S = 0.04
PROMPT = Settings(rtsp_retry_s=0.5, slate_after_s=0.3)


@dataclass
class Recording:
    """What a source delivered. luma: (time, mean) of each frame. peaks: of the sound, decoded."""

    source: NetworkSource
    frames: list[Frame] = field(default_factory=list)
    luma: list[tuple[float, float]] = field(default_factory=list)
    peaks: list[tuple[float, float]] = field(default_factory=list)
    states: list[SourceState] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, item: Any) -> None:
        if isinstance(item, Frame):
            self.frames.append(item)
            self.luma.append((item.time_s, float(item.planes()[0].mean())))
            return
        self.spans.append((item.pts, item.duration))
        for frame in item.stream.codec_context.decode(item):
            self.peaks += loudness(frame)

    @property
    def sound(self) -> tuple[str, int]:
        [stream] = self.source.info.sound
        return stream.codec_context.codec.canonical_name, stream.codec_context.sample_rate

    def assert_in_step(self, from_s: float = 0.0) -> None:
        """Every flash from a time on has its beep, and the packets do not overlap."""
        flashes = [time_s for time_s in flashes_s(self.luma) if time_s >= from_s]
        beeps = beeps_s(self.peaks)
        assert flashes
        assert beeps
        assert max(map(abs, offsets_s(flashes[:-1], beeps)), default=0.0) < IN_STEP_S, (flashes, beeps)
        for (start, length), (after, _) in pairwise(self.spans):
            assert start + length <= after


def record(url: str, duration_s: float, settings: Settings = PROMPT, **fields: Any) -> Recording:
    states: list[SourceState] = []
    options = SourceOptions(duration_s=duration_s, on_state=states.append, **fields)
    source = NetworkSource(Address.read(url), settings, options)
    recording = Recording(source, states=states)
    try:
        for item in source:
            recording.add(item)
    finally:
        source.close()
    return recording


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same clip in several containers."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("clip.mkv", "clip.ts", "clip.mp4"):
        make_clip(folder / name, 12)
    return folder


@pytest.fixture(scope="module")
def gstreamer(clips: Path) -> Iterator[GstRtspServer]:
    server = GstRtspServer("--clip", f"flash={clips / 'clip.mkv'}")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def http(clips: Path) -> Iterator[HttpVideoServer]:
    server = HttpVideoServer(clips)
    yield server
    server.kill()


@pytest.mark.parametrize("transport", ["tcp", pytest.param("udp", marks=pytest.mark.slow)])
def test_rtsp_is_in_step(gstreamer: GstRtspServer, transport: Any) -> None:
    seen = record(gstreamer.url("flash"), 3.2, Settings(rtsp_transport=transport))
    assert seen.states == [SourceState("live")]
    assert seen.sound == ("aac", 48_000)
    seen.assert_in_step()


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


def both(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and a file of certificate and key."""
    files = certificate("auto", folder, "127.0.0.1")
    assert files is not None
    joined = folder / "both.pem"
    joined.write_bytes(files.chain.read_bytes() + files.key.read_bytes())
    return files.chain, joined


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


def test_rtmp_waits_for_a_publisher(tmp_path: Path, clips: Path) -> None:
    server = RtmpServer(tmp_path / "nginx")
    states: list[SourceState] = []
    source = NetworkSource(Address.read(server.url()), PROMPT, SourceOptions(duration_s=4.5, on_state=states.append))
    try:
        assert source.info.width == 1280
        waiting = SourceState("reconnecting", "nothing is published there yet, or it may not be played")
        assert states == [waiting]
        seen = Recording(source, states=states)
        with playing(clips / "clip.mkv", server.url(), "flv"):
            until_s = time.monotonic() + 20
            for item in source:
                seen.add(item)
                if source.state.name != "live" and seen.frames:
                    assert time.monotonic() < until_s, states
    finally:
        source.close()
        server.kill()


def test_rtmp_is_in_step(tmp_path: Path, clips: Path) -> None:
    server = RtmpServer(tmp_path / "nginx")
    try:
        url = server.url(application="keyed")
        with playing(clips / "clip.mkv", f"{url}?key={KEY}", "flv"):
            _until_live(url)
            seen = record(url, 3.2)
        assert seen.sound == ("aac", 48_000)
        seen.assert_in_step(1.0)
    finally:
        server.kill()


def _until_live(url: str) -> None:
    source = NetworkSource(Address.read(url), PROMPT)
    for item in source:
        if isinstance(item, Frame) and not item.slate:
            break
    source.close()


def test_udp_is_in_step(clips: Path) -> None:
    port = free_port()
    with playing(clips / "clip.ts", f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts"):
        url = f"udp://127.0.0.1:{port}"
        _until_live(url)
        seen = record(url, 3.2)
    assert seen.sound == ("aac", 48_000)
    seen.assert_in_step()


@pytest.mark.parametrize("path", ["live.ts", pytest.param("clip.mp4", marks=pytest.mark.slow), "hls/live.m3u8"])
def test_http_is_in_step(http: HttpVideoServer, path: str) -> None:
    if path.startswith("hls"):
        _until_live(http.url(path))
    began_s = time.monotonic()
    seen = record(http.url(path), 3.2)
    assert time.monotonic() - began_s > 3.0, "a whole file is played at its own pace"
    assert seen.sound == ("aac", 48_000)
    seen.assert_in_step()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["encrypted", "ranges", "fragmented"])
def test_kinds_of_playlists(clips: Path, http: HttpVideoServer, kind: str) -> None:
    folder = clips / kind
    folder.mkdir()
    (folder / "key").write_bytes(bytes(range(16)))
    (folder / "key.txt").write_text(f"key\n{folder / 'key'}\n")
    options = {
        "encrypted": {"hls_key_info_file": str(folder / "key.txt")},
        "ranges": {"hls_flags": "single_file"},
        "fragmented": {"hls_segment_type": "fmp4"},
    }[kind]
    with (
        av.open(clips / "clip.mkv") as source,
        av.open(str(folder / "a.m3u8"), "w", format="hls", options={"hls_time": "1", **options}) as target,
    ):
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.dts * (packet.time_base or 0) < 5:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    assert {"encrypted": "METHOD=AES-128", "ranges": "EXT-X-BYTERANGE", "fragmented": "EXT-X-MAP"}[kind] in (
        folder / "a.m3u8"
    ).read_text()
    seen = record(http.url(f"{kind}/a.m3u8"), 2.2)
    assert seen.states == [SourceState("live")]
    seen.assert_in_step()


def test_a_playlist_names_no_other_host_of_a_private_network(clips: Path, http: HttpVideoServer) -> None:
    other = f"http://127.0.0.2:{http.port}/clip.ts"  # nothing listens there; it must not even be tried
    server = HttpVideoServer(clips, "--other", other)
    try:
        source = NetworkSource(Address.read(server.url("away.m3u8")), PROMPT)
        assert source.info
        expected = "a part of the playlist: addresses of this machine or a private network are not allowed"
        assert source.state == SourceState("reconnecting", expected)
        source.close()
    finally:
        server.kill()


@pytest.mark.slow
def test_certificates_of_segments_are_verified_too(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    trusted, joined = both(tmp_path)
    untrusted = HttpVideoServer(clips, "--tls", both(tmp_path / "other")[1])
    server = HttpVideoServer(clips, "--tls", joined, "--other", untrusted.url("clip.ts", scheme="https"))
    url = server.url("away.m3u8", scheme="https")
    try:
        source = NetworkSource(Address.read(url), PROMPT.model_copy(update={"ca_file": trusted}))
        assert source.info
        expected = "a part of the playlist cannot be reached (self-signed certificate)"
        assert source.state == SourceState("reconnecting", expected)
        source.close()
        assert record(url, 0.3, insecure=True).states == [SourceState("live")]
    finally:
        server.kill()
        untrusted.kill()


def test_an_mjpeg_camera(http: HttpVideoServer) -> None:
    seen = record(http.url("cam.mjpeg"), 1.0)
    assert seen.source.info.sound == ()
    assert all(near(frame, ROOM).mean() > 0.9 for frame in seen.frames)
    assert len(seen.frames) > 12


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.ts", "not found (404)"),
        ("none.m3u8", "not found (404)"),
        ("file.m3u8", "the playlist names a part that is not at an HTTP address"),
        ("silent", "the source did not answer within 2 s"),
    ],
)
def test_why_an_http_source_is_not_live(http: HttpVideoServer, path: str, reason: str) -> None:
    source = NetworkSource(Address.read(http.url(path)), Settings(rtsp_timeout_s=2))
    for item in source:
        assert isinstance(item, Frame)
        assert item.slate
        if source.state.name != "connecting":
            break
    assert source.state == SourceState("reconnecting", reason)
    source.close()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libx265", "libvpx", "libvpx-vp9", "mjpeg"])
def test_codecs_of_files_over_http(clips: Path, http: HttpVideoServer, codec: str) -> None:
    name = f"{codec}.mkv"
    _write(clips / name, codec)
    seen = record(http.url(name), 0.8)
    assert near(seen.frames[-1], ROOM, 30).mean() > 0.9


def test_av1_is_decoded() -> None:
    received: list[Picture | SoundPacket] = []
    connection = Connection(Address.read("rtsp://camera/1"), PROTOCOLS["rtsp"], Settings(), received.append)
    with av.open(str(ROOT / "tests" / "data" / "numbers.obu")) as container:
        frames = sum(1 for packet in container.demux() if packet.size)
    with av.open(str(ROOT / "tests" / "data" / "numbers.obu")) as container:
        connection._read(container)
    assert len(received) == frames


def test_interlaced_video_is_deinterlaced(clips: Path, http: HttpVideoServer) -> None:
    """Fields of a moving edge; woven together they would be combs."""
    _write(clips / "fields.mkv", "libx264", interlaced=True)
    seen = record(http.url("fields.mkv"), 0.8)
    rows = seen.frames[5].planes()[0].astype(int)
    combs = np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) // 2).max()
    assert combs < 60, "neighbouring rows agree"


def _write(path: Path, codec: str, interlaced: bool = False) -> None:
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height = 320, 240
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = {"x265-params": "log-level=none", "x264-params": "interlaced=1:tff=1"} if interlaced else {}
        for n in range(30):
            rgb = np.full((240, 320, 3), ROOM, np.uint8)
            if interlaced:
                rgb[::2, : 20 + 8 * n] = 255
                rgb[1::2, : 24 + 8 * n] = 255
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=stream.pix_fmt)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


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
