"""Atomic outputs: written under a temporary name in the final folder, and renamed when complete."""

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from stream.errors import DiskError, disk_error
from stream.sinks.parts.indexed_mp4 import IndexedMp4


class Partial:
    """An incomplete file or folder, to be written at `path`. `publish` renames it to `final`; `discard` removes it."""

    def __init__(self, final: Path) -> None:
        self.final = final = final.resolve()  # a symbolic link is kept and its target replaced
        self.path = final.parent / f".{final.name[:40]}.{secrets.token_hex(4)}.part"  # file names have a maximum length
        if not final.parent.is_dir():
            folder = final.parent
            reason = f"{folder} is not a folder" if folder.exists() else f"the folder {folder} does not exist"
            raise DiskError(f"cannot write {final}: {reason}")
        if final.exists() and not (final.is_file() or final.is_dir()):
            raise DiskError(f"cannot write {final}: it is not a regular file")
        try:  # fail early, before a model is loaded
            tempfile.TemporaryFile(dir=final.parent).close()
        except OSError as exc:
            raise disk_error(exc, final) from exc

    @property
    def url(self) -> str:
        """The path as FFmpeg takes it."""
        return f"file:{self.path.absolute()}"

    def publish(self) -> None:
        """Replace `final` atomically."""
        try:
            os.replace(self.path, self.final)  # a folder can replace an empty one
        except OSError as exc:
            raise disk_error(exc, self.final) from exc

    def discard(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()


class PartialRecording(Partial):
    """An MP4 file in fragments, which FFmpeg writes with the options `FRAGMENTS` (`indexed_mp4.py`). It is completed
    when it is published."""

    def __init__(self, final: Path) -> None:
        super().__init__(final)
        self._file: IndexedMp4 | None = None

    def open(self) -> IndexedMp4:
        """The file for the muxer; once. Raises OSError."""
        self._file = IndexedMp4(self.path)
        return self._file

    def publish(self) -> None:
        if self._file is not None:
            self._file.complete()
        super().publish()

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
        super().discard()
