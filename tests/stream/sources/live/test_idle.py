"""A source that is closed while nobody watches, with files as its camera."""

import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from stream.errors import DeviceError
from stream.picture.canvas import grey
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceState
from stream.sources.live import idle
from stream.sources.live.idle import IdleSource
from stream.sources.live.played import PlayedSource
from tests.virtual_camera import HEIGHT, WIDTH, write_grey_clip
from tests.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "_POLL_S", 0.05)
    monkeypatch.setattr(idle, "_LINGER_S", 0.2)
    monkeypatch.setattr(idle, "_SLATE_S", 0.05)


class Camera:
    """Opens sources, and knows which of them are open."""

    def __init__(self, folder: Path) -> None:
        self.clip = write_grey_clip(folder / "clip.mkv")
        self.opened: list[PlayedSource] = []
        self.sizes: list[tuple[int, int]] = []
        self.closed = 0
        self.watched: bool | None = False
        self.unplugged = False

    def open(self, size: tuple[int, int]) -> PlayedSource:
        camera = self

        class Source(PlayedSource):
            def close(self) -> None:
                camera.closed += 1
                super().close()

        if self.unplugged:
            raise DeviceError("no camera was found")
        self.sizes.append(size)
        self.opened.append(Source(self.clip, Settings(), size, loop=True))
        return self.opened[-1]

    @property
    def is_on(self) -> bool:
        return len(self.opened) > self.closed


class Reading:
    """Reads an IdleSource in a thread."""

    def __init__(self, camera: Camera) -> None:
        self.states: list[SourceState] = []
        self.frames: list[Frame] = []
        self.source = IdleSource(camera.open, lambda: camera.watched, self.states.append)
        assert (self.source.info.width, self.source.info.height) == (WIDTH, HEIGHT)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        self.frames.extend(item for item in self.source if isinstance(item, Frame))

    def slates(self, since: int) -> bool:
        return any(frame.slate for frame in self.frames[since:])

    def pictures(self, since: int) -> bool:
        return any(not frame.slate for frame in self.frames[since:])

    def end(self) -> None:
        self.source.end()
        self._thread.join()
        self.source.close()


def test_the_camera_is_on_only_while_somebody_watches(tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    reading = Reading(camera)
    try:
        until(lambda: reading.slates(0))
        assert not camera.is_on
        assert not reading.pictures(0), "no picture leaves while nobody watches"
        for round_number in (1, 2):
            camera.watched = True
            count = len(reading.frames)
            until(partial(reading.pictures, count))
            assert camera.is_on
            camera.watched = False
            until(lambda: not camera.is_on)
            count = len(reading.frames)
            until(partial(reading.slates, count))
            assert len(camera.opened) == 1 + round_number
    finally:
        reading.end()
    assert camera.sizes == [(0, 0), (WIDTH, HEIGHT), (WIDTH, HEIGHT)]
    names = [state.name for state in reading.states]
    assert names == ["idle", "live", "idle", "live", "idle"]
    assert all(after.pts > before.pts for before, after in pairwise(reading.frames))
    slate = next(frame for frame in reading.frames if frame.slate)
    assert (slate.pixels == grey((WIDTH, HEIGHT))).all()


def test_where_the_system_cannot_tell_the_camera_stays_on(tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    camera.watched = None
    reading = Reading(camera)
    until(lambda: len(reading.frames) > 20)
    reading.end()
    assert not reading.slates(0)
    assert len(camera.opened) == 1
    assert not camera.is_on


def test_it_ends_while_idle(tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    reading = Reading(camera)
    until(lambda: reading.slates(0))
    reading.end()
    assert not camera.is_on


def test_a_camera_that_was_unplugged_meanwhile_is_retried(tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    reading = Reading(camera)
    try:
        until(lambda: reading.slates(0))
        camera.unplugged = camera.watched = True
        until(lambda: "reconnecting: no camera was found" in map(str, reading.states))
        count = len(reading.frames)
        until(partial(reading.slates, count))
        camera.unplugged = False
        until(partial(reading.pictures, count))
    finally:
        reading.end()
