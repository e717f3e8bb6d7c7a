"""Storage: an object can be written, listed, read and removed; free space where it is a folder."""

import shutil
import tempfile
import time
from pathlib import Path
from secrets import token_bytes, token_hex

from stream.errors import MatteboxError
from stream.finding import Finding
from stream.settings import Settings
from stream.storage import Storage, keys, open_storage

_BYTES = 64 * 1024
_LOW = 5 * 2**30  # bytes: less than one long video needs
_REMEDY = {
    True: "check MATTEBOX_STORAGE, MATTEBOX_S3_ENDPOINT, AWS_REGION, and that the keys may list, get, put and delete",
    False: "make the folder writable for the user of this process, or set MATTEBOX_STORAGE to one that is",
}


def check(settings: Settings) -> list[Finding]:
    """Blocks."""
    place, remote = settings.storage or str(settings.data_dir / "storage"), "://" in settings.storage
    began_s = time.perf_counter()
    try:
        storage = open_storage(settings)
        storage.check()
        problem = _round_trip(storage)
    except (MatteboxError, OSError) as exc:
        return [Finding("storage", False, str(exc), _REMEDY[remote])]
    if problem:
        return [Finding("storage", False, f"{place}: {problem}", _REMEDY[remote])]
    detail = f"{place}: written, read and removed in {(time.perf_counter() - began_s) * 1000:.0f} ms"
    return [Finding("storage", True, detail), *([] if remote else [_space(Path(place))])]


def _round_trip(storage: Storage) -> str:
    """Store an object, read it, and remove it. Returns what is wrong, or ""."""
    key, content = keys.check(token_hex(8)), token_bytes(_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "content"
        file.write_bytes(content)
        try:
            storage.put(key, file)
            if b"".join(storage.read(key)) != content:
                return "an object is not read as it was written"
            if key not in storage.keys(keys.CHECKS):
                return "a new object is not listed"
        finally:
            storage.remove(key)
    return "an object that was removed is still listed" if key in storage.keys(keys.CHECKS) else ""


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.1f} GiB free"
    if free > _LOW:
        return Finding("storage space", True, detail)
    return Finding("storage space", None, detail, "make room: uploads and results are refused when it is full")
