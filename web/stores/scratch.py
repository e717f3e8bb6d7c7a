"""Temporary files of web processes, on this machine: nothing that another request needs.

They are in `<data_dir>/drafts`, not in the system's temporary folder, because they may be as large as an upload.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from stream import private
from stream.errors import DiskError, disk_error
from stream.settings import Settings


class Scratch:
    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir.absolute() / "drafts"

    def file(self) -> BinaryIO:
        """A file without a name, which ends with the process. Raises DiskError."""
        try:
            private.make_folder(self.path)
            return tempfile.TemporaryFile(dir=self.path)
        except OSError as exc:
            raise disk_error(exc, "a temporary file") from exc

    @contextmanager
    def folder(self, needed: int = 0) -> Iterator[Path]:
        """A folder that is removed at the end. Raises DiskError, also if fewer than `needed` bytes are free."""
        try:
            private.make_folder(self.path)
            if shutil.disk_usage(self.path).free < needed:
                raise DiskError("the server's disk has too little free space for a copy of this file")
            folder = tempfile.TemporaryDirectory(dir=self.path)
        except OSError as exc:
            raise disk_error(exc, "a temporary file") from exc
        with folder as path:
            yield Path(path)

    def forget(self, before_s: float) -> None:
        """Remove what is unchanged since that time (Unix time): the process that made it was killed."""
        for draft in self.path.iterdir() if self.path.is_dir() else []:
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < before_s:
                    shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
