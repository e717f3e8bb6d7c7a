"""Which masks can be read. Asked for every frame of every video, so each file is read once, until it changes.

Knows nothing about what a mask shows.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from stream.errors import InputError, UsageError
from stream.storage.local_copies import SCHEME

_AGAIN_S = 1.0  # after which a mask that could not be read is tried again
_MOST = 4096  # masks that are remembered

Value = TypeVar("Value")
Version = tuple[int, int] | None
"""Time of the last change in ns and size in bytes; None for a stored object, which never changes, and for no file."""


@dataclass(frozen=True, slots=True)
class _Good(Generic[Value]):
    value: Value
    version: Version


@dataclass(frozen=True, slots=True)
class _Bad:
    error: type[Exception]
    sentence: str
    until_s: float


class Readable(Generic[Value]):
    """Called with a mask's text: what `read` returned for it. May be called from any thread.

    read: a mask's text to what is remembered of it. Its InputError or UsageError is raised by each call, but it is
    called again after a second only. A file that was read, and is missing now, counts as read.
    """

    def __init__(self, read: Callable[[str], Value]) -> None:
        self._read, self._lock = read, threading.Lock()
        self._known: OrderedDict[str, _Good[Value] | _Bad] = OrderedDict()

    def __call__(self, text: str) -> Value:
        with self._lock:
            known = self._known.get(text)
        version = _version(text)
        match known:
            case _Good() if version in (None, known.version):
                return known.value
            case _Bad() if time.monotonic() < known.until_s:
                raise known.error(known.sentence)
        return self._read_now(text, version)

    def _read_now(self, text: str, version: Version) -> Value:
        try:
            value = self._read(text)
        except (InputError, UsageError) as exc:
            self._remember(text, _Bad(type(exc), str(exc), time.monotonic() + _AGAIN_S))
            raise
        self._remember(text, _Good(value, version))
        return value

    def _remember(self, text: str, found: "_Good[Value] | _Bad") -> None:
        with self._lock:
            self._known[text] = found
            self._known.move_to_end(text)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)


def _version(text: str) -> Version:
    if not text.startswith(SCHEME):
        with suppress(OSError, ValueError):  # the latter: a null byte in the path
            status = Path(text).stat()
            return status.st_mtime_ns, status.st_size
    return None
