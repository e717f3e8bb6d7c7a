"""The other sides of SRT connections: srt-live-transmit and ffmpeg as listeners on loopback."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stream.serve.die_with_parent import tied
from stream.srt import Program, find_program
from tests.waiting import until

PASSPHRASE = "correct horse battery 5'%&#="
PACKET = 1316
_PACE_S = 0.01  # per SRT packet: live SRT drops what is sent in bursts


def installed(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def only(name: str, folder: Path) -> Program:
    """Our side, with this program as the only one on PATH. Skips the test if it is missing or has no SRT."""
    path = installed(name)
    folder.mkdir()
    os.symlink(path, folder / name)
    try:
        return find_program(str(folder))
    except Exception as exc:  # noqa: BLE001
        pytest.skip(f"{name} has no SRT here: {exc}")


class Receiver:
    """A listener that receives. process: srt-live-transmit, which passes each packet on by UDP."""

    def __init__(self, process: "subprocess.Popen[bytes]", packets: socket.socket) -> None:
        self.process, self._packets, self._received = process, packets, b""

    def received(self) -> bytes:
        """All that has arrived so far."""
        with suppress(BlockingIOError):
            while True:
                self._received += self._packets.recv(2048, socket.MSG_DONTWAIT)
        return self._received


@contextmanager
def receiver(port: int, passphrase: str = "") -> Iterator[Receiver]:
    url = f"srt://127.0.0.1:{port}?mode=listener" + (f"&passphrase={passphrase}" if passphrase else "")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
        packets.bind(("127.0.0.1", 0))
        target = f"udp://127.0.0.1:{packets.getsockname()[1]}"
        with _running([installed("srt-live-transmit"), "-q", "-chunk:1316", url, target], port) as process:
            yield Receiver(process, packets)


@contextmanager
def sender(port: int, clip: Path, passphrase: str = "", folder: Path = Path()) -> Iterator["subprocess.Popen[bytes]"]:
    """A listener that sends an MPEG-TS file at its own pace, again and again. folder: for a file."""
    secrets = folder / "preset"
    secrets.write_text(f"passphrase={passphrase}\n" if passphrase else "# none\n")
    argv = [installed("ffmpeg"), "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip)]
    argv += ["-c", "copy", "-f", "mpegts", "-fpre", str(secrets), f"srt://127.0.0.1:{port}?mode=listener&pkt_size=1316"]
    with _running(argv, port) as process:
        yield process


@contextmanager
def _running(argv: list[str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        tied(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _listens(port), "it listens")
        yield process
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    """Whether a process has this UDP port."""
    return any(f":{port:04X} " in line for line in Path("/proc/net/udp").read_text().splitlines())


def paced(data: bytes) -> Iterator[bytes]:
    """The data in pieces of an SRT packet, as slow as a live stream."""
    for start in range(0, len(data), PACKET):
        yield data[start : start + PACKET]
        time.sleep(_PACE_S)
