"""The report of a batch: one row per input, as JSON lines, and as Parquet where pyarrow is installed.

It is stored in parts, because an object in a bucket cannot be extended, and a batch may run for weeks: programs that
read such files take a folder of them as one table. Knows nothing about how videos are matted.
"""

import importlib.util
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stream.storage import Storage, keys

_ROWS, _EVERY_S = 1000, 300.0  # of a part
_JSON, _PARQUET = ".jsonl", ".parquet"

COLUMNS: dict[str, str] = {
    "state": "string", "input": "string", "output": "string", "code": "string", "message": "string",
    "engine": "string", "device": "string", "frames": "int64", "seconds": "double", "fps": "double", "width": "int64",
    "height": "int64", "duration_s": "double", "bytes": "int64", "segments": "int64", "warnings": "string",
    "input_bytes": "int64", "input_version": "string", "job": "string",
}  # fmt: skip
"""Names and types of the columns. Values that a row does not have are null. warnings: JSON, as in `mattebox file`."""


class ReportFile:
    """folder: for temporary files. run: the name of the run; by default the current time. parts: number of those stored
    so far."""

    def __init__(self, storage: Storage, folder: Path, run: str = "") -> None:
        self.run = run or datetime.now(UTC).strftime("%Y%m%dt%H%M%Sz")
        self._storage, self._folder = storage, folder
        self._rows: list[dict[str, Any]] = []
        self.parts, self._since_s = 0, time.monotonic()

    @property
    def key(self) -> str:
        """The prefix of the keys of its parts."""
        return keys.batch_report(self.run, 0, "").rpartition("/")[0]

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row with values of `COLUMNS`. Raises DiskError if a part cannot be stored."""
        self._rows.append({name: row.get(name) for name in COLUMNS})
        if len(self._rows) >= _ROWS:
            self.store()

    def store_if_due(self) -> None:
        """Store the rows if the last part was stored minutes ago. Call it regularly. Raises DiskError."""
        if time.monotonic() - self._since_s > _EVERY_S:
            self.store()

    def store(self) -> None:
        """Store the rows that are not stored yet as a part. Raises DiskError."""
        self._since_s = time.monotonic()
        if not self._rows:
            return
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in self._rows)
        self._storage.send(self._name(_JSON), [lines.encode()])
        if importlib.util.find_spec("pyarrow"):
            self._storage.put(self._name(_PARQUET), _parquet(self._rows, self._folder / f"part{_PARQUET}"))
        self.parts += 1
        self._rows = []

    def _name(self, suffix: str) -> str:
        return keys.batch_report(self.run, self.parts, suffix)


def _parquet(rows: list[dict[str, Any]], path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)
    return path
