"""The report of a batch."""

import json
from pathlib import Path

import pytest

from stream.settings import Settings
from stream.storage import Storage, open_storage
from tests.workers.batch.nodes import rows
from workers.batch import report
from workers.batch.report import COLUMNS, ReportFile

DONE = {"state": "done", "input": "a.mp4", "frames": 30, "seconds": 1.5, "warnings": "[]", "unknown": 1}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(Settings(data_dir=tmp_path))


def test_a_row_has_every_column(storage: Storage, tmp_path: Path) -> None:
    written = ReportFile(storage, tmp_path)
    written.add(DONE)
    written.store()
    (row,) = map(json.loads, rows(storage))
    assert list(row) == list(COLUMNS)
    assert (row["frames"], row["code"]) == (30, None)


def test_it_is_stored_in_parts(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_ROWS", 2)
    written = ReportFile(storage, tmp_path, "now")
    for _ in range(5):
        written.add(DONE)
    assert [len(rows(storage, f"batch/reports/now/{part:04d}")) for part in range(3)] == [2, 2, 0]
    written.store_if_due()
    assert len(rows(storage)) == 4
    monkeypatch.setattr(report, "_EVERY_S", -1.0)
    written.store_if_due()
    written.store()
    assert [len(rows(storage, f"batch/reports/now/{part:04d}")) for part in range(3)] == [2, 2, 1]


def test_it_is_also_parquet(storage: Storage, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    written = ReportFile(storage, tmp_path, "now")
    written.add(DONE)
    written.add({"state": "failed", "input": "Zoë.mp4", "code": "fetch"})
    written.store()
    table = parquet.read_table(storage.local("batch/reports/now/0000.parquet", tmp_path))
    assert table.to_pylist() == [json.loads(line) for line in rows(storage)]
    assert [str(field.type) for field in table.schema] == list(COLUMNS.values())
