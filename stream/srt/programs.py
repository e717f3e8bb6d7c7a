"""Programs that have the SRT library: how they are found, and their commands for reading and for writing MPEG-TS.

ffmpeg gets a passphrase and a stream id through an inherited pipe, so they are not in the process list, if it can read
them there: for writing, not every version can. For srt-live-transmit they can only be arguments.
"""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from tempfile import NamedTemporaryFile
from urllib.parse import urlencode

from stream.errors import UsageError
from stream.srt.address import SrtAddress

PACKET = 1316  # bytes of MPEG-TS in an SRT packet: 7 x 188
MISSING = (
    "SRT needs a program that has the SRT library: ffmpeg or srt-live-transmit; "
    "install one of them: apt install ffmpeg, apt install srt-tools, or brew install srt"
)
_PROBE_S = 10.0
_RAW_INPUT = ("-f", "data", "-raw_packet_size", str(PACKET), "-probesize", "32", "-analyzeduration", "0")
_RAW_OUTPUT = ("-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data")


@dataclass(frozen=True)
class Command:
    """argv: the command. secrets: what it reads from the inherited pipe. connected: one of these texts is in a line of
    its stderr once it is connected."""

    argv: tuple[str, ...] = field(repr=False)
    secrets: str = field(repr=False)
    connected: tuple[str, ...]


CommandFor = Callable[[SrtAddress, float, int], Command]
"""The command for an address, a limit in seconds on connecting as a caller, and the number of the inherited pipe."""


@dataclass(frozen=True)
class Program:
    """A program on this machine. exposed: what has its passphrase in the process list, "" for nothing."""

    name: str
    path: str
    exposed: str
    read: CommandFor
    write: CommandFor


def find_program(path: str | None = None) -> Program:
    """The first program on PATH that has SRT. path: folders to search instead. Raises UsageError with the packages."""
    if (ffmpeg := shutil.which("ffmpeg", path=path)) and _has_srt(ffmpeg):
        hides = _reads_presets(ffmpeg)
        commands = partial(_ffmpeg_read, ffmpeg), partial(_ffmpeg_write, ffmpeg, hides)
        return Program("ffmpeg", ffmpeg, "" if hides else "outputs", *commands)
    if transmit := shutil.which("srt-live-transmit", path=path):
        commands = partial(_transmit_read, transmit), partial(_transmit_write, transmit)
        return Program("srt-live-transmit", transmit, "sources and outputs", *commands)
    raise UsageError(MISSING)


@lru_cache
def _has_srt(ffmpeg: str) -> bool:
    return b"srt" in _output([ffmpeg, "-hide_banner", "-protocols"]).split()


@lru_cache
def _reads_presets(ffmpeg: str) -> bool:
    """Whether options of an output's protocol can be in a file (-fpre): then an invalid one is an error.

    FFmpeg 5.1 reads them there; 9.0 reads only those of encoders.
    """
    copy = [ffmpeg, "-nostdin", "-v", "quiet", "-f", "data", "-i", "pipe:0", *_RAW_OUTPUT]
    with NamedTemporaryFile() as valid, NamedTemporaryFile() as invalid:
        for file, value in ((valid, b"1316"), (invalid, b"x")):
            file.write(b"blocksize=" + value)
            file.flush()
        results = [_output([*copy, "-fpre", file.name, "pipe:1"], b"data") for file in (valid, invalid)]
    return results == [b"data", b""]


def _output(command: Sequence[str], stdin: bytes = b"") -> bytes:
    """What a program writes; nothing if it fails or hangs."""
    try:
        found = subprocess.run(command, input=stdin, capture_output=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return found.stdout if found.returncode == 0 else b""


def _ffmpeg_url(address: SrtAddress, connect_s: float) -> str:
    values: dict[str, str | int] = {"mode": address.mode, "transtype": "live", "pkt_size": PACKET}
    values["latency"] = address.latency_ms * 1000  # microseconds
    if address.mode == "caller":
        values |= {"connect_timeout": round(connect_s * 1000)}
    if address.key_bytes:
        values["pbkeylen"] = address.key_bytes
    return f"srt://{address.host_and_port}?{urlencode(values)}"


def _secret_options(address: SrtAddress) -> dict[str, str]:
    """FFmpeg's options for them."""
    named = {"passphrase": address.passphrase, "streamid": address.stream_id}
    return {name: value for name, value in named.items() if value}


def _ffmpeg(program: str) -> tuple[str, ...]:
    return (program, "-nostdin", "-hide_banner", "-nostats", "-v", "info")


def _ffmpeg_read(program: str, address: SrtAddress, connect_s: float, pipe: int) -> Command:
    """Bytes are passed on unchanged where there are no secrets.

    Secrets can be read from a file only by the demuxer `concat`. It needs a second more to start.
    """
    url = _ffmpeg_url(address, connect_s)
    connected = ("Input #0",)
    if not address.is_secret:
        return Command((*_ffmpeg(program), *_RAW_INPUT, "-i", url, *_RAW_OUTPUT, "pipe:1"), "", connected)
    options = {**_secret_options(address), "probesize": "5000000", "analyzeduration": "1000000"}
    lines = [f"option {name} {_quoted(value)}" for name, value in options.items()]
    text = "\n".join(["ffconcat version 1.0", f"file {_quoted(url)}", *lines, ""])
    listed = ("-f", "concat", "-safe", "0", "-protocol_whitelist", "pipe,srt", "-i", f"pipe:{pipe}")
    copied = ("-map", "0:v?", "-map", "0:a?", "-c", "copy", "-flush_packets", "1", "-f", "mpegts", "pipe:1")
    return Command((*_ffmpeg(program), *listed, *copied), text, connected)


def _quoted(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"


def _ffmpeg_write(program: str, hides: bool, address: SrtAddress, connect_s: float, pipe: int) -> Command:
    """Each write of `PACKET` bytes to stdin becomes one SRT packet."""
    secrets = _secret_options(address)
    shown = [text for name, value in secrets.items() for text in (f"-{name}", value)]
    preset = ("-fpre", f"/dev/fd/{pipe}") if hides and secrets else shown
    stdin = (*_RAW_INPUT, "-blocksize", str(PACKET), "-i", "pipe:0")
    argv = (*_ffmpeg(program), *stdin, *_RAW_OUTPUT, *preset, _ffmpeg_url(address, connect_s))
    lines = [f"{name}={value}\n" for name, value in secrets.items() if hides]
    return Command(argv, "".join(lines), ("Output #0",))


_TRANSMIT_CONNECTED = ("SRT target connected", "Accepted SRT ", "SRT source connected")


def _transmit_read(program: str, address: SrtAddress, connect_s: float, pipe: int) -> Command:
    return Command((*_transmit(program), _transmit_url(address, connect_s), "file://con"), "", _TRANSMIT_CONNECTED)


def _transmit_write(program: str, address: SrtAddress, connect_s: float, pipe: int) -> Command:
    return Command((*_transmit(program), "file://con", _transmit_url(address, connect_s)), "", _TRANSMIT_CONNECTED)


def _transmit(program: str) -> tuple[str, ...]:
    # without -buffering it collects ten packets before it sends them
    return (program, "-v", "-a:no", "-buffering:1", f"-chunk:{PACKET}")


def _transmit_url(address: SrtAddress, connect_s: float) -> str:
    """srt-live-transmit decodes no percent-encoding, so a value cannot contain "&". Raises UsageError."""
    values = {"mode": address.mode, "latency": str(address.latency_ms), **_secret_options(address)}
    if any("&" in value for value in values.values()):
        raise UsageError('srt-live-transmit supports no "&" in passphrase and streamid; install ffmpeg with SRT')
    if address.mode == "caller":
        values["conntimeo"] = str(round(connect_s * 1000))
    if address.key_bytes:
        values["pbkeylen"] = str(address.key_bytes)
    return f"srt://{address.host_and_port}?" + "&".join(f"{name}={value}" for name, value in values.items())
