"""The wheel, installed in a new environment, contains every file of the source tree and works."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.end_to_end.browser import CHROMIUM, page
from tests.end_to_end.serving import serving
from tests.media import DATA, ROOT

SOURCES = ("stream", "workers", "web", "commands")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of a new environment with the wheel. The dependencies are those of the tests' environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, because setuptools leaves a `build` folder in it
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in listed:
        if name.startswith((*SOURCES, "mattebox.py", "pyproject.toml", "README.md", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    found = str(folder / "env/bin/python")
    subprocess.run([*pip, "--python", found, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    # Adds that folder to sys.path, but reads none of the .pth files in it: the editable install stays out.
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]))
    return found


@pytest.mark.long
def test_every_file_of_the_packages_is_installed(python: str, tmp_path: Path) -> None:
    code = "import stream, pathlib; print(pathlib.Path(stream.__file__).parents[1])"
    installed = Path(subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True).stdout.strip())
    assert ROOT not in (installed, *installed.parents)
    listed = subprocess.run(["git", "ls-files", *SOURCES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split() if (ROOT / name).is_file()]
    assert len(names) > 200
    assert {Path(name).suffix for name in names} >= {".py", ".lua", ".js", ".html", ".css", ".svg"}
    assert not [name for name in names if not (installed / name).is_file()]


def test_it_mattes_a_file(python: str, tmp_path: Path) -> None:
    command = [python, "-m", "mattebox", "file", str(DATA / "talk_bikes.mp4"), "-o", "out.mkv", "--engine", "chroma"]
    done = subprocess.run([*command, "--end", "0.5"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.mkv").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_it_serves_the_studio_and_the_videos(python: str, tmp_path: Path) -> None:
    with serving(tmp_path, python=python, source=tmp_path, udp_address="127.0.0.1") as served, page(None) as tab:
        missing: list[str] = []
        tab.on("response", lambda answer: missing.append(answer.url) if answer.status == 404 else None)
        tab.goto(served.url)
        tab.wait_for_selector(".tile-choice img")  # a gallery picture, painted by the server
        tab.goto(f"{served.url}/videos")
        tab.wait_for_selector("#files", state="attached")
        assert not missing
