"""Programs under nohup survive the end of the terminal."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.serve.redis_server import Embedded
from tests.media import ROOT, command
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Embedded(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.mark.long
@pytest.mark.parametrize(("kind", "ready"), [("files", "takes files"), ("live", "room for")])
def test_a_worker_outlives_the_terminal(redis_url: str, tmp_path: Path, kind: str, ready: str) -> None:
    with subprocess.Popen(
        command("worker", "--for", kind, "-v"),
        cwd=ROOT,
        env=os.environ | {"REDIS_URL": redis_url, "MATTEBOX_DATA_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:
        try:
            assert process.stderr is not None
            assert any(ready in line for line in process.stderr)
            for _ in range(10):
                process.send_signal(signal.SIGHUP)
                process.poll()
                assert process.returncode is None
            process.terminate()
            _, messages = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, messages
