"""`mattebox bench fleet`: one tiny run of everything, as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workers.bench.fleet.operations import OPERATIONS


@pytest.mark.slow
def test_a_tiny_run_has_a_row_for_each_operation_and_size(tmp_path: Path) -> None:
    saved = tmp_path / "rows.json"
    argv = ["bench", "fleet", "--workers", "2,4", "--sessions", "2", "--tasks", "6", "--calls", "2", "--rounds", "1"]
    run = subprocess.run(
        [sys.executable, "-m", "mattebox", *argv, "--save", str(saved)], capture_output=True, text=True, check=True
    )
    rows = json.loads(saved.read_text())
    names = [operation.name for operation in OPERATIONS]
    assert [(row["operation"], row["workers"]) for row in rows] == [(name, size) for size in (2, 4) for name in names]
    assert {(row["workers"], row["sessions"], row["tasks"]) for row in rows} == {(2, 4, 12), (4, 8, 24)}
    assert all(row["calls"] == 2 and row["commands"] > 0 and row["p99_ms"] >= row["p50_ms"] > 0 for row in rows)
    assert {row["ratio"] for row in rows if row["workers"] == 2} == {1.0}
    assert {row["operation"] for row in rows if row["cores"] > 0} == {each.name for each in OPERATIONS if each.every_s}
    assert len(run.stdout.splitlines()) == 1 + len(rows)


def test_without_a_redis_server_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; from stream.serve import redis_server; redis_server.find_spec = lambda name: None\n"
        "from mattebox import main; sys.argv[1:] = ['bench', 'fleet', '--workers', '2']; main()"
    )
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    assert "install redis-server" in run.stderr
