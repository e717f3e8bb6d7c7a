"""A camera that a server mattes: only what the server sends back is passed on. The servers are small real ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from stream.address import Address
from stream.errors import NoVideoStream
from stream.picture.frames import Frame, split_i420
from stream.sinks.live.spec import OutputSpec
from stream.sources import open_live_source
from stream.sources.base import SourceOptions, SourceState
from tests.flashes import make_clip
from tests.media import write_video
from tests.stream.rtc.test_whep_source import SETTINGS
from tests.waiting import until
from tests.whep_server import WhepServer
from tests.whip_server import TOKEN, WhipServer
from workers.runs.remote_matting import RemoteMatting

SOON = SETTINGS.model_copy(update={"rtsp_retry_s": 0.2, "rtsp_timeout_s": 1.5})


class Reading:
    """Frames of the source, read in a thread."""

    def __init__(self, room: Path, publish: WhipServer, view: WhipServer) -> None:
        self.frames: list[Frame] = []
        self.states: list[SourceState] = []
        local = open_live_source(Address.file(room), SourceOptions(loop=True), SETTINGS)
        output = OutputSpec(Address.read(f"whip+{publish.url}"), audio="off", token=TOKEN)
        viewed = SourceOptions(token=TOKEN, on_state=self.states.append)
        self.source = RemoteMatting(local, output, Address.read(f"whep+{view.url}"), viewed, SOON)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.frames.extend(item for item in self.source if isinstance(item, Frame))
        except NoVideoStream:
            return

    def close(self) -> None:
        self.source.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def reading(room: Path, publish: WhipServer, view: WhipServer) -> Iterator[Reading]:
    found = Reading(room, publish, view)
    try:
        yield found
    finally:
        found.close()


def colours(frames: list[Frame]) -> set[str]:
    """What the frames show: "blue", "grey", or their mean Y, Cb and Cr."""
    means = [np.array([float(plane.mean()) for plane in split_i420(frame.pixels)]) for frame in frames]
    names = {"blue": (41, 240, 110), "grey": (128, 128, 128)}
    return {next((n for n, level in names.items() if np.abs(mean - level).max() < 12), str(mean)) for mean in means}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("room") / "room.mkv", 2.0)


@pytest.fixture(scope="module")
def matted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blue = np.full((240, 320, 3), (0, 0, 255), np.uint8)
    return write_video(tmp_path_factory.mktemp("matted") / "matted.mkv", [blue] * 50)


@pytest.fixture
def publishing() -> Iterator[WhipServer]:
    server = WhipServer()
    yield server
    server.close()


@pytest.fixture
def viewing(matted: Path) -> Iterator[WhepServer]:
    server = WhepServer(matted)
    yield server
    server.close()


def test_only_what_the_server_sends_is_passed_on(room: Path, publishing: WhipServer, viewing: WhepServer) -> None:
    with reading(room, publishing, viewing) as seen:
        until(lambda: len(seen.frames) > 20 and len(publishing.frames) > 20, f"frames, {seen.states}")
        assert (seen.source.info.width, seen.source.info.height) == (320, 240)
        assert "m=audio" not in publishing.offers[0], "a camera's sound stays here"
        viewing.vanish()
        viewing.refusals = [(503, {})] * 1000
        until(lambda: seen.frames[-1].slate, "the server is gone")
        count = len(seen.frames)
        until(lambda: len(seen.frames) > count + 20, "slates")
    assert colours(seen.frames) == {"blue", "grey"}
    assert {frame.slate for frame in seen.frames if colours([frame]) == {"grey"}} == {True}
    for server in (publishing, viewing):
        assert "DELETE" in [method for method, _, _ in server.requests]


@pytest.mark.slow
def test_nothing_is_passed_on_while_the_server_refuses(room: Path, publishing: WhipServer, viewing: WhepServer) -> None:
    publishing.refusals = viewing.refusals = [(401, {})] * 1000
    with reading(room, publishing, viewing) as seen:
        until(lambda: len(seen.frames) > 20, f"slates, {seen.states}")
    assert all(frame.slate for frame in seen.frames)
    assert colours(seen.frames) == {"grey"}
    assert SourceState("reconnecting", "wrong token (401)") in seen.states
