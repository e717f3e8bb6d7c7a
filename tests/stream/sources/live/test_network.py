"""Network sources that die, hang, refuse and come back: a real server in a process of its own, frozen and killed."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stream.address import Address
from stream.errors import NoVideoStream, UsageError
from stream.picture.frames import Frame, Sound
from stream.settings import Settings
from stream.sources import open_source, source_address
from stream.sources.base import LiveSource, SourceOptions, SourceState
from stream.sources.live.network import DEFAULT_SIZE, NetworkSource
from tests.rtsp import ROOM, RtspServer, near
from tests.servers import free_port
from web.http.tls import certificate

SETTINGS = Settings(rtsp_timeout_s=0.8, rtsp_retry_s=0.3, slate_after_s=0.3)
PASSWORD = "s3cr%40t"  # as it stands in the address; the server knows it as s3cr@t


class Watched:
    """A source that is read in a thread, as the pump does it; frames and states are kept."""

    def __init__(self, url: str, settings: Settings = SETTINGS, **fields: object) -> None:
        self.states: list[SourceState] = []
        self.frames: list[Frame] = []
        self.sound: list[Sound] = []
        self.error: Exception | None = None
        options = SourceOptions(on_state=self.states.append, **fields)  # type: ignore[arg-type]
        self.source = NetworkSource(Address.read(url), settings, options)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        try:
            for item in self.source:
                if isinstance(item, Frame):
                    self.frames.append(item)
                else:
                    self.sound.append(item)
        except NoVideoStream as exc:
            self.error = exc

    def until(self, condition: Callable[[], object], what: str) -> None:
        until_s = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < until_s, f"waited for {what}; {self.states}"
            time.sleep(0.01)

    def goes_on(self, slate: bool) -> None:
        """Five more frames come, of this kind."""
        count = len(self.frames)
        kind = "slates" if slate else "pictures"
        self.until(lambda: [one.slate for one in self.frames[count:]].count(slate) >= 5, kind)

    def stop(self) -> None:
        self.source.close()
        self._reading.join(5)
        assert not self._reading.is_alive()


def first_frame(source: NetworkSource) -> Frame:
    return next(item for item in source if isinstance(item, Frame))


@pytest.fixture(scope="module")
def shared() -> Iterator[RtspServer]:
    """For tests that leave it as it is."""
    server = RtspServer()
    yield server
    server.kill()


@pytest.fixture
def server() -> Iterator[RtspServer]:
    """For tests that freeze and kill it."""
    server = RtspServer()
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    started: list[Watched] = []

    def start(*args: object, **fields: object) -> Watched:
        started.append(Watched(*args, **fields))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.long
def test_pictures_come_in_time(shared: RtspServer, watch: Callable[..., Watched]) -> None:
    seen = watch(shared.url(), Settings(), duration_s=1.2)
    seen.until(lambda: not seen._reading.is_alive(), "its end")
    assert (seen.source.info.width, seen.source.info.height, seen.source.info.rate) == (320, 240, Fraction(25))
    assert seen.states == [SourceState("live")]
    assert not any(frame.slate for frame in seen.frames)
    assert all(near(frame, ROOM).mean() > 0.3 for frame in seen.frames), "it is the picture that was sent"
    times_s = [frame.time_s for frame in seen.frames]
    assert times_s[0] == 0
    assert times_s == sorted(set(times_s))
    assert 1.0 < times_s[-1] <= 1.2
    assert abs(np.median(np.diff(times_s)) - 1 / 25) < 0.004


def test_it_may_be_asked_for_udp(shared: RtspServer, watch: Callable[..., Watched]) -> None:
    seen = watch(shared.url(), Settings(rtsp_transport="udp"))
    seen.goes_on(slate=False)
    assert seen.states == [SourceState("live")]


@pytest.mark.long
def test_it_may_be_encrypted(tmp_path: Path) -> None:
    files = certificate("auto", tmp_path, "127.0.0.1")
    assert files is not None
    both = tmp_path / "both.pem"
    both.write_bytes(files.chain.read_bytes() + files.key.read_bytes())
    server = RtspServer("--user", "ann:s3cr@t", "--tls", both)
    settings = Settings(ca_file=files.chain)
    source = NetworkSource(Address.read(server.url(user=f"ann:{PASSWORD}").replace("rtsp:", "rtsps:")), settings)
    try:
        assert not first_frame(source).slate
        assert source.state == SourceState("live")
    finally:
        source.close()
        server.kill()


@pytest.mark.long
def test_it_dies_and_comes_back_with_another_picture(server: RtspServer, watch: Callable[..., Watched]) -> None:
    seen = watch(server.url())
    seen.goes_on(slate=False)
    server.kill()
    seen.goes_on(slate=True)
    server.start("--width", 480, "--height", 480)
    seen.goes_on(slate=False)
    began_s, count = seen.frames[0].arrived_s, len(seen.frames)
    assert seen.states[:2] == [SourceState("live"), SourceState("reconnecting", "the source closed the connection")]
    assert seen.states[-1] == SourceState("live")
    for frame in seen.frames[:count]:
        assert (frame.width, frame.height) == (320, 240)
        assert abs(frame.time_s - (frame.arrived_s - began_s)) < 0.15, "the clock stays true"
        if frame.slate:
            assert (frame.pixels == 128).all()
    last = seen.frames[-1]
    assert last.alpha is not None
    assert not last.alpha[:, :40].any(), "what is beside a square picture is background"
    assert last.alpha[:, 40:280].all()
    assert near(last, ROOM)[:50, 44:276].all(), "the room keeps its shape, in the middle"


def test_an_error_in_the_report_of_a_state_does_not_end_reconnecting(caplog: pytest.LogCaptureFixture) -> None:
    states: list[str] = []

    def tell(state: SourceState) -> None:
        states.append(state.name)
        raise ValueError("closed")

    settings = SETTINGS.model_copy(update={"rtsp_retry_s": 0.05, "rtsp_timeout_s": 0.3})
    source = NetworkSource(Address.read(f"rtsp://127.0.0.1:{free_port()}/none"), settings, SourceOptions(on_state=tell))
    assert source.info
    until_s = time.monotonic() + 10
    while states.count("reconnecting") < 3:
        assert time.monotonic() < until_s, states
        time.sleep(0.01)
    source.close()
    assert "ValueError('closed')" in caplog.text


@pytest.mark.long
def test_it_hangs_in_mid_stream(server: RtspServer, watch: Callable[..., Watched]) -> None:
    seen = watch(server.url())
    seen.goes_on(slate=False)
    server.freeze()
    frozen_s = time.monotonic()
    seen.goes_on(slate=True)
    assert time.monotonic() - frozen_s < 0.3 + 0.9
    seen.until(lambda: seen.source.state.name == "reconnecting", "its loss")
    assert seen.source.state.reason == "the source sent nothing for 0.8 s"
    server.thaw()
    seen.goes_on(slate=False)
    gaps_s = np.diff([frame.time_s for frame in seen.frames])
    assert gaps_s.max() < 0.3 + 0.3, "slates come steadily"


@pytest.mark.long
def test_it_accepts_and_never_answers(watch: Callable[..., Watched]) -> None:
    server = RtspServer("--mute")
    try:
        seen = watch(server.url())
        seen.until(lambda: seen.states, "the end of patience")
        assert str(seen.states[0]) == "reconnecting: the source did not answer within 0.8 s"
        seen.goes_on(slate=True)
        assert (seen.frames[0].width, seen.frames[0].height) == DEFAULT_SIZE
        began_s = time.monotonic()
        seen.stop()
        assert time.monotonic() - began_s < 1.5
        patient = watch(server.url(), Settings())
        time.sleep(0.2)
        began_s = time.monotonic()
        patient.stop()
        assert time.monotonic() - began_s < 1.5, "whatever FFmpeg waits for"
        assert str(seen.error) == f"no picture was received from {server.url()}: the source did not answer within 0.8 s"
    finally:
        server.kill()


@pytest.fixture(scope="module")
def guarded() -> Iterator[RtspServer]:
    server = RtspServer("--user", "ann:s3cr@t")
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("user", "path", "reason"),
    [
        ("ann:wr0ng", "cam", "wrong user or password (401)"),
        ("", "cam", "a user and a password are required (401)"),
        (f"ann:{PASSWORD}", "none", "not found (404)"),
    ],
)
def test_what_is_refused_is_said(guarded: RtspServer, user: str, path: str, reason: str) -> None:
    source = NetworkSource(Address.read(guarded.url(path, user)), SETTINGS)
    assert (source.info.width, source.info.height) == DEFAULT_SIZE
    assert source.state == SourceState("reconnecting", reason)
    source.close()


def test_the_password_is_told_to_nobody(
    guarded: RtspServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = NetworkSource(Address.read(guarded.url(user="ann:wr0ng")), SETTINGS)
    welcome = NetworkSource(Address.read(guarded.url(user=f"ann:{PASSWORD}")), SETTINGS, SourceOptions(duration_s=0.2))
    lost = NetworkSource(Address.read("rtsp://ann:s3cr%40t@127.0.0.1:1/cam?password=s3cr"), SETTINGS)
    assert [isinstance(item, Frame) and item.slate for item in welcome].count(False) >= 3, "with the right one it works"
    assert first_frame(lost).slate
    said = [str(source.state) + repr(source) + repr(source.address) for source in (refused, welcome, lost)]
    for source in (refused, welcome, lost):
        source.close()
    with pytest.raises(NoVideoStream) as failed:
        list(lost)
    told = "".join([*said, caplog.text, *capfd.readouterr(), str(failed.value), repr(failed.value)])
    assert "127.0.0.1" in told
    assert "reconnecting" in told
    assert not [word for word in ("s3cr", "wr0ng", "ann:") if word in told]


@pytest.mark.parametrize(
    "url",
    [
        "gopher://u:hush@cam/x",
        "rtsp://",
        "rtsp://u:hush@:554/x",
        "rtsp://u:hush@cam:port/x",
        "rtsp://u:hush@cam:99999/x",
        "rtsp://u:hu/sh@cam/x",
        "rtsp://u:12#hush@cam/x",
        "rtsp://u:12?hush@cam/x",
        "rtsp://u:hush@cam/x\r\nOPTIONS",
        "rtsp://u:hush@[::1/x",
        "rtsp://u:hush@cam/" + 5000 * "x",
        "rtsp:u:hush@cam/x",
        "rtsp:/u:hush@cam/x",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_source(source_address(url), SourceOptions(), SETTINGS)
    assert "hush" not in str(refused.value)


def test_the_log_is_told_once_not_with_each_attempt(caplog: pytest.LogCaptureFixture) -> None:
    impatient = SETTINGS.model_copy(update={"rtsp_retry_s": 0.01})
    source = NetworkSource(Address.read("rtsp://u:hush@127.0.0.1:1/cam"), impatient)
    frames = (item for item in source if isinstance(item, Frame))
    for frame in itertools.islice(frames, 20):
        assert frame.slate
    source.close()
    assert caplog.messages == ["rtsp://127.0.0.1:1/cam: reconnecting: connection refused"]


def test_nothing_is_asked_of_the_camera_before_its_picture_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    source: LiveSource = NetworkSource(Address.read("rtsp://127.0.0.1:1/cam"), SETTINGS)  # mypy checks the protocol
    time.sleep(0.2)
    source.close()
    assert source.state == SourceState("connecting")
    assert not caplog.messages
