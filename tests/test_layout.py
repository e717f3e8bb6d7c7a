"""The order of folders within each package: a folder imports only those before it. Packages: `test_imports.py`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = {
    "stream": (
        "cores errors finding install limits loading log meters registry signals slot supervised",
        "suggestions",
        "devices loops private settings",
        "picture",
        "records",
        "pump storage fetch serve",
        "address",
        "srt",
        "progress sinks",
        "sources",
        "rtc",
        "deployment",
    ),
    "workers": (
        "models weights scene",
        "device runtimes",
        "edges",
        "steady",
        "choosers",
        "engines",
        "lifecycle privacy",
        "rendition",
        "matte",
        "measure",
        "live files runs",
        "batch bench export",
    ),
    "web": (
        "http",
        "stores",
        "context",
        "exposure feed_metrics privacy read_options",
        "backgrounds health live login options videos",
        "app",
        "server",
    ),
    "web/static": ("shared", "feeds obs studio videos view"),
}
"""Lowest first. Entries on one line do not import each other."""


def levels(package: str) -> dict[str, int]:
    return {name: level for level, names in enumerate(ORDER[package]) for name in names.split()}


def entries(package: str) -> set[str]:
    """Folders and files directly in a package."""
    found = {path.stem for path in (ROOT / package).glob("*.py")} | {
        path.name for path in (ROOT / package).iterdir() if path.is_dir() and list(path.rglob("*.*s*"))
    }
    return {name for name in found if not name.startswith("_")}


def imported(package: str) -> Iterator[tuple[str, str, str]]:
    """(file, its entry, an entry of the same package that it imports), for imports anywhere in the file."""
    for path in (ROOT / package).rglob("*.py"):
        entry = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            names = node.module.split(".")
            if names[0] == package:
                for other in names[1:2] or [alias.name for alias in node.names]:
                    yield path.relative_to(ROOT).as_posix(), entry, other


@pytest.mark.parametrize("package", ["stream", "workers", "web"])
def test_every_folder_is_in_the_order(package: str) -> None:
    assert entries(package) - {"static"} <= set(levels(package)), "add the new folder or file to ORDER"


@pytest.mark.parametrize("package", ["stream", "workers", "web"])
def test_a_folder_imports_only_from_those_before_it(package: str) -> None:
    level = levels(package)
    found = list(imported(package))
    assert len(found) > 50
    violations = {
        f"{path} imports {package}.{other}"
        for path, entry, other in found
        if entry != "__init__" and other != entry and level[other] >= level[entry]
    }
    assert not violations


def test_a_page_imports_only_its_own_scripts_and_the_shared_ones() -> None:
    scripts = list((ROOT / "web/static").rglob("*.js"))
    assert len(scripts) > 20
    for script in scripts:
        allowed = {script.parent.name, "shared"}
        for line in script.read_text().splitlines():
            if line.startswith("import ") and " from " in line:
                target = (script.parent / line.split('"')[1]).resolve()
                assert target.is_file(), f"{script.name} imports {target.name}, which is missing"
                assert target.parent.name in allowed, f"{script.name} imports {target.name}"


def test_only_the_webrtc_folder_imports_aiortc() -> None:
    for path in (ROOT / "stream").rglob("*.py"):
        text = path.read_text()
        if "import aiortc" in text or "from aiortc" in text or "import aioice" in text:
            assert path.parent.name == "rtc", path
