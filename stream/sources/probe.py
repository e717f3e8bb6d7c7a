"""Inspection of untrusted media files: whether it is a video or picture within the limits, and its properties.

`python -m stream.sources.probe PATH LIMITS` does this in a separate process, because a malicious file may crash it or
make it hang; `Prober` starts such processes and waits for them.
"""

import asyncio
import json
import os
import resource
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from stream.errors import InputError, MatteboxError, NoVideoStream, Overloaded, TooLarge, UnreadableMedia
from stream.records.jobs import Media
from stream.records.metadata import Metadata
from stream.settings import Settings

PROBE_S = 30.0
WAIT_S = 300.0  # until a turn comes: 200 videos take a minute, longer on a busy machine
AT_ONCE = 2  # processes: each takes about 80 MiB, and a core for a third of a second
_MEMORY = 4 * 2**30  # bytes of address space of such a process; 20 frames of 36 megapixels take 1 GiB
_NICE = 5  # so that the web process, which waits for it, still answers other requests
_LIMITS = {"max_pixels", "max_picture_pixels", "max_frames", "max_duration_s"}
_KINDS: dict[str, type[InputError]] = {kind.code: kind for kind in (NoVideoStream, TooLarge, UnreadableMedia)}


class Prober:
    """Inspects files, each in a separate process, a few at a time. Further calls wait, first come, first served."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(AT_ONCE)

    async def probe(self, path: Path, limit_s: float = PROBE_S) -> Media:
        """Inspect the file, for at most `limit_s` seconds. A cancelled call ends its process and releases its place.

        Raises Overloaded if its turn does not come within 5 minutes, and as `look`.
        """
        async with self.turn():
            return await self.inspect(path, limit_s)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a place, for work around `inspect` that is also to be done only a few at a time. Raises Overloaded
        if it does not come within 5 minutes."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded("the server is checking many other videos; try again soon") from None
        try:
            yield
        finally:
            self._free.release()

    async def inspect(self, path: Path, limit_s: float = PROBE_S) -> Media:
        """As `probe`, for a caller that has its `turn`."""
        limits = self._settings.model_dump_json(include=_LIMITS)
        command = (sys.executable, "-m", "stream.sources.probe", str(path), limits)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(limit_s):
                output, _ = await process.communicate()
        except TimeoutError:
            raise UnreadableMedia(f"the file could not be read within {limit_s:g} s") from None
        finally:
            await _end(process)
        return _parsed(output)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _parsed(output: bytes) -> Media:
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:  # the process crashed
        raise UnreadableMedia("the file cannot be read: decoding it fails") from None
    if "code" in answer:
        raise _KINDS.get(answer["code"], UnreadableMedia)(answer["detail"])
    return Media.model_validate(answer)


def look(path: Path, settings: Settings, stream: int | None = None) -> Media:
    """Inspect the file in this process, decoding one frame. stream: as in `SourceOptions`.

    Raises UnreadableMedia, NoVideoStream, TooLarge, and UsageError for a stream of a picture.
    """
    from stream.sources import open_source
    from stream.sources.base import SourceOptions

    source = open_source(path, SourceOptions(stream=stream, metadata=Metadata.DROP), settings)
    try:
        info = source.info
    finally:
        source.close()
    size = path.stat().st_size
    if info.still is not None:
        return Media(width=info.still[0], height=info.still[1], still=True, bytes=size)
    return Media(
        duration_s=info.duration_s or 0.0,
        fps=float(info.rate),
        width=info.width,
        height=info.height,
        sound=bool(info.sound),
        video_streams=info.video_streams,
        bytes=size,
    )


def main(path: str, limits: str) -> None:
    os.nice(_NICE)
    with suppress(OSError, ValueError):  # not on every system
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        output = look(Path(path), Settings(threads=1, **json.loads(limits))).model_dump_json()
    except MatteboxError as exc:
        output = json.dumps({"code": exc.code, "detail": str(exc).replace(str(Path(path).absolute()), "the file")})
    print(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
