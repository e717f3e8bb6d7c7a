"""Nothing half-written is visible: outputs grow beside their final name and are moved there when complete."""

import os
import secrets
import shutil
from pathlib import Path

from stream.errors import DiskError, disk_error


class Partial:
    """`path` is where to write; it becomes `final` on `publish` and nothing on `discard`. A file or a folder."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.parent / f".{final.name}.{secrets.token_hex(4)}.part"
        if not final.parent.is_dir():
            raise DiskError(f"cannot write {final}: the folder {final.parent} does not exist")
        if not os.access(final.parent, os.W_OK):
            raise DiskError(f"cannot write {final}: permission denied")

    def publish(self) -> None:
        """Replace what `final` was, in one step for a file."""
        try:
            if self.path.is_dir() and self.final.is_dir():
                self.final.rmdir()  # only an empty folder gives way
            os.replace(self.path, self.final)
        except OSError as exc:
            self.discard()
            raise disk_error(exc, self.final) from exc

    def discard(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)
