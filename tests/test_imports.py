"""Imports between packages: `stream` imports neither of the others, `web` and `workers` do not import each other, and
only `workers` imports torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "stream": {"workers", "web", "mattebox", "torch", "onnxruntime", "fastapi", "starlette"},
    "workers": {"web", "mattebox", "fastapi", "starlette"},
    "web": {"workers", "mattebox", "torch", "onnxruntime", "cv2"},
}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", [p for p in FORBIDDEN if (ROOT / p).is_dir()])
def test_packages_import_only_what_is_allowed(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    offenders = {str(f): bad for f in files if (bad := imported(f) & FORBIDDEN[package])}
    assert not offenders


@pytest.mark.long
def test_only_the_link_and_its_parts_import_redis() -> None:
    files = [f for p in FORBIDDEN for f in (ROOT / p).rglob("*.py")]
    found = {f.relative_to(ROOT).as_posix() for f in files if "redis" in imported(f)}
    parts = ("redis_cluster", "redis_errors", "redis_link", "redis_poll", "redis_sentinel")
    assert found == {f"stream/records/{part}.py" for part in parts}


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = "{'av', 'cv2', 'numpy', 'onnxruntime', 'torch', 'PIL'}"
    code = f"import sys, commands.app; sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
