"""Standard input as a source. It is first stored in a temporary file: the index of many files is at their end, and the
kind of the input is known only from its content."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from stream.address import Address
from stream.errors import InputError, TooLarge, UnreadableMedia, UsageError, disk_error
from stream.picture.frames import VideoInfo
from stream.pump import Item, Source, Warnings
from stream.settings import Settings
from stream.sources.base import SourceOptions

NAME = "standard input"
_PIECE = 2**20


class StdinSource:
    """The video or picture on standard input, read to its end when it is opened.

    Raises UsageError for a terminal, TooLarge above `Settings.max_upload_bytes`, DiskError, and what the source of a
    file raises.
    """

    live = False
    takes = frozenset({"start_s", "end_s", "size", "stream"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        return cls(options, settings)

    def __init__(self, options: SourceOptions, settings: Settings) -> None:
        from stream.sources import open_source

        self._path = _stored(settings)
        try:
            self._source: Source = open_source(self._path, options, settings)
        except InputError as exc:
            self._path.unlink(missing_ok=True)
            raise self._named(exc) from None
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise

    @property
    def info(self) -> VideoInfo:
        return self._source.info

    @property
    def warnings(self) -> Warnings:
        return self._source.warnings

    def __iter__(self) -> Iterator[Item]:
        try:
            yield from self._source
        except InputError as exc:
            raise self._named(exc) from None

    def _named(self, exc: InputError) -> InputError:
        """The error with the name of the temporary file replaced."""
        return type(exc)(str(exc).replace(str(self._path), NAME))

    def close(self) -> None:
        self._source.close()
        self._path.unlink(missing_ok=True)


def _stored(settings: Settings) -> Path:
    """Standard input in a temporary file, in the folder of the environment variable TMPDIR."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("standard input is a terminal; send a file: mattebox file - ... < IN")
    try:
        number, name = tempfile.mkstemp(prefix="mattebox-stdin-")
    except OSError as exc:
        raise disk_error(exc, tempfile.gettempdir()) from exc
    path = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            _copy(file, settings.max_upload_bytes)
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise disk_error(exc, path) from exc
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _copy(file: IO[bytes], limit: int) -> None:
    size = 0
    while piece := os.read(sys.stdin.fileno(), _PIECE):
        size += len(piece)
        if size > limit:
            raise TooLarge(f"{NAME} has more than {limit:,} bytes, the limit (MATTEBOX_MAX_UPLOAD_BYTES)")
        file.write(piece)
    if not size:
        raise UnreadableMedia(f"{NAME} is empty")
