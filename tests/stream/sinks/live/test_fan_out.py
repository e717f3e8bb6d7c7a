"""Several outputs at once: shared encodes, adding and removing, files, and outputs that cannot work."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import av
import pytest

from stream.address import Address
from stream.errors import DiskError, RemoteError, UnsupportedOutput, UsageError
from stream.picture.frames import VideoInfo
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live import protocols
from stream.sinks.live.encodes import Encodes, video_key
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.packet_output import PacketOutput
from stream.sinks.live.packets import Packet, Tracks
from stream.sinks.live.protocols import PROTOCOLS, OutputProtocol, protocol_of
from stream.sinks.live.spec import OutputSpec, OutputStatus
from tests.feeding import INFO, SIZE, Feed, feeding, frame, missing, number_of
from tests.waiting import until

SETTINGS = Settings(hw_encode=False, rtsp_retry_s=0.05, output_timeout_s=2)


class Memory:
    """A packet output that keeps its packets, in `written` of its class by the address's name.

    Connections fail while `failing` contains its name, and block while `gate` is clear.
    """

    written: ClassVar[dict[str, list[Packet]]] = {}
    tracks: ClassVar[dict[str, Tracks]] = {}
    failing: ClassVar[dict[str, Exception]] = {}
    gate = threading.Event()

    @classmethod
    def check(cls, spec: OutputSpec, settings: Settings) -> None: ...

    @classmethod
    def from_spec(cls, spec: OutputSpec, settings: Settings, request_key: Callable[[], None]) -> "Memory":
        return cls(spec.address.name)

    def __init__(self, name: str) -> None:
        self._name, self._aborted = name, threading.Event()

    def open(self, tracks: Tracks) -> None:
        self._fail()
        self.tracks[self._name] = tracks
        self.written[self._name] = []

    def write(self, packet: Packet) -> None:
        self._fail()
        while self._name.startswith("slow") and not self.gate.wait(0.01):
            if self._aborted.is_set():
                raise RemoteError("aborted")
        self.written[self._name].append(packet)

    def _fail(self) -> None:
        if self._name in self.failing:
            raise self.failing[self._name]

    def close(self) -> None: ...

    def abort(self) -> None:
        self._aborted.set()


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> type[Memory]:
    """The scheme memory:NAME, with the writer `Memory`."""
    protocol = OutputProtocol(f"{__name__}:Memory", sound=frozenset({"aac"}))
    monkeypatch.setitem(PROTOCOLS, "memory", protocol)
    monkeypatch.setitem(PROTOCOLS, "call", OutputProtocol(f"{__name__}:Memory", colours="bt601", baseline=True))
    for kept in (Memory.written, Memory.tracks, Memory.failing):
        kept.clear()
    Memory.gate.clear()
    return Memory


def specs(*texts: str, **fields: Any) -> list[OutputSpec]:
    return [OutputSpec(Address.read(text, ("memory", "call")), **fields) for text in texts]


def fan_out(*texts: str, on_state: Callable[[OutputStatus], object] = lambda status: None) -> FanOut:
    return FanOut(specs(*texts), Options(), SETTINGS, on_state)


def test_every_output_gets_all_packets_from_a_keyframe_at_zero(memory: type[Memory]) -> None:
    sink = fan_out("memory:a", "memory:b")
    with feeding(sink):
        until(lambda: len(memory.written) == 2 and min(map(len, memory.written.values())) > 20)
    for packets in memory.written.values():
        assert packets[0].key
        assert packets[0].dts == 0
        assert {second.dts - first.dts for first, second in pairwise(packets)} == {3600}
    assert [(status.state, status.dropped) for status in sink.outputs()] == [("ended", 0)] * 2
    assert [status.frames for status in sink.outputs()] == [len(memory.written[name]) for name in "ab"]


def test_equal_outputs_share_one_encode_and_different_ones_do_not() -> None:
    encodes = Encodes(INFO, SETTINGS)
    requests = [*specs("memory:a", "memory:b"), *specs("memory:c", bitrate=900_000), *specs("memory:d", rate=10.0)]
    requests += specs("call:e")
    shares = [encodes.join(spec, protocol_of(spec.address), lambda packet: None) for spec in requests]
    assert len({id(share._video) for share in shares}) == 4
    assert shares[0]._video is shares[1]._video
    for share in shares:
        share.leave()
    assert encodes._video == {}, "encodes without outputs end"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode")]


def test_the_encode_that_an_output_needs() -> None:
    (spec,) = specs("memory:a", bitrate=700_000, rate=12.5)
    key = video_key(spec, PROTOCOLS["call"], INFO)
    assert (key.width, key.height, key.bitrate, key.rate) == (*SIZE, 700_000, 12.5)
    assert (key.colours, key.baseline) == ("bt601", True)
    assert video_key(
        specs("memory:a")[0], PROTOCOLS["memory"], VideoInfo(1280, 720, Fraction(1), Fraction(30))
    ).bitrate > (2_000_000)


@pytest.mark.long
def test_outputs_are_added_paused_resumed_and_removed_while_it_runs(memory: type[Memory]) -> None:
    states: list[str] = []
    sink = fan_out("memory:a", on_state=lambda status: states.append(str(status)))
    with feeding(sink):
        until(lambda: memory.written.get("a"))
        number = sink.add(specs("memory:b")[0])
        assert number == 2
        until(lambda: len(memory.written.get("b", [])) > 3)
        assert memory.written["b"][0].key
        sink.pause(2)
        until(lambda: sink.outputs()[1].state == "paused")
        count = len(memory.written["b"])
        until(lambda: len(memory.written["a"]) > 30)
        assert len(memory.written["b"]) == count
        sink.resume(2)
        until(lambda: sink.outputs()[1].state == "live" and len(memory.written["b"]) > 3)
        sink.remove(2)
        assert [status.id for status in sink.outputs()] == [1]
        assert sink.add(specs("memory:c", paused=True)[0]) == 3, "numbers are not used again"
        with pytest.raises(UsageError, match="there is no output 2"):
            sink.pause(2)
    of_second = [state.rpartition(": ")[2] for state in states if state.startswith("output 2")]
    assert of_second == ["live", "paused", "connecting", "live", "ended"]
    assert not missing([packet.dts // 3600 for packet in memory.written["a"]])
    assert "c" not in memory.written


@pytest.mark.slow
@pytest.mark.alone
def test_a_failing_output_is_retried_reported_once_and_costs_the_others_nothing(memory: type[Memory]) -> None:
    memory.failing["b"] = RemoteError("connection refused")
    states: list[str] = []
    sink = fan_out("memory:a", "memory:b", on_state=lambda status: states.append(str(status)))
    with feeding(sink):
        until(lambda: any("output 2" in state for state in states))
        until(lambda: len(memory.written.get("a", [])) > 20)
        assert [state for state in states if "output 2" in state] == [
            "output 2 memory:b: reconnecting: connection refused"
        ]
        del memory.failing["b"]
        until(lambda: len(memory.written.get("b", [])) > 3)
        memory.failing["b"] = ValueError("secret text of a bug")
        until(lambda: sink.outputs()[1].state == "reconnecting")
    assert "secret text" not in "".join(states)
    assert states[-1 - (len(states) and "output 1" in states[-1])].startswith("output 2 memory:b: ")
    first = sink.outputs()[0]
    assert (first.frames, first.dropped) == (len(memory.written["a"]), 0)
    assert not missing([packet.dts // 3600 for packet in memory.written["a"]])


@pytest.mark.long
def test_a_blocked_output_costs_the_others_nothing_and_continues_with_a_keyframe(
    memory: type[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.sinks.live.packet_output.PACKETS", 30)
    sink = fan_out("memory:a", "memory:slow")
    with feeding(sink):
        until(lambda: sink.outputs()[1].dropped > 20)
        memory.gate.set()
        until(lambda: len(memory.written["slow"]) > 40)
    numbers = [packet.dts // 3600 for packet in memory.written["slow"]]
    lost = missing(numbers)
    after = next(packet for packet in memory.written["slow"] if lost and packet.dts // 3600 > lost[0])
    assert lost
    assert after.key
    assert sink.outputs()[0].dropped == 0
    assert not missing([packet.dts // 3600 for packet in memory.written["a"]])


def test_a_callback_that_fails_does_not_end_the_output(memory: type[Memory]) -> None:
    def fail(status: OutputStatus) -> None:
        raise ValueError(status)

    with feeding(fan_out("memory:a", on_state=fail)):
        until(lambda: len(memory.written.get("a", [])) > 5)


@pytest.mark.long
def test_frames_of_files_are_all_there(tmp_path: Path) -> None:
    sink = fan_out(str(tmp_path / "a.mkv"), str(tmp_path / "b.mp4"))
    with feeding(sink) as feed:
        until(lambda: feed.next > 30)
    for name in ("a.mkv", "b.mp4"):
        with av.open(tmp_path / name) as container:
            numbers = [number_of(picture) for picture in container.decode(video=0)]
        assert numbers == list(range(feed.next)), name
    assert {path.name for path in tmp_path.iterdir()} == {"a.mkv", "b.mp4"}


@pytest.mark.long
def test_a_file_that_is_paused_continues_in_another_one(tmp_path: Path) -> None:
    sink = fan_out(str(tmp_path / "a.mp4"))
    with feeding(sink):
        until(lambda: sink.outputs()[0].frames > 10)
        sink.pause(1)
        until(lambda: (tmp_path / "a.mp4").exists())
        sink.resume(1)
        until(lambda: sink.outputs()[0].state == "live" and sink.outputs()[0].frames > 25)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "a-2.mp4"}


def test_an_output_that_is_removed_while_it_is_paused_leaves_no_encode(tmp_path: Path) -> None:
    sink = fan_out(str(tmp_path / "a.mp4"))
    sink.pause(1)
    with feeding(sink):
        sink.resume(1)
        sink.pause(1)
        until(lambda: sink.outputs()[0].state == "paused")
        sink.remove(1)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith(("encode", "output"))]


@pytest.mark.long
def test_recordings_are_kept_when_the_video_fails(tmp_path: Path) -> None:
    sink = fan_out(str(tmp_path / "a.mp4"), str(tmp_path / "b.mkv"), "memory:c")
    feed = Feed(sink)
    until(lambda: min(status.frames for status in sink.outputs()[:2]) > 20)
    feed.stop(sink.abort)
    for name in ("a.mp4", "b.mkv"):
        with av.open(tmp_path / name) as container:
            assert len(list(container.decode(video=0))) >= 1, name


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("gopher://ann:hush@host/x", UsageError, "gopher:// is not supported as an output"),
        ("frames://host", UsageError, "frames:// is not supported as an output"),
        ("rtmp:hush", UsageError, "write the address as rtmp://HOST"),
        ("none/there.mp4", DiskError, "the folder"),
        ("none/there.mkv", DiskError, "the folder"),
        ("out.xyz", UnsupportedOutput, ".xyz is not an output format"),
    ],
)
def test_outputs_that_cannot_work_are_refused_before_anything_starts(
    text: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as refused:
        FanOut([OutputSpec(Address.read(text, ("rtmp",)))], Options(), SETTINGS)
    assert message in str(refused.value)
    assert "hush" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_transparency_is_refused_where_there_is_none() -> None:
    with pytest.raises(UnsupportedOutput, match="rtmp:// has no transparency"):
        FanOut(specs("rtmp://host/live/x"), Options.read(background="transparent"), SETTINGS)


def test_secrets_are_neither_in_reprs_nor_in_states() -> None:
    (spec,) = specs("rtmp://ann:hush@host:1/live/hush?key=hush", token="hush")
    sink = FanOut([spec], Options(), SETTINGS)
    assert "hush" not in repr(spec) + str(spec) + repr(sink.outputs()) + str(sink.outputs()[0])
    assert sink.outputs()[0].address == "rtmp://host:1"


@pytest.mark.parametrize("scheme", sorted(PROTOCOLS))
def test_every_protocol_has_a_writer(scheme: str) -> None:
    from stream.registry import find

    protocol = PROTOCOLS[scheme]
    writer = find(protocol.writer)
    assert all(callable(getattr(writer, name)) for name in ("check", "from_spec", "open", "write", "close", "abort"))
    assert protocol.takes in ("packets", "frames")
    assert protocols.listed().count(f"{scheme}:") <= 1


def test_an_output_that_comes_too_late_is_refused(memory: type[Memory]) -> None:
    sink = fan_out("memory:a")
    feed = Feed(sink)
    feed.stop(sink.abort)
    with pytest.raises(UsageError, match="has ended"):
        sink.add(specs("memory:b")[0])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("encode", "output"))]


@pytest.mark.parametrize(("name", "later"), [("a.mp4", "a-2.mp4"), ("live.m3u8", "live.m3u8")])
def test_the_name_of_a_file_that_is_continued(name: str, later: str, tmp_path: Path) -> None:
    sink = fan_out(str(tmp_path / name))
    output = sink._outputs[1]
    output._connections = 2
    assert output._spec().address.path.name == later


def test_totals_keep_what_removed_outputs_have_sent_and_count_reconnects(memory: type[Memory]) -> None:
    sink = fan_out("memory:a", "memory:b")
    with feeding(sink):
        until(lambda: min((status.frames for status in sink.outputs()), default=0) > 10)
        assert [status.reconnects for status in sink.outputs()] == [0, 0]
        memory.failing["b"] = RemoteError("connection refused")
        until(lambda: sink.outputs()[1].state == "reconnecting")
        until(lambda: sink.totals().dropped > 3)
        del memory.failing["b"]
        until(lambda: sink.outputs()[1].reconnects == 1)
        sink.pause(1)
        until(lambda: sink.outputs()[0].state == "paused")
        sink.resume(1)
        until(lambda: sink.outputs()[0].state == "live")
        assert sink.outputs()[0].reconnects == 0, "nothing was lost"
        before = sink.totals()
        sink.remove(2)
        after = sink.totals()
    assert after.frames >= before.frames > 20
    assert (after.reconnects, after.dropped >= before.dropped > 3) == (1, True)


def test_dropped_frames_stay_counted_when_an_output_connects_again(memory: type[Memory]) -> None:
    sink = fan_out("memory:a")
    with feeding(sink):
        until(lambda: sink.outputs()[0].frames > 3)
        output = sink._outputs[1]
        assert isinstance(output, PacketOutput)
        assert output._share is not None
        output._share._dropped_before -= 7  # as if encoding had been too slow
        until(lambda: sink.outputs()[0].dropped >= 7)
        memory.failing["a"] = RemoteError("connection refused")
        until(lambda: sink.outputs()[0].state == "reconnecting")
        assert sink.outputs()[0].dropped >= 7


@pytest.mark.parametrize("name", ["memory:a", "{folder}/a.mkv"])
def test_the_latency_is_from_the_arrival_of_a_frame(name: str, tmp_path: Path) -> None:
    sink = fan_out(name.format(folder=tmp_path))
    sink.open(INFO)
    until(lambda: sink.outputs()[0].state == "live")
    for number in range(20):
        sink.write(replace(frame(number), arrived_s=time.monotonic() - 5.0))
    until(lambda: sink.outputs()[0].frames >= 10)
    assert sink.outputs()[0].latency_ms >= 5000
    sink.close()
