"""Objects in a bucket of Amazon S3, or of a server that speaks as it does: MATTEBOX_STORAGE=s3://BUCKET/PREFIX.

Credentials and region come from the usual AWS_* variables. Needs the extra `s3` (obstore).
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from queue import Full, Queue
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from stream.errors import DiskError, UsageError, disk_error
from stream.settings import Settings
from stream.storage import checked

if TYPE_CHECKING:
    from obstore.store import S3Store

_CHUNK = 2**20
_AT_ONCE = 8 * 2**20  # bytes asked for in one request; none stays open while a slow client reads
_PARTS = 9000  # of an upload; S3 takes 10,000
_PART_OF_ANY = 32 * 2**20  # of one whose size is not known, up to 280 GiB
_SIDE_BY_SIDE = 4
_PATIENCE: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}


class Bucket:
    def __init__(self, settings: Settings, beat: Callable[[], None]) -> None:
        """Nothing is asked of the server yet. Raises UsageError."""
        bucket, _, prefix = settings.storage.removeprefix("s3://").partition("/")
        if not bucket:
            raise UsageError("MATTEBOX_STORAGE: write it as s3://BUCKET or s3://BUCKET/PREFIX")
        self._where, self._beat = settings.storage, beat
        self._store = _opened(bucket, prefix.strip("/"), settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL", ""))

    def put(self, key: str, path: Path) -> None:
        size = path.stat().st_size
        part = max(_AT_ONCE, size // _PARTS + 1)
        self._put(key, path if size < part else self._read(path), part)  # what is small goes in one request
        path.unlink()

    def _read(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
                self._beat()

    def draft(self, key: str) -> None:
        return None

    def send(self, key: str, pieces: Iterable[bytes]) -> None:
        """Pieces are made in this thread and sent in another, for those that make them may ask this storage too."""
        line = _Line()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self._put, key, line, _PART_OF_ANY)
            try:
                for piece in pieces:
                    self._beat()
                    if not line.put(piece, sending):
                        break
                line.put(None, sending)
            except BaseException as exc:
                line.put(exc, sending)
                raise
            sending.result()

    def _put(self, key: str, content: Path | Iterator[bytes], part: int) -> None:
        import obstore

        try:
            with self._named_errors(key):
                obstore.put(self._store, checked(key), content, chunk_size=part, max_concurrency=_SIDE_BY_SIDE)
        except FileNotFoundError:
            raise DiskError(f"{self._where}: there is no such bucket") from None

    def local(self, key: str, folder: Path) -> Path:
        path = folder / f"{token_hex(8)}-{key.rpartition('/')[2]}"
        try:
            with path.open("xb") as file:
                file.writelines(self.read(key))
        except BaseException as exc:
            path.unlink(missing_ok=True)
            if isinstance(exc, OSError) and not isinstance(exc, FileNotFoundError):
                raise disk_error(exc, path) from exc
            raise
        return path

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        import obstore

        size = self.size(key)
        end = size if length is None else min(size, start + length)
        while start < end:
            with self._named_errors(key):
                self._beat()
                got = memoryview(obstore.get_range(self._store, key, start=start, end=min(end, start + _AT_ONCE)))
            for at in range(0, len(got), _CHUNK):
                yield bytes(got[at : at + _CHUNK])
            start += len(got)

    def size(self, key: str) -> int:
        import obstore

        with self._named_errors(key):
            return obstore.head(self._store, checked(key))["size"]

    def keys(self, prefix: str) -> list[str]:
        import obstore

        folder = prefix.rpartition("/")[0]
        with self._named_errors(prefix):
            found = [meta["path"] for page in obstore.list(self._store, folder or None) for meta in page]
        return sorted(key for key in found if key.startswith(prefix))

    def remove(self, key: str) -> None:
        import obstore

        with contextlib.suppress(FileNotFoundError), self._named_errors(key):
            obstore.delete(self._store, checked(key))

    def remove_all(self, prefix: str) -> None:
        import obstore

        if found := self.keys(prefix):
            with contextlib.suppress(FileNotFoundError), self._named_errors(prefix):
                obstore.delete(self._store, found)

    def forget_drafts(self, before_s: float) -> None:
        """There are none: what was sent of an object that is not complete is the bucket's own to expire."""

    @contextmanager
    def _named_errors(self, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(key) from None
        except (BaseError, OSError) as exc:
            # its first line alone: what follows is the inside of the library
            raise DiskError(f"{self._where}: {key}: {str(exc).splitlines()[0][:200]}") from exc


class _Line:
    """Pieces from one thread to another, a few at a time; None ends them, an exception too."""

    def __init__(self) -> None:
        self._queue: Queue[bytes | BaseException | None] = Queue(4)

    def put(self, item: bytes | BaseException | None, taker: "Future[None]") -> bool:
        """As soon as there is room; False where nobody takes it any more."""
        while not taker.done():
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False

    def __iter__(self) -> "_Line":
        return self

    def __next__(self) -> bytes:
        item = self._queue.get()
        if item is None:
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        return item


def _opened(bucket: str, prefix: str, endpoint: str) -> "S3Store":
    try:
        from obstore.store import S3Store
    except ImportError:
        raise UsageError("MATTEBOX_STORAGE=s3://… needs more: pip install 'mattebox[s3]'") from None
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    # the limit is for one request, of _AT_ONCE bytes
    client: Any = {"allow_http": endpoint.startswith("http://"), "timeout": "120s", "connect_timeout": "5s"}
    return S3Store(bucket, prefix=prefix or None, client_options=client, retry_config=_PATIENCE, **options)
