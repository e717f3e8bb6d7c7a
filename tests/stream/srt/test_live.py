"""SRT as a live source, and as an output of live video."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from stream.address import Address
from stream.errors import NoVideoStream, UsageError
from stream.picture.frames import Frame
from stream.pump import Item
from stream.settings import Settings
from stream.sinks.live.spec import OutputSpec
from stream.sinks.live.srt import SrtOutput
from stream.sources import open_live_source
from stream.sources.base import SourceOptions, SourceState
from stream.srt import SrtAddress, SrtReader, find_program
from tests.clip_feed import feeding
from tests.media import numbered, write_video
from tests.rtc import number_in
from tests.servers import free_port
from tests.srt import receiver, sender
from tests.waiting import PATIENCE_S, until

SETTINGS = Settings(rtsp_retry_s=0.2, hw_encode=False)
SECRET = "correct horse 'battery' 5"
QUERY = "passphrase=correct%20horse%20'battery'%205&latency=60"


@pytest.fixture(scope="module", autouse=True)
def program() -> None:
    try:
        find_program()
    except UsageError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = (numbered(n, 64, 48) for n in range(60))
    path = tmp_path_factory.mktemp("srt") / "clip.ts"
    return write_video(path, frames, sound_s=2.0, options={"g": "10", "tune": "zerolatency"})


class Watched:
    """A live source, read in a thread."""

    def __init__(self, address: str) -> None:
        self.states: list[SourceState] = []
        self.items: list[Item] = []
        options = SourceOptions(on_state=self.states.append)
        self.source = open_live_source(Address.read(address), options, SETTINGS)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(NoVideoStream):  # it was closed before its first picture
            self.items.extend(self.source)

    def pictures(self) -> int:
        return sum(isinstance(item, Frame) and not item.slate for item in self.items)

    def close(self) -> None:
        self.source.close()
        self._thread.join()


@pytest.fixture
def watched() -> Iterator[list[Watched]]:
    opened: list[Watched] = []
    yield opened
    for source in opened:
        source.close()


@pytest.mark.slow
def test_a_source_with_sound_that_comes_back(clip: Path, tmp_path: Path, watched: list[Watched]) -> None:
    port = free_port()
    with sender(port, clip, SECRET, tmp_path) as peer:
        source = Watched(f"srt://127.0.0.1:{port}?{QUERY}")
        watched.append(source)
        until(lambda: source.pictures() > 10, f"pictures, {source.states}")
        assert len(source.source.info.sound) == 1
        peer.send_signal(signal.SIGTERM)
        until(lambda: any(state.name == "reconnecting" for state in source.states), "its end is noticed")
    with sender(port, clip, SECRET, tmp_path):
        before = source.pictures()
        until(lambda: source.pictures() > before + 10, f"pictures again, {source.states}")
    assert any(not isinstance(item, Frame) for item in source.items)
    assert source.states[1].reason == "the other side closed the connection"
    assert not any("horse" in str(state) or "horse" in repr(state) for state in source.states)


@pytest.mark.long
def test_a_source_that_waits_for_a_caller(clip: Path, watched: list[Watched]) -> None:
    """The time limit of sources does not end a listener. Here an output of our own calls."""
    port = free_port()
    source = Watched(f"srt://127.0.0.1:{port}?mode=listener&{QUERY}")
    watched.append(source)
    spec = OutputSpec(Address.read(f"srt://127.0.0.1:{port}?{QUERY}"), audio="off")
    with feeding(clip, spec, settings=SETTINGS):
        until(lambda: source.pictures() > 10, f"pictures, {source.states}")


def test_a_wrong_passphrase_is_reported(clip: Path, watched: list[Watched]) -> None:
    port = free_port()
    with receiver(port, "another passphrase"):
        source = Watched(f"srt://127.0.0.1:{port}?{QUERY}")
        watched.append(source)
        until(lambda: any(state.reason == "wrong passphrase" for state in source.states), f"{source.states}")
        spec = OutputSpec(Address.read(f"srt://127.0.0.1:{port}?{QUERY}"))
        with feeding(clip, spec, settings=SETTINGS) as feed:
            until(lambda: "wrong passphrase" in feed.reasons(), f"{feed.states}")


@pytest.mark.long
def test_an_output_listens_for_a_player(clip: Path) -> None:
    port = free_port()
    spec = OutputSpec(Address.read(f"srt://127.0.0.1:{port}?mode=listener&{QUERY}"))
    with feeding(clip, spec, settings=SETTINGS) as feed:
        assert feed.output.state == "connecting"
        numbers, sounds = [], 0
        for _ in range(20):  # until it listens
            with SrtReader(SrtAddress("127.0.0.1", port, passphrase=SECRET), PATIENCE_S) as reader:
                if reader.read(188):
                    with av.open(reader, format="mpegts", options={"probesize": "200000"}) as container:
                        assert isinstance(container, av.container.InputContainer)
                        for frame in container.decode(container.streams.video[0], container.streams.audio[0]):
                            if isinstance(frame, av.VideoFrame):
                                numbers.append(number_in(frame))
                            else:
                                sounds += 1
                            if len(numbers) > 30 and sounds > 20:
                                break
                    break
        assert len(numbers) > 30
        assert numbers == [(numbers[0] + n) % 60 for n in range(len(numbers))]
        feed.until("live")
        feed.until("reconnecting")
    assert "the other side closed the connection" in feed.reasons()


def test_pausing_an_output_that_waits(clip: Path) -> None:
    spec = OutputSpec(Address.read(f"srt://127.0.0.1:{free_port()}?mode=listener"))
    with feeding(clip, spec, settings=SETTINGS) as feed:
        until(lambda: feed.fan_out._outputs[1]._writer is not None, "it has started")
        feed.fan_out.pause(1)
        feed.until("paused")


@pytest.mark.slow
def test_an_output_whose_receiver_is_frozen(clip: Path) -> None:
    """The SRT library gives it up after 5 s; the output comes back when the receiver does."""
    port = free_port()
    spec = OutputSpec(Address.read(f"srt://127.0.0.1:{port}"))
    with receiver(port) as peer, feeding(clip, spec, settings=SETTINGS) as feed:
        feed.until("live")
        peer.process.send_signal(signal.SIGSTOP)
        feed.until("reconnecting")
        peer.process.send_signal(signal.SIGCONT)
        feed.until("live", 2)
    assert "the other side closed the connection" in feed.reasons()


def test_an_address_is_checked_before_anything_starts() -> None:
    for query, reason in (("latency=x", "latency"), ("passphrase=short", "passphrase"), ("mode=rendezvous", "mode")):
        address = Address.read(f"srt://127.0.0.1:9000?{query}")
        with pytest.raises(UsageError, match=reason):
            SrtOutput.check(OutputSpec(address), SETTINGS)
        with pytest.raises(UsageError, match=reason):
            open_live_source(address, SourceOptions(), SETTINGS)
