"""Nothing half-written is visible: outputs grow beside their final name and are moved there when complete."""

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from stream.errors import DiskError, disk_error


class Partial:
    """`path` is where to write; it becomes `final` on `publish` and nothing on `discard`. A file or a folder."""

    def __init__(self, final: Path) -> None:
        self.final = final = final.resolve()  # a link stays a link; what it leads to is replaced
        self.path = final.parent / f".{final.name[:40]}.{secrets.token_hex(4)}.part"  # names have a largest length
        if not final.parent.is_dir():
            folder = final.parent
            reason = f"{folder} is no folder" if folder.exists() else f"the folder {folder} does not exist"
            raise DiskError(f"cannot write {final}: {reason}")
        if final.exists() and not (final.is_file() or final.is_dir()):
            raise DiskError(f"cannot write {final}: it is no plain file")
        try:  # found out now, not when a model has been loaded
            tempfile.TemporaryFile(dir=final.parent).close()
        except OSError as exc:
            raise disk_error(exc, final) from exc

    def publish(self) -> None:
        """Replace what `final` was, in one step."""
        try:
            os.replace(self.path, self.final)  # a folder takes the place of an empty one
        except OSError as exc:
            raise disk_error(exc, self.final) from exc

    def discard(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
