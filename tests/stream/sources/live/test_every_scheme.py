"""Every scheme of live sources: what is shown while the source is refused, silent or missing.

The sources that die in mid-stream are in `test_network_restarts.py`, `tests/stream/srt/test_live.py`,
`tests/stream/rtc/test_whep_source.py` and `tests/commands/test_camera_source.py`; what may not be opened at all is in
`tests/stream/fetch/test_live_urls.py`.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from stream.address import Address
from stream.errors import UsageError
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.network import DEFAULT_SIZE, NetworkSource
from stream.sources.live.protocols import PROTOCOLS
from stream.srt import find_program
from tests.servers import free_port
from tests.tls_front import TlsFront, make_certificate

PATIENT = Settings(rtsp_timeout_s=60, rtsp_retry_s=0.2, slate_after_s=0.1)
IMPATIENT = Settings(rtsp_timeout_s=0.8, rtsp_retry_s=0.2, slate_after_s=0.1, connect_timeout_s=1)
ADDRESSES = {
    "rtsp": ["rtsp://ann:hush@127.0.0.1:{}/cam"],
    "rtsps": ["rtsps://ann:hush@127.0.0.1:{}/cam"],
    "rtmp": ["rtmp://ann:hush@127.0.0.1:{}/live/hush"],
    "rtmps": ["rtmps://ann:hush@127.0.0.1:{}/live/hush"],
    "http": [f"http://ann:hush@127.0.0.1:{{}}/{name}" for name in ("hush.ts", "hush.m3u8", "hush.mjpeg")],
    "https": [f"https://ann:hush@127.0.0.1:{{}}/{name}" for name in ("hush.ts", "hush.m3u8")],
    "whep+http": ["whep+http://127.0.0.1:{}/whep/hush"],
    "whep+https": ["whep+https://127.0.0.1:{}/whep/hush"],
    "srt": ["srt://127.0.0.1:{}?streamid=hush"],
    "udp": ["udp://127.0.0.1:{}"],
}
"""By the scheme; {} stands for the port."""
NO_TCP = ("srt", "udp")
ALL = [address for addresses in ADDRESSES.values() for address in addresses]
TCP = [address for scheme, addresses in ADDRESSES.items() if scheme not in NO_TCP for address in addresses]
SECURE = [address for address in TCP if PROTOCOLS[address.partition(":")[0]].tls or "whep+https" in address]


def lost(address: str, settings: Settings = PATIENT, insecure: bool = True) -> SourceState:
    """The state of a source that shows no picture. Checks what it shows instead."""
    states: list[SourceState] = []
    source = NetworkSource(Address.read(address), settings, SourceOptions(insecure=insecure, on_state=states.append))
    frames = []
    try:
        for item in source:
            frames += [item] if isinstance(item, Frame) else []
            if len(frames) >= 3 and states:
                break
    finally:
        source.close()
    assert all(frame.slate and (frame.width, frame.height) == DEFAULT_SIZE for frame in frames)
    assert {state.name for state in states} == {"reconnecting"}
    assert "hush" not in "".join(map(str, states))
    assert "127.0.0.1" not in "".join(state.reason for state in states), "the address is not repeated"
    return states[0]


def test_every_scheme_is_here() -> None:
    assert {*ADDRESSES} == {scheme for scheme, protocol in PROTOCOLS.items() if not protocol.device}


@pytest.mark.parametrize(
    "address", [pytest.param(each, marks=pytest.mark.slow) if each.startswith("srt") else each for each in ALL]
)
def test_nobody_is_there(address: str) -> None:
    if address.startswith("srt"):
        try:
            find_program()
        except UsageError as exc:
            pytest.skip(str(exc))
    scheme = address.partition(":")[0]
    settings = {"udp": IMPATIENT, "srt": PATIENT.model_copy(update={"rtsp_timeout_s": 10})}.get(scheme, PATIENT)
    reason = lost(address.format(free_port()), settings).reason
    expected = {"srt": "nobody listens at this address", "udp": "the source did not answer within 0.8 s"}
    if address.endswith(".m3u8"):
        assert reason == "the playlist cannot be reached (Connection refused)"
    else:
        assert reason == expected.get(scheme, "connection refused")


@contextmanager
def server(reply: bytes | None) -> Iterator[int]:
    """The port of a server that accepts connections, sends `reply` and ends; None: it sends nothing, and does not
    end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, reply), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, reply: bytes | None) -> None:
    kept = []
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            kept.append(client)
            if reply is not None:
                with suppress(OSError), client:
                    client.sendall(reply)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65_536):  # else its request would reset the connection
                        pass
    for client in kept:
        client.close()


@pytest.mark.long
@pytest.mark.parametrize("address", TCP)
def test_a_server_that_accepts_and_never_answers(address: str) -> None:
    with server(None) as port:
        reason = lost(address.format(port), IMPATIENT).reason
    assert "answer" in reason or "sent nothing" in reason, reason


@pytest.mark.parametrize("address", TCP)
@pytest.mark.parametrize("reply", [b"", b"\x00" * 4096, b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-server\r\n"], ids=repr)
def test_a_server_of_something_else(address: str, reply: bytes) -> None:
    with server(reply) as port:
        assert lost(address.format(port)).reason


@pytest.mark.parametrize("address", SECURE)
def test_a_certificate_that_is_not_trusted(address: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    front = TlsFront(make_certificate(tmp_path_factory.mktemp("tls"))[0], free_port())
    reason = lost(address.format(front.port), insecure=False).reason
    front.close()
    name = "the playlist cannot be reached" if address.endswith(".m3u8") else "its certificate is not trusted"
    assert reason == f"{name} (self-signed certificate)"
