"""The inputs of a batch: the files of a folder or of a bucket, or a list of addresses. They are found one after the
other, while the batch runs, because there may be millions."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from stream import limits
from stream.errors import FetchError, InputError, UnreadableMedia, UsageError
from stream.fetch.safe_http import redacted_url
from stream.fetch.urls import parsed
from stream.records.formats import VIDEO_SUFFIXES
from stream.settings import Settings
from stream.sources.signatures import kind_of
from stream.storage.named import S3, Found, Place, open_place

_HTTP = ("http", "https")


@dataclass(frozen=True)
class Input:
    """A video.

    place, name: where it is, see `stream/storage/named.py`; name is the complete address if place is empty, which then
    is http(s). size, version: as in `Found`; 0 and "" for http(s). stem: the name of its result, without the suffix.
    """

    place: str
    name: str
    size: int
    version: str
    stem: str

    @property
    def address(self) -> str:
        """The address, for people: without a password."""
        return f"{self.place.rstrip('/')}/{self.name}" if self.place else redacted_url(self.name)


@dataclass(frozen=True)
class BadInput:
    """A line of a list that names no video, or a file whose name cannot be used. address: for people."""

    address: str
    error: InputError


def absolute(address: str) -> str:
    """The address of a place, the same on every machine: a path is made absolute. Raises UsageError."""
    scheme, mark, _ = address.partition("://")
    if address.startswith(S3):
        return address.rstrip("/")
    if mark and scheme.isalnum():
        raise UsageError(f"{scheme}:// is not supported here; use a folder, or {S3}BUCKET/PREFIX")
    return os.path.abspath(address)


def in_place(source: str, results: str, settings: Settings, folder: Path) -> Iterator[Input | BadInput]:
    """The videos of a folder or bucket and all its subfolders, recognised by their first bytes. Hidden files, and those
    below `results` are left out. source, results: from `absolute`. folder: for temporary files.

    A damaged file with the name of an output format is taken too, so that its error is seen. Raises UsageError,
    DiskError.
    """
    place, own = open_place(source, settings), _below(results, source)
    for found in place.files():
        if (own and found.name.startswith(own)) or not _is_video(place, found, folder):
            continue
        text = found.name.encode(errors="replace").decode()
        if text != found.name:
            yield BadInput(text, UnreadableMedia("its name is not valid UTF-8; rename it"))
        else:
            yield Input(source, found.name, found.size, found.version, _stem(found.name))


def _below(results: str, source: str) -> str:
    """The prefix of the names in `source` that are results; "" if there are none, or if both are the same place."""
    return f"{results.removeprefix(f'{source}/')}/" if results.startswith(f"{source}/") else ""


def _is_video(place: Place, found: Found, folder: Path) -> bool:
    try:
        path = place.head(found.name, folder)
    except FileNotFoundError:  # removed meanwhile
        return False
    try:
        kind = kind_of(path)
    finally:
        if path.parent == folder:
            path.unlink()
    return kind == "video" or (not kind and PurePosixPath(found.name).suffix.lower() in VIDEO_SUFFIXES)


def in_list(lines: Iterable[str], settings: Settings) -> Iterator[Input | BadInput]:
    """The videos that a list names, one in each line: paths, s3:// and http(s):// addresses. Empty lines are skipped.

    A result keeps the path of its address: that of s3://films/new/a.mp4 is films/new/a. Raises UsageError, DiskError.
    """
    places: dict[str, Place] = {}
    for line in lines:
        if address := line.strip("\r\n"):
            try:
                yield _listed(address, settings, places)
            except InputError as exc:
                yield BadInput(redacted_url(address) if "://" in address else address, exc)


def _listed(address: str, settings: Settings, places: dict[str, Place]) -> Input:
    """places: buckets that are open already. Raises InputError."""
    scheme, mark, rest = address.partition("://")
    if mark and scheme in _HTTP:
        return _web(address)
    if mark and not address.startswith(S3):
        raise FetchError(f"{scheme}:// is not supported; use a path, {S3} or https://")
    if not mark:
        path = os.path.abspath(address)
        if os.path.isdir(path):
            raise UnreadableMedia(f"{address} is a folder; a list names videos")
        return _found("/", path.lstrip("/"), _kept(os.path.normpath(address)), places, settings)
    bucket, _, name = rest.partition("/")
    return _found(f"{S3}{bucket}", name, rest, places, settings)


def _web(url: str) -> Input:
    if parsed(url, _HTTP) is None or len(url) > limits.ADDRESS:
        raise FetchError("not a valid address")
    parts = urlsplit(url)
    return Input("", url, 0, "", _stem(_kept(f"{parts.hostname}/{parts.path}")))


def _found(address: str, name: str, result: str, places: dict[str, Place], settings: Settings) -> Input:
    place = places.get(address) or places.setdefault(address, open_place(address, settings))
    try:
        found = place.find(name)
    except FileNotFoundError:
        raise UnreadableMedia(f"{address.rstrip('/')}/{name} does not exist") from None
    return Input(address, name, found.size, found.version, _stem(_kept(result)))


def _kept(path: str) -> str:
    """A path below another folder, without parts that lead out of it or are hidden."""
    return "/".join(part.lstrip(".") for part in path.split("/") if part.strip(".")) or "video"


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(path.stem))
