"""Objects as files in `<data_dir>/storage`, or in the folder that MATTEBOX_STORAGE names."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from secrets import token_hex

from stream import private
from stream.errors import disk_error
from stream.settings import Settings
from stream.storage import checked

_CHUNK = 2**20
_INCOMING = ".uploads"
_DRAFT = ".part"  # files being written; hidden, so that they cannot be keys


class Folder:
    """Its files and folders are private, also in a folder that others may read."""

    def __init__(self, settings: Settings, beat: Callable[[], None]) -> None:
        path = settings.storage.rpartition("://")[2]
        self._beat = beat
        self._root = (Path(path) if path else settings.data_dir / "storage").absolute()
        self._incoming = self._root / _INCOMING if path else settings.data_dir.absolute() / "uploads"

    def check(self) -> None:
        private.check_folder(self._root)

    def put(self, key: str, path: Path) -> None:
        final = self._file(key)
        try:
            private.make_folder(final.parent)
            path.chmod(0o600)
            self._move_in(path, final)
        except OSError as exc:
            raise disk_error(exc, key) from exc

    def _move_in(self, path: Path, final: Path) -> None:
        """Rename it, or copy it where that is impossible: to another file system, and between two mounts of one, such
        as two volumes of a container."""
        try:
            os.replace(path, final)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            self._copy_in(path, final)

    def _copy_in(self, path: Path, final: Path) -> None:
        draft = final.with_name(f".{token_hex(4)}{_DRAFT}")
        try:
            with path.open("rb") as source, private.create(draft) as copy:
                while chunk := source.read(_CHUNK):
                    copy.write(chunk)
                    self._beat()
            os.replace(draft, final)
        finally:
            draft.unlink(missing_ok=True)
        path.unlink()

    @property
    def multipart(self) -> None:
        return None

    def incoming(self) -> Path:
        return self._incoming

    def draft(self, key: str) -> Path:
        final = self._file(key)
        # A name of its own: a process that was stopped, and has lost its task meanwhile, must not move the half-written
        # draft of its successor to the final name.
        draft = final.with_name(f".{final.name}.{token_hex(4)}{_DRAFT}")
        try:
            private.make_folder(final.parent)
            for leftover in final.parent.glob(f".*{_DRAFT}"):
                if leftover.name.lstrip(".").startswith(f"{final.name}."):
                    leftover.unlink(missing_ok=True)
        except OSError as exc:
            raise disk_error(exc, key) from exc
        return draft

    def send(self, key: str, pieces: Iterable[bytes]) -> None:
        draft = self.draft(key)
        try:
            with private.create(draft) as file:
                file.writelines(pieces)
            os.replace(draft, self._file(key))
        except OSError as exc:
            raise disk_error(exc, key) from exc
        finally:
            draft.unlink(missing_ok=True)

    def local(self, key: str, folder: Path) -> Path:
        path = self._file(key)
        if not path.is_file():
            raise FileNotFoundError(key)
        return path

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._file(key).open("rb") as file:
            file.seek(start)
            remaining = length
            while chunk := file.read(_CHUNK if remaining is None else min(_CHUNK, remaining)):
                yield chunk
                remaining = None if remaining is None else remaining - len(chunk)

    def size(self, key: str) -> int:
        return self._file(key).stat().st_size

    def keys(self, prefix: str) -> list[str]:
        folder = self._root / prefix.rpartition("/")[0]
        files = (path.relative_to(self._root) for path in folder.rglob("*") if path.is_file())
        found = (path.as_posix() for path in files if not any(part.startswith(".") for part in path.parts))
        return sorted(key for key in found if key.startswith(prefix))

    def remove(self, key: str) -> None:
        path = self._file(key)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder is not empty
            path.parent.rmdir()

    def remove_all(self, prefix: str) -> None:
        if prefix.endswith("/"):
            shutil.rmtree(self._file(prefix), ignore_errors=True)
            return
        for key in self.keys(prefix):
            self.remove(key)

    def forget_drafts(self, before_s: float) -> None:
        for draft in self._root.rglob(f".*{_DRAFT}"):
            with contextlib.suppress(FileNotFoundError):
                if draft.stat().st_mtime < before_s:
                    draft.unlink()

    def _file(self, key: str) -> Path:
        return self._root / checked(key)
