import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

torch = pytest.importorskip("torch")

from stream.errors import UsageError
from tests.workers.models.birefnet.networks import lite
from workers.bench.against import public_network
from workers.bench.check import (
    OPTIONS,
    TESTS,
    judge,
    judge_steadying,
    outcomes,
    table,
)
from workers.bench.kernels import attempt, time_kernels, time_steadying
from workers.bench.model import Row

REPORT = """<testsuites><testsuite>
<testcase name="good" time="1.5"/>
<testcase name="bad" time="0.1"><failure message="no"/></testcase>
<testcase name="broken" time="0.0"><error message="no"/></testcase>
<testcase name="idle" time="0.0"><skipped/></testcase>
</testsuite></testsuites>"""


def row(ms: float, form: str = "graph", backbone: str = "swin-l", side_px: int = 1024, batch: int = 1) -> Row:
    return Row(backbone, side_px, batch, "float16", form, ms, round(1e3 / ms, 2), 900, 250.0, 0.3)


def test_a_report_is_read_test_by_test() -> None:
    tests = outcomes(ElementTree.fromstring(REPORT))
    assert [test["outcome"] for test in tests] == ["passed", "failed", "failed", "skipped"]
    assert tests[0] == {"name": "good", "outcome": "passed", "seconds": 1.5}


@pytest.mark.slow
def test_the_tests_are_found_where_few_packages_are_installed() -> None:
    """With torch and pytest only: no plug-ins and no packages for video, WebRTC and HTTP."""
    lacking = ["aioice", "aiortc", "av", "cv2", "fastapi", "httpx", "onnxruntime", "redis", "typer", "uvicorn"]
    hide = f"import sys; sys.modules.update(dict.fromkeys({lacking}))"
    command = [sys.executable, "-c", f"{hide}; import pytest; sys.exit(pytest.main({['--co', *OPTIONS, *TESTS]}))"]
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(file in done.stdout for file in TESTS)  # files that need more packages are reported as skipped


def test_a_failing_part_is_reported_and_does_not_raise() -> None:
    assert attempt(lambda: [1, 2]) == ([1, 2], [])
    assert attempt(lambda: [1 // 0]) == ([], ["ZeroDivisionError: integer division or modulo by zero"])
    assert judge_steadying([], torch.device("cuda")) == []


def test_goals_are_compared_with_the_best_batch() -> None:
    rows = [row(12.0), row(9.0, batch=4), row(30.0, "plain"), row(5.0, side_px=512)]
    assert [(goal["reached"], goal["outcome"]) for goal in judge(rows)] == [(9.0, "met"), (5.0, "missed")]


def test_the_public_code_is_compared_with_the_same_network_and_size() -> None:
    rows = [
        row(10.0),
        row(8.0, batch=4),
        row(1.0, backbone="swin-t"),
        row(29.0, "public"),
        row(25.0, "public", batch=4),
    ]
    ratios = [goal for goal in judge(rows) if "public" in str(goal["name"])]
    assert [goal["reached"] for goal in ratios] == [pytest.approx(2.9, abs=0.01), pytest.approx(3.12, abs=0.01)]
    assert [goal["outcome"] for goal in ratios] == ["missed", "met"]


def test_kernels_are_timed_on_any_device() -> None:
    names = [str(kernel["name"]) for kernel in time_kernels(torch.device("cpu"), 8, 1)]
    assert {f"deform {k}x{k} plain" for k in (1, 3, 7)} <= set(names)


@pytest.mark.long
def test_steadying_is_timed_on_any_device_and_judged_on_cuda() -> None:
    rows = time_steadying(torch.device("cpu"), (64, 36), 1)
    assert [str(row["name"]).split(" as ")[1] for row in rows] == [
        "selfie, 1 at once",
        "birefnet, 1 at once",
        "birefnet, 4 at once",
    ]
    assert all(float(row["ms"]) > 0 for row in rows)
    assert judge_steadying(rows, torch.device("cpu")) == []


@pytest.mark.parametrize(("worst_ms", "outcome"), [(0.5, "met"), (0.51, "missed")])
def test_the_slowest_steadying_is_judged(worst_ms: float, outcome: str) -> None:
    (goal,) = judge_steadying([{"name": "a", "ms": 0.2}, {"name": "b", "ms": worst_ms}], torch.device("cuda"))
    assert (goal["reached"], goal["outcome"]) == (worst_ms, outcome)


def test_the_table_names_what_failed() -> None:
    tests = outcomes(ElementTree.fromstring(REPORT))
    lines = table(tests, [row(9.0)], time_kernels(torch.device("cpu"), 8, 1), judge([row(9.0)]))
    assert lines[:3] == ["tests: 1 passed, 2 failed, 1 skipped", "  failed: bad", "  failed: broken"]
    assert lines[-1].startswith("met")


@pytest.mark.long
def test_a_folder_without_the_public_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a checkout of BiRefNet"):
        public_network(tmp_path, lite())
