"""Outputs that a child process writes, at real receivers: nginx, GStreamer and FFmpeg. And those that never answer."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from stream.address import Address
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.spec import OutputSpec, OutputStatus
from tests.feeding import Receiver, feeding, missing
from tests.gst_rtsp import GstRtspServer
from tests.rtmp import KEY, RtmpServer
from tests.servers import free_port
from tests.tls_front import TlsFront, make_certificate
from tests.waiting import PATIENCE_S, until

SETTINGS = Settings(hw_encode=False, rtsp_retry_s=0.2, output_timeout_s=2)
SECRET = "hush-hush"


class States:
    """Collects what a FanOut reports. lines: as text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, status: OutputStatus) -> None:
        self.lines.append(str(status))

    def wait_for(self, text: str, count: int = 1) -> None:
        until(lambda: sum(text in line for line in self.lines) >= count, f"{text} in {self.lines}")


def fan_out(
    states: States,
    *addresses: str,
    settings: Settings = SETTINGS,
    insecure: bool = False,
    bitrate: int | None = None,
) -> FanOut:
    specs = [OutputSpec(Address.read(address), bitrate, insecure=insecure) for address in addresses]
    return FanOut(specs, Options(), settings, states)


@pytest.fixture
def states() -> States:
    return States()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """(key and certificate, certificate alone)"""
    return make_certificate(tmp_path)


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never reads or writes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.long
def test_all_frames_arrive_over_rtsp_rtmp_and_udp(states: States) -> None:
    rtsp, rtmp, udp = (f"127.0.0.1:{free_port()}" for _ in range(3))
    receivers = [
        Receiver(f"rtsp://{rtsp}/x", rtsp_flags="listen", listen_timeout=str(round(PATIENCE_S))),
        Receiver(f"rtmp://{rtmp}/live/x", "flv", listen="1", timeout=str(round(PATIENCE_S))),
        Receiver(f"udp://{udp}?timeout=3000000", "mpegts"),
    ]
    sink = fan_out(states, f"rtsp://{rtsp}/x", f"rtmp://{rtmp}/live/x", f"udp://{udp}")
    with feeding(sink):
        until(lambda: all(receiver.numbers for receiver in receivers), "pictures at all receivers")
        until(lambda: min(status.frames for status in sink.outputs()) > 40)
    for receiver in receivers:
        receiver.wait(PATIENCE_S)
    for status, receiver in zip(sink.outputs(), receivers, strict=True):
        assert not missing(receiver.numbers)
        assert (status.frames, status.dropped) == (len(receiver.numbers), 0)
    assert [line.split(": ")[1:] for line in states.lines if line.startswith("output 1")] == [["live"], ["ended"]]


@pytest.mark.long
def test_an_rtmp_server_that_dies_and_returns(states: States, tmp_path: Path) -> None:
    server = RtmpServer(tmp_path / "nginx")
    try:
        sink = fan_out(states, server.url("x"))
        with feeding(sink):
            states.wait_for(": live")
            server.kill()
            states.wait_for("reconnecting: connection refused")
            server.start()
            states.wait_for(": live", 2)
            until(lambda: "<name>x</name>" in server.stat(), "the stream at the server")
        (status,) = sink.outputs()
        assert status.dropped > 0
    finally:
        server.kill()
    assert states.lines[-1] == f"output 1 rtmp://127.0.0.1:{server.port}: ended"
    assert len(set(states.lines)) == len(states.lines) - 1, "only `live` is there twice"


def test_a_wrong_stream_key_is_a_refusal_that_shows_no_key(states: States, tmp_path: Path) -> None:
    server = RtmpServer(tmp_path / "nginx")
    try:
        sink = fan_out(states, server.url(f"x?key={SECRET}", "keyed"), server.url(f"y?key={KEY}", "keyed"))
        with feeding(sink):
            states.wait_for("output 1 ")
            states.wait_for("output 2 rtmp://127.0.0.1")
            until(lambda: sink.outputs()[1].state == "live")
        assert not [line for line in states.lines if SECRET in line or KEY in line]
        assert any("output 1" in line and "reconnecting: " in line for line in states.lines), states.lines
        assert SECRET not in repr(sink.outputs())
    finally:
        server.kill()


def test_recorded_by_gstreamer_over_tls(states: States, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    pem, authority = certificate
    server = GstRtspServer("--tls", pem, "--user", "ann:hush", "--record", tmp_path / "out.mkv")
    try:
        url = f"rtsps://ann:hush@127.0.0.1:{server.port}/rec"
        trusting = SETTINGS.model_copy(update={"ca_file": authority})
        for sink, expected in (
            (fan_out(states, url), "reconnecting: its certificate is not trusted (self-signed certificate)"),
            (fan_out(states, url.replace("hush", "wrong"), insecure=True), "wrong user or password (401)"),
            (fan_out(states, url, settings=trusting), ": live"),
        ):
            with feeding(sink):
                states.wait_for(expected)
        assert "hush" not in "".join(states.lines)
    finally:
        server.kill()


def test_rtmp_over_tls_is_verified(states: States, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    pem, authority = certificate
    server = RtmpServer(tmp_path / "nginx")
    tls = TlsFront(pem, server.port)
    try:
        url = f"rtmps://127.0.0.1:{tls.port}/live/{SECRET}"
        trusting = SETTINGS.model_copy(update={"ca_file": authority})
        for sink, expected in (
            (fan_out(states, url), "reconnecting: its certificate is not trusted (self-signed certificate)"),
            (fan_out(states, url, settings=trusting), "output 1 rtmps://127.0.0.1"),
        ):
            with feeding(sink):
                states.wait_for(expected)
                if "not trusted" not in expected:
                    until(partial(has_sent, sink))
        assert SECRET not in "".join(states.lines)
    finally:
        tls.close()
        server.kill()


@pytest.mark.long
def test_a_receiver_that_never_answers_is_given_up(states: States) -> None:
    with silent_server() as port:
        sink = fan_out(states, f"rtmp://127.0.0.1:{port}/live/x", f"rtsp://127.0.0.1:{port}/x")
        with feeding(sink):
            states.wait_for("reconnecting: the receiver did not answer within 2 s", 2)


@pytest.mark.long
def test_secrets_are_not_in_the_process_list(states: States) -> None:
    with silent_server() as port:
        sink = fan_out(states, f"rtmp://ann:{SECRET}@127.0.0.1:{port}/live/{SECRET}")
        with feeding(sink):
            children = until(lambda: [line for line in command_lines() if b"push_child" in line])
            assert not [line for line in children if SECRET.encode() in line]


@pytest.mark.long
def test_an_output_ends_soon_although_its_receiver_never_answers(states: States) -> None:
    patient = SETTINGS.model_copy(update={"output_timeout_s": 60})
    with silent_server() as port:
        sink = fan_out(states, f"rtmp://127.0.0.1:{port}/live/x", settings=patient)
        with feeding(sink):
            until(lambda: [line for line in command_lines() if b"push_child" in line])
            began_s = time.monotonic()
            sink.remove(1)
        assert time.monotonic() - began_s < 50
    assert not [thread for thread in threading.enumerate() if thread.name == "output 1"]


def has_sent(sink: FanOut) -> bool:
    return sink.outputs()[0].frames > 10


def command_lines() -> list[bytes]:
    """Those of this process's children."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
    return found
