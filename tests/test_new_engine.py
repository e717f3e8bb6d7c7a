"""A new engine needs only one file and one record: the command line, the API, the pages and jobs all support it then.

The file and the record are added to a copy of the code.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.picture.frames import Frame
from stream.records.engines import ENGINES, offered
from stream.serve.redis_server import Embedded
from stream.settings import Settings
from tests.media import ROOT, command, numbered_clip, read
from tests.servers import free_port
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import uploaded

FILE = """
import numpy as np

from workers.engines.base import Engine, Result


class Left(Engine):
    name = "left"

    def __init__(self, options, settings, say):
        self.alpha = np.repeat(np.float32([[1, 0]]), 8, axis=1)

    def prepare(self, frame):
        return None

    def infer(self, prepared, states):
        return [Result(self.alpha) for _ in prepared]
"""
LINE = """EngineRecord("left", "workers.engines.left:Left", "left, by halves", "The left half is the subject."),\n"""
LEFT, RIGHT = (0.05, 0.1, 0.3, 0.9), (0.7, 0.1, 0.95, 0.9)  # boxes, as shares of width and height


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with the new file and record."""
    copy = tmp_path_factory.mktemp("code")
    for package in ("commands", "stream", "web", "workers"):
        shutil.copytree(ROOT / package, copy / package)
    shutil.copy2(ROOT / "mattebox.py", copy)
    (copy / "workers/engines/left.py").write_text(FILE)
    registry = copy / "stream/records/engines.py"
    text = registry.read_text()
    end = text.index(")", text.index('"onnx", "workers.engines.onnx_file:OnnxFile"'))
    end = text.index("\n)", end) + 1
    registry.write_text(text[:end] + LINE + text[end:])
    return copy


@pytest.fixture(scope="module")
def url(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a web server of that code, with a Redis and a file worker."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    with Embedded(folder / "redis") as redis, log.open("wb") as output:
        env = os.environ | {"REDIS_URL": redis.url, "MATTEBOX_DATA_DIR": str(folder), "MATTEBOX_HW_ENCODE": "0"}
        programs = [
            subprocess.Popen(command(*words), cwd=code, env=env, stdout=output, stderr=output)
            for words in (("web", "--port", port), ("worker", "--for", "files"))
        ]
        try:
            wait_ready(f"{url}/readyz?for=files")
            yield url
        finally:
            for program in programs:
                program.terminate()
            codes = [program.wait(20) for program in programs]
    assert codes == [0, 0], log.read_text()


def wait_ready(url: str, limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        assert time.monotonic() < end_s, "the server did not start"
        time.sleep(0.05)


def run(code: Path, *words: object) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "200", "MATTEBOX_HW_ENCODE": "0"}
    return subprocess.run(command(*words), cwd=code, env=env, capture_output=True, text=True, timeout=60, check=False)


def is_left_half(mattes: list[Frame]) -> bool:
    """Whether the left half of every matte is white, and the right half black."""
    columns = [matte.planes()[0].mean(axis=0) for matte in mattes]
    width = mattes[0].width
    return bool(columns) and all(c[: width // 3].min() > 230 and c[-width // 3 :].max() < 20 for c in columns)


@pytest.mark.long
def test_the_command_line_supports_it(code: Path, tmp_path: Path) -> None:
    help_text = run(code, "file", "--help").stdout
    assert f"auto, {', '.join(ENGINES)}, left." in help_text
    out = tmp_path / "out.mkv"
    done = run(code, "file", numbered_clip(tmp_path / "in.mp4"), "-o", out, "--engine", "left", "--view", "matte")
    assert done.returncode == 0, done.stderr
    assert "engine left on cpu: requested" in done.stderr
    assert is_left_half(read(out))
    refused = run(code, "file", tmp_path / "in.mp4", "-o", out, "--engine", "left", "--key", "#00ff00")
    assert refused.returncode == 2
    assert "key: supported only by chroma, not by left" in refused.stderr


@pytest.mark.long
def test_the_api_lists_it_and_a_worker_runs_its_jobs(url: str, tmp_path: Path) -> None:
    with httpx.Client(base_url=url, timeout=30) as http:
        menu = http.get("/api/options").json()
        assert menu["options"]["properties"]["engine"]["enum"] == ["auto", *offered(Settings()), "left"]
        assert menu["engines"][-1] == {
            "name": "left", "label": "left, by halves", "sentence": "The left half is the subject.", "title": "",
            "heavy": False, "coarse": False, "colours": False, "options": [], "implied_by": {}, "live": None,
            "files": None,
        }  # fmt: skip
        upload = uploaded(http, numbered_clip(tmp_path / "in.mp4").read_bytes())
        request = {"upload": upload, "options": {"engine": "left", "view": "matte"}, "outputs": [{"format": "mkv"}]}
        path = submitted(http, **request)
        while (job := http.get(path).json())["state"] in ("queued", "running"):
            time.sleep(0.05)
        assert job["state"] == "done", job
        out = tmp_path / "out.mkv"
        out.write_bytes(http.get(job["results"]["result"]["url"]).content)
    assert is_left_half(read(out))


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from tests.end_to_end.browser import CHROMIUM, page

    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with page(None) as tab:
        yield tab


@pytest.mark.long
def test_the_studio_and_the_page_of_videos_offer_it(url: str, tab: Any) -> None:
    tab.goto(url)
    tab.click("#drawer-open")
    tab.select_option("#control-engine", label="left, by halves")
    assert tab.input_value("#control-engine") == "left"
    assert tab.is_disabled("#control-key")
    tab.goto(f"{url}/videos")
    tab.select_option("select[name=engine]", label="left, by halves")
    assert tab.input_value("select[name=engine]") == "left"


def test_no_page_names_an_engine() -> None:
    named = re.compile(rf"\b({'|'.join(ENGINES)})\b", re.IGNORECASE)
    files = [path for path in (ROOT / "web/static").rglob("*") if path.suffix in (".js", ".html")]
    assert len(files) > 20
    assert [path.name for path in files if named.search(path.read_text())] == []
