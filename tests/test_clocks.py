"""No test of the parallel part passes or fails by the speed of the machine.

Tests with a time limit are marked `clocked` (by module in `tests/conftest.py`, or one by one) and run after all others,
no two demanding ones at a time. All others wait with `tests/waiting.py`, count, or compare. The product's own limits
are lengthened for them by `tests/patient.py`.
"""

import ast
from pathlib import Path

import pytest

from tests.conftest import CLOCKED
from tests.media import ROOT

_CLOCKS = {"monotonic", "perf_counter", "process_time", "monotonic_ns", "perf_counter_ns"}
_WAITS = {"wait", "join", "result", "acquire", "get", "communicate", "settimeout", "wait_for_timeout"}
_LIMITS = {"timeout", "timeout_s", "limit_s"}
_REQUESTS = {f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "stream", "Client")}
_SHORT_S = 60.0

EXCEPTIONS = {
    "clip_feed.py": "a source that sends in real time, for clocked tests",
    "whep_server.py": "a server that sends in real time, for clocked tests",
    "coturn.py": "asks again after half a second, for slow tests",
    "firefox.py": "a browser with time limits as in Playwright, for slow tests",
    "web/static/pages.py": "waits as PATIENCE_S says, except where a clocked test sets a limit",
    "rtc.py": "cameras and clients of live video, for clocked tests",
    "feeding.py": "frames in real time and their receivers, for clocked tests",
    "playing.py": "a publisher that sends in real time, for clocked tests",
    "virtual_camera.py": "measures the rate of a virtual camera, for clocked tests",
    "udp_receiver.py": "measures pauses, which only clocked and slow tests read",
    "rtsp_server.py": "a camera that sends in real time, for clocked tests",
    "workers/files/running_workers.py": "programs of workers, for a clocked module",
    "web/videos/test_job_lists.py::Load": "measures times, which only a slow test reports",
}
"""By module, or by a definition in one: why it may read clocks."""


def faults(source: str, module: str = "") -> list[str]:
    """What in this module depends on a clock, as "line: reason"."""
    tree = ast.parse(source)
    marks = [ast.unparse(node.value) for node in tree.body if isinstance(node, ast.Assign | ast.Expr)]
    if module in EXCEPTIONS or any(f"mark.{mark}" in text for text in marks for mark in ("slow", "gpu")):
        return []
    found: list[str] = []
    _look(tree, module, found)
    return found


def _look(node: ast.AST, module: str, found: list[str]) -> None:
    if _marked(node) or f"{module}::{getattr(node, 'name', '')}" in EXCEPTIONS:
        return
    reason = _reason(node)
    if reason:
        found.append(f"{getattr(node, 'lineno', 0)}: {reason}")
    for child in _children(node):
        _look(child, module, found)


def _marked(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(mark in ast.unparse(d) for d in decorators for mark in ("clocked", "mark.slow", "mark.gpu"))


def _children(node: ast.AST) -> list[ast.AST]:
    """`while not event.wait(0.1)` pauses, and does not give up: the condition of a loop is no limit."""
    return [child for child in ast.iter_child_nodes(node) if not (isinstance(node, ast.While) and child is node.test)]


def _reason(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute) and node.attr in _CLOCKS:
        return f"reads {node.attr}()"
    if isinstance(node, ast.For) and ast.unparse(node.iter).startswith("range(") and _gives_up(node):
        return "gives up after a number of pauses; use until()"
    if isinstance(node, ast.Call):
        return _limit(node)
    return ""


def _gives_up(loop: ast.For) -> bool:
    """Whether it pauses and looks each time, instead of doing something that often."""
    nodes = list(ast.walk(loop))
    pauses = any(isinstance(n, ast.Call) and ast.unparse(n.func).endswith("sleep") for n in nodes)
    return pauses and any(isinstance(n, ast.Break | ast.Return) for n in nodes)


def _limit(call: ast.Call) -> str:
    """A wait with a literal number of seconds that fails the test when it ends."""
    function = ast.unparse(call.func)
    if function.endswith("get_running_loop().time"):
        return "reads the event loop's clock"
    limits = [k.value for k in call.keywords if k.arg in _LIMITS]
    if function in _REQUESTS and not limits:
        return "waits at most 5 s, which is httpx's default; use PATIENCE_S"
    if isinstance(call.func, ast.Attribute) and call.func.attr in _WAITS:
        limits += call.args[:1]
    if function in ("asyncio.timeout", "asyncio.wait_for"):
        limits += call.args[-1:]
    for limit in limits:
        if isinstance(limit, ast.Constant) and isinstance(limit.value, int | float) and 0 < limit.value < _SHORT_S:
            return f"waits at most {limit.value} s; use PATIENCE_S"
    return ""


def modules() -> list[str]:
    """The modules of the parallel part, relative to `tests`."""
    tests = ROOT / "tests"
    names = (path.relative_to(tests).as_posix() for path in sorted(tests.rglob("*.py")))
    return [name for name in names if name not in ("waiting.py", Path(__file__).name) and not name.startswith(CLOCKED)]


@pytest.mark.parametrize("module", modules())
def test_nothing_in_the_parallel_part_depends_on_a_clock(module: str) -> None:
    assert not faults((ROOT / "tests" / module).read_text(), module)


@pytest.mark.parametrize("source", [
    "def test_x():\n    begun = time.monotonic()\n", "for _ in range(100):\n    if x: break\n    time.sleep(0.1)\n",
    "for _ in range(9):\n    await asyncio.sleep(0.1)\n    if x: return\n", "thread.join(5)\n",
    "subprocess.run(words, timeout=5)\n", "assert event.wait(3)\n", "asked.result(10)\n", "sock.settimeout(10)\n",
    "async with asyncio.timeout(3): pass\n", "httpx.get(url)\n", "start_s = asyncio.get_running_loop().time()\n",
])  # fmt: skip
def test_the_rule_finds_each_kind(source: str) -> None:
    assert len(faults(source)) == 1
    inside = "".join(f"    {line}\n" for line in source.splitlines())
    assert not faults(f"@pytest.mark.clocked\nasync def test_x():\n{inside}")
    assert not faults(f"{source}pytestmark = pytest.mark.slow\n")


@pytest.mark.parametrize("source", [
    "thread.join(PATIENCE_S)\n", "queue.get('name')\n", "while not over.wait(0.01): look()\n",
    "for byte in range(8):\n    time.sleep(0.2)\n    send(byte)\n", "httpx.get(url, timeout=PATIENCE_S)\n",
])  # fmt: skip
def test_the_rule_accepts_pauses_and_patience(source: str) -> None:
    assert not faults(source)


def test_each_exception_is_needed() -> None:
    for name in EXCEPTIONS:
        module, _, definition = name.partition("::")
        source = (ROOT / "tests" / module).read_text()
        assert faults(source, f"{module}?"), f"{module} reads no clock"
        assert not definition or f"class {definition}" in source


@pytest.mark.clocked
def test_the_groups_hold(request: pytest.FixtureRequest) -> None:
    """pytest-xdist puts the group at the end of a test's name if it knows it before it distributes the tests."""
    if not request.config.getoption("loadgroup", False):
        pytest.skip("the tests are not distributed by groups")
    assert request.node.nodeid.endswith("@test_clocks.py")
