"""Objects in a bucket of Amazon S3 or an S3-compatible server: MATTEBOX_STORAGE=s3://BUCKET/PREFIX.

Credentials and region come from the standard AWS_* variables. Needs the extra `s3` (obstore).
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from queue import Full, Queue
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from stream import private
from stream.errors import DiskError, UsageError, disk_error
from stream.install import install_command
from stream.settings import Settings
from stream.storage import checked
from stream.storage.multipart import Multipart

if TYPE_CHECKING:
    from obstore.store import S3Store

_CHUNK = 2**20
_REQUEST_BYTES = 8 * 2**20  # size of a range request; no request stays open while a slow client reads
_MAX_PARTS = 9000  # of a multipart upload; S3's limit is 10,000
_STREAM_PART_BYTES = 32 * 2**20  # part size of uploads of unknown length, for up to 280 GiB
_CONCURRENT_PARTS = 4
_NAME = 50  # characters of a name that local copies keep: file systems allow 255 bytes, buckets more
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}


class Bucket:
    _checked = staticmethod(checked)

    def __init__(self, settings: Settings, beat: Callable[[], None]) -> None:
        """Does not contact the server. Raises UsageError."""
        bucket, _, prefix = settings.storage.removeprefix("s3://").partition("/")
        if not bucket:
            raise UsageError("MATTEBOX_STORAGE: write it as s3://BUCKET or s3://BUCKET/PREFIX")
        self._url, self._beat = settings.storage, beat
        self._bucket, self._prefix = bucket, prefix.strip("/")
        self._endpoint = settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
        self._store = _opened(bucket, self._prefix, self._endpoint)

    def check(self) -> None:
        """Nothing to do: the server may be unreachable for a moment."""

    def put(self, key: str, path: Path) -> None:
        size = path.stat().st_size
        part = max(_REQUEST_BYTES, size // _MAX_PARTS + 1)
        self._put(key, path if size < part else self._read(path), part)  # small files go in one request
        path.unlink()

    def _read(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
                self._beat()

    def incoming(self) -> None:
        return None

    @cached_property
    def multipart(self) -> Multipart:
        return Multipart(self._bucket, self._prefix, self._endpoint, _RETRIES["max_retries"])

    def draft(self, key: str) -> None:
        return None

    def send(self, key: str, pieces: Iterable[bytes]) -> None:
        """Pieces are produced in this thread and sent in another, because their producer may use this storage too."""
        queue = _PieceQueue()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self._put, key, queue, _STREAM_PART_BYTES)
            try:
                for piece in pieces:
                    self._beat()
                    if not queue.put(piece, sending):
                        break
                queue.put(None, sending)
            except BaseException as exc:
                queue.put(exc, sending)
                raise
            sending.result()

    def _put(self, key: str, content: Path | Iterator[bytes], part: int) -> None:
        import obstore

        try:
            with self._named_errors(key):
                obstore.put(
                    self._store, self._checked(key), content, chunk_size=part, max_concurrency=_CONCURRENT_PARTS
                )
        except FileNotFoundError:
            raise DiskError(f"{self._url}: the bucket does not exist") from None

    def local(self, key: str, folder: Path) -> Path:
        path = folder / f"{token_hex(8)}-{key.rpartition('/')[2][-_NAME:]}"
        try:
            with private.create(path) as file:
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
                data = memoryview(
                    obstore.get_range(self._store, key, start=start, end=min(end, start + _REQUEST_BYTES))
                )
            for at in range(0, len(data), _CHUNK):
                yield bytes(data[at : at + _CHUNK])
            start += len(data)

    def size(self, key: str) -> int:
        import obstore

        with self._named_errors(key):
            return obstore.head(self._store, self._checked(key))["size"]

    def keys(self, prefix: str) -> list[str]:
        import obstore

        folder = prefix.rpartition("/")[0]
        with self._named_errors(prefix):
            found = [meta["path"] for page in obstore.list(self._store, folder or None) for meta in page]
        return sorted(key for key in found if key.startswith(prefix))

    def remove(self, key: str) -> None:
        import obstore

        with contextlib.suppress(FileNotFoundError), self._named_errors(key):
            obstore.delete(self._store, self._checked(key))

    def remove_all(self, prefix: str) -> None:
        import obstore

        if found := self.keys(prefix):
            with contextlib.suppress(FileNotFoundError), self._named_errors(prefix):
                obstore.delete(self._store, found)

    def forget_drafts(self, before_s: float) -> None:
        """Nothing to do: web removes the unfinished multipart uploads of its uploads; those of a worker that was killed
        during `put` or `send` are up to the bucket's settings."""

    @contextmanager
    def _named_errors(self, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(key) from None
        except (BaseError, OSError) as exc:
            # only the first line: the rest is internals of the library
            raise DiskError(f"{self._url}: {key}: {str(exc).splitlines()[0][:200]}") from exc


class _PieceQueue:
    """A bounded queue of pieces between two threads; None ends it, an exception is raised in the reader."""

    def __init__(self) -> None:
        self._queue: Queue[bytes | BaseException | None] = Queue(4)

    def put(self, item: bytes | BaseException | None, reader: "Future[None]") -> bool:
        """Wait for room and add the item; False where the reader has ended."""
        while not reader.done():
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False

    def __iter__(self) -> "_PieceQueue":
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
        raise UsageError(f"s3://… needs an extra: {install_command('mattebox[s3]')}") from None
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    # the timeout is per request, of _REQUEST_BYTES bytes
    client: Any = {"allow_http": endpoint.startswith("http://"), "timeout": "120s", "connect_timeout": "5s"}
    return S3Store(bucket, prefix=prefix or None, client_options=client, retry_config=_RETRIES, **options)
