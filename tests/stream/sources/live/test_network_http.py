"""Sources over HTTP: MPEG-TS, MP4, HLS playlists, MJPEG cameras, codecs; what playlists may name."""

import io
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.address import Address
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceState
from stream.sources.live.network import NetworkSource
from stream.sources.live.playlist import _Part
from tests.http_video import HttpVideoServer
from tests.live_recording import PROMPT, record, until_live
from tests.rtsp import ROOM, near
from tests.self_signed import both


@pytest.fixture(scope="module")
def http(clips: Path) -> Iterator[HttpVideoServer]:
    server = HttpVideoServer(clips)
    yield server
    server.kill()


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        "live.ts",
        pytest.param("clip.mp4", marks=pytest.mark.slow),
        pytest.param("hls/live.m3u8", marks=pytest.mark.slow),
    ],
)
def test_http_is_in_step(http: HttpVideoServer, path: str) -> None:
    if path.startswith("hls"):
        until_live(http.url(path))
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


@pytest.mark.long
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


@pytest.mark.long
def test_an_mjpeg_camera(http: HttpVideoServer) -> None:
    seen = record(http.url("cam.mjpeg"), 1.0)
    assert seen.source.info.sound == ()
    assert all(near(frame, ROOM).mean() > 0.9 for frame in seen.frames)
    assert len(seen.frames) > 12


@pytest.mark.long
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


@pytest.mark.long
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


def test_an_endless_playlist_is_cut_off() -> None:
    part = _Part(io.BytesIO(b"#EXTM3U\n" + b"#EXTINF:1,\na.ts\n" * 400_000), ExitStack())
    assert sum(len(data) for data in iter(lambda: part.read(2**16), b"")) <= 4 * 2**20
    segment = _Part(io.BytesIO(bytes(5 * 2**20)), ExitStack())
    assert sum(len(data) for data in iter(lambda: segment.read(2**16), b"")) == 5 * 2**20
