"""Look into a media file that nobody vouches for: is it a video within the limits, and which.

`python -m stream.sources.probe PATH SETTINGS` does so in a process of its own, which may crash or hang on a hostile
file without harm to whoever asked; `probe` starts it and waits.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from stream.errors import InputError, MatteboxError, NoVideoStream, TooLarge, UnreadableMedia
from stream.records.jobs import Media
from stream.settings import Settings

PROBE_S = 30.0
_LIMITS = {"max_pixels", "max_frames", "max_duration_s"}
_KINDS: dict[str, type[InputError]] = {kind.code: kind for kind in (NoVideoStream, TooLarge, UnreadableMedia)}


async def probe(path: Path, settings: Settings, limit_s: float = PROBE_S) -> Media:
    """What the file holds, its first picture decoded. Raises UnreadableMedia, NoVideoStream, TooLarge."""
    limits = settings.model_dump_json(include=_LIMITS)
    command = (sys.executable, "-m", "stream.sources.probe", str(path), limits)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(limit_s):
            said, _ = await process.communicate()
    except TimeoutError:
        raise UnreadableMedia(f"the file could not be read within {limit_s:g} s") from None
    finally:
        await _ended(process)
    return _understood(said)


async def _ended(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _understood(said: bytes) -> Media:
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:  # it crashed
        raise UnreadableMedia("the file cannot be read: decoding it fails") from None
    if "code" in answer:
        raise _KINDS.get(answer["code"], UnreadableMedia)(answer["detail"])
    return Media.model_validate(answer)


def look(path: Path, settings: Settings) -> Media:
    """As `probe`, in this process. Raises UnreadableMedia, NoVideoStream, TooLarge."""
    from stream.sources.file import FileSource

    source = FileSource(path, settings)
    try:
        info = source.info
    finally:
        source.close()
    return Media(
        duration_s=info.duration_s or 0.0,
        fps=float(info.rate),
        width=info.width,
        height=info.height,
        sound=bool(info.sound),
        bytes=path.stat().st_size,
    )


def main(path: str, limits: str) -> None:
    try:
        said = look(Path(path), Settings(threads=1, **json.loads(limits))).model_dump_json()
    except MatteboxError as exc:
        said = json.dumps({"code": exc.code, "detail": str(exc).replace(str(Path(path).absolute()), "the file")})
    print(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
