"""Addresses and options that make no sense: every one is accepted or refused in a line, and none is contacted."""

import random
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.errors import MatteboxError
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.protocols import schemes as output_schemes
from stream.sinks.live.spec import OutputSpec
from stream.sources import SOURCES
from tests.commands.in_process import mattebox_here
from workers.runs.outputs import output_addresses

CASES = 400  # of each test
_HOSTS = (
    "127.0.0.1",
    "[::1]",
    "[::",
    "0x7f000001",
    "localhost",
    "",
    "a b",
    "ä",
    "\u202e",
    "127.0.0.1.",
    "%",
    "x" * 300,
)
_PORTS = ("", ":1", ":0", ":65536", ":-1", ":x", ":" + "9" * 40, "::")
_USERS = ("", "ann@", "ann:hush@", ":@", "@@", "ann:ha/sh@", "%40:%zz@", "a@b:c@")
_PATHS = (
    "",
    "/",
    "/live/key",
    "/a@b",
    "/../..",
    "/live.m3u8",
    "//",
    "/%00",
    "/%2e%2e/x",
    "/x" * 50,
    "/\x00",
    "/\r\nX: y",
)
_QUERIES = (
    "",
    "?",
    "?mode=listener",
    "?passphrase=short",
    "?latency=-1&x=y",
    "?localaddr=0.0.0.0",
    "?a=b&a",
    "#x",
    "?%",
)
_MARKS = ("://", ":", ":/", ":///", "", "://://")
_BITS = (_USERS, _HOSTS, _PORTS, _PATHS, _QUERIES)
_OPTIONS = ("--bitrate", "--rate", "--audio", "--segment", "--size", "--strength", "--view", "--key")
_MORE_OPTIONS = ("--background", "--engine", "--temporal", "--token", "--source-token", "--feather", "--roi")
_VALUES = (
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e309",
    "9" * 30,
    "1x1",
    "0x0",
    "99999x99999",
    "x",
    "#zzz",
    "off",
    "copy",
    "blur:9",
)
_MORE_VALUES = (
    "image:/nowhere",
    "color:",
    "1:2:3:4",
    "::",
    "ä",
    "\u202e",
    "two words",
    "\x00",
    "'",
    "--",
    "@/nowhere",
    "4M",
)


def addresses(seed: int, count: int, schemes: list[str]) -> Iterator[str]:
    """Addresses put together at random, some of them with changed characters."""
    rng = random.Random(seed)
    for _ in range(count):
        scheme = rng.choice([*schemes, "file", "concat", "pipe", "RTSP", "", "x" * 20, "-"])
        text = scheme + rng.choice(_MARKS) + "".join(rng.choice(bits) for bits in _BITS)
        for _ in range(rng.choice((0, 0, 1, 3))):
            place = rng.randrange(len(text) + 1)
            text = text[:place] + rng.choice(string.printable + "é\u0000") + text[place + rng.randrange(2) :]
        yield text


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the texts are names of files."""
    monkeypatch.chdir(tmp_path)


def assert_refused(done: "subprocess.CompletedProcess[str]", address: str) -> None:
    assert done.returncode in (1, 2), (address, done)
    assert "Traceback" not in done.stderr, (address, done)
    assert done.stderr.count("\n") < 12, "a line, or typer's frame around one"
    assert_no_password(address, done.stderr)


def assert_no_password(address: str, text: str) -> None:
    """Of addresses of servers; any other text is the name of a file, which errors quote."""
    scheme, mark, _ = address.partition("://")
    if mark and scheme.lower() != "file":
        assert "hush" not in text, address


@pytest.mark.slow
def test_sources_and_options_of_stream() -> None:
    """A duration of 0 ends the command after its checks, before anything is contacted."""
    rng = random.Random(1)
    for address in addresses(2, CASES, sorted(SOURCES)):
        words = [
            word
            for _ in range(rng.randrange(3))
            for word in (rng.choice(_OPTIONS + _MORE_OPTIONS), rng.choice(_VALUES + _MORE_VALUES))
        ]
        done = mattebox_here("stream", address, "out.mkv", "--engine", "chroma", *words, "--duration", "0")
        assert_refused(done, address)


@pytest.mark.slow
def test_sources_of_camera() -> None:
    for address in addresses(4, CASES // 4, sorted(SOURCES)):
        done = mattebox_here("camera", "--source", address, "--device", "file.mkv", "--engine", "chroma")
        assert_refused(done, address)


def test_outputs() -> None:
    settings, refused = Settings(), 0
    for address in addresses(3, CASES, output_schemes()):
        try:
            (output,) = output_addresses([address])
            FanOut([OutputSpec(output)], Options(), settings)
            text = f"{output} {output!r}"
        except (MatteboxError, OSError) as exc:  # a name that is too long
            refused, text = refused + 1, str(exc)
        assert_no_password(address, text)
    assert CASES // 3 < refused < CASES, "most are refused, but not all"
