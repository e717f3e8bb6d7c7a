"""Network sources over a long time: restarts of every kind of server, sound in step, memory and descriptors."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from stream.address import Address
from stream.errors import NoVideoStream
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.network import NetworkSource
from tests.flashes import beeps_s, flashes_s, offsets_s
from tests.gst_rtsp import GstRtspServer
from tests.http_video import HttpVideoServer
from tests.live_recording import IN_STEP_S, Recording
from tests.playing import playing
from tests.rtmp import RtmpServer
from tests.rtsp import RtspServer
from tests.servers import free_port
from tests.tls_front import TlsFront, make_certificate

pytestmark = [pytest.mark.slow, pytest.mark.clocked]

Reached = Callable[[str, Path], AbstractContextManager[str]]
BACK_S = 7.0
RESTARTS = 30


class Running:
    """A source that is read in a thread, with the product's own time limits."""

    def __init__(self, url: str, settings: Settings | None = None) -> None:
        states: list[SourceState] = []
        options = SourceOptions(insecure=True, on_state=states.append)  # the tests' certificates are their own
        source = NetworkSource(Address.read(url), settings or Settings(), options)
        self.recording = Recording(source, states=states)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(NoVideoStream):
            for item in self.recording.source:
                self.recording.add(item)

    def until_live(self, limit_s: float) -> float:
        """Wait until a picture comes after slates; returns how long that took."""
        began_s, count = time.monotonic(), len(self.recording.frames)
        while not any(not frame.slate for frame in self.recording.frames[count:]):
            assert time.monotonic() - began_s < limit_s, self.recording.states
            time.sleep(0.02)
        return time.monotonic() - began_s

    def until_lost(self) -> None:
        until_s = time.monotonic() + 30
        while not self.recording.frames or not self.recording.frames[-1].slate:
            assert time.monotonic() < until_s
            time.sleep(0.02)

    def stop(self) -> None:
        self.recording.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def assert_in_step_after(recording: Recording, from_s: float) -> None:
    flashes = [time_s for time_s in flashes_s(recording.luma) if time_s > from_s]
    assert len(flashes) >= 3
    offsets = offsets_s(flashes[:-1], beeps_s(recording.peaks))
    assert max(map(abs, offsets)) < IN_STEP_S, offsets


def assert_comes_back(url: str, stop: Callable[[], object], start: Callable[[], object]) -> None:
    running = Running(url)
    try:
        running.until_live(30)
        time.sleep(3)
        stop()
        running.until_lost()
        start()
        print(f"back after {running.until_live(BACK_S):.2f} s")
        back_s = running.recording.frames[-1].time_s
        time.sleep(6)
    finally:
        running.stop()
    recording = running.recording
    assert_in_step_after(recording, back_s + 0.5)
    for (begin, length), (after, _) in pairwise(recording.spans):
        assert begin + length <= after
        assert (after - begin - length) / recording.sound[1] < 0.03, "no hole in the sound"
    times_s = [frame.time_s for frame in recording.frames]
    assert max(after - before for before, after in pairwise(times_s)) < 1.5


@contextmanager
def over_tls(url: str, folder: Path) -> Iterator[str]:
    """The URL of the same server behind TLS, which goes on while the server is away."""
    parts = urlsplit(url)
    assert parts.port is not None
    front = TlsFront(make_certificate(folder)[0], parts.port)
    yield urlunsplit(parts._replace(scheme=f"{parts.scheme}s", netloc=f"127.0.0.1:{front.port}"))
    front.close()


def plain(url: str, folder: Path) -> AbstractContextManager[str]:
    return nullcontext(url)


PLAIN_AND_TLS = pytest.mark.parametrize("reached", [plain, over_tls])


@PLAIN_AND_TLS
def test_rtsp_comes_back_in_step(clips: Path, tmp_path: Path, reached: Reached) -> None:
    clip = ("--clip", f"flash={clips / 'clip.mkv'}")
    server = GstRtspServer(*clip)
    try:
        with reached(server.url("flash"), tmp_path) as url:
            assert_comes_back(url, server.kill, lambda: server.start(*clip))
    finally:
        server.kill()


@pytest.mark.parametrize("path", ["live.ts", "hls/live.m3u8"])
@PLAIN_AND_TLS
def test_http_comes_back_in_step(clips: Path, tmp_path: Path, path: str, reached: Reached) -> None:
    server = HttpVideoServer(clips)
    try:
        with reached(server.url(path), tmp_path) as url:
            assert_comes_back(url, server.kill, lambda: server.start(clips))
    finally:
        server.kill()


@PLAIN_AND_TLS
def test_rtmp_comes_back_in_step(clips: Path, tmp_path: Path, reached: Reached) -> None:
    server = RtmpServer(tmp_path / "nginx")
    publishers = []

    def start() -> None:
        publisher = playing(clips / "clip.mkv", server.url(), "flv")
        publisher.__enter__()
        publishers.append(publisher)

    def stop() -> None:
        publishers.pop().__exit__(None, None, None)

    start()
    try:
        with reached(server.url(), tmp_path) as url:
            assert_comes_back(url, stop, start)
    finally:
        stop()
        server.kill()


def test_udp_comes_back_in_step(clips: Path) -> None:
    port = free_port()
    publishers = []

    def start() -> None:
        publisher = playing(clips / "clip.ts", f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts")
        publisher.__enter__()
        publishers.append(publisher)

    def stop() -> None:
        publishers.pop().__exit__(None, None, None)

    start()
    try:
        assert_comes_back(f"udp://127.0.0.1:{port}", stop, start)
    finally:
        stop()


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "mute"])
def test_a_source_that_says_nothing_is_given_up(frozen: bool) -> None:
    server = RtspServer(*([] if frozen else ["--mute"]))
    running = Running(server.url())
    try:
        if frozen:
            running.until_live(15)
            server.freeze()
        began_s = time.monotonic()
        while running.recording.source.state.name != "reconnecting":
            assert time.monotonic() - began_s < 10
            time.sleep(0.02)
        assert (
            "for 5 s" in running.recording.source.state.reason or "within 5 s" in running.recording.source.state.reason
        )
    finally:
        running.stop()
        server.thaw()
        server.kill()


def test_restarts_leave_nothing_behind(clips: Path) -> None:
    """Memory, descriptors and threads are as many after 30 restarts as after the first ones."""
    clip = ("--clip", f"flash={clips / 'clip.mkv'}")
    server = GstRtspServer(*clip)
    running = Running(server.url("flash"), Settings(rtsp_retry_s=0.1, slate_after_s=0.2))
    marks = []
    try:
        for n in range(RESTARTS + 5):
            running.until_live(15)
            time.sleep(0.5)
            server.kill()
            running.until_lost()
            running.recording.frames.clear()
            running.recording.luma.clear()
            if n >= 4:
                gc.collect()
                marks.append((_resident_mb(), len(os.listdir("/proc/self/fd")), threading.active_count()))
            server.start(*clip)
    finally:
        running.stop()
        server.kill()
    print(marks[0], marks[-1])
    assert marks[-1][0] - marks[0][0] < 12, marks
    assert marks[-1][1] <= marks[0][1] + 2, marks
    assert marks[-1][2] <= marks[0][2] + 1, marks


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_frame_is_never_shown_late(clips: Path) -> None:
    """The clock of frames does not drift from that of their arrival, in 20 s of a clip that starts again."""
    server = HttpVideoServer(clips)
    running = Running(server.url())
    try:
        running.until_live(15)
        time.sleep(25)
    finally:
        running.stop()
        server.kill()
    frames: list[Frame] = running.recording.frames
    began_s = frames[0].arrived_s - frames[0].time_s
    lags = [frame.arrived_s - began_s - frame.time_s for frame in frames]
    assert min(lags) > -0.05
    assert sorted(lags)[len(lags) * 95 // 100] < 0.15
