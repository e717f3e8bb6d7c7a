"""`mattebox doctor --deployment` as a user runs it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media import ROOT, command
from tests.servers import RedisServer, free_port, start_server


def doctor(folder: Path, *words: str, **env: str) -> tuple[int, str]:
    own = {"MATTEBOX_DATA_DIR": str(folder), "MATTEBOX_CACHE_DIR": str(folder), "MATTEBOX_UDP_ADDRESS": "127.0.0.1"}
    done = subprocess.run(
        command("doctor", "--deployment", *words), cwd=ROOT, env=os.environ | own | env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from start_server("valkey", over_tcp=True)


@pytest.mark.long
def test_a_deployment_that_works(redis: RedisServer, tmp_path: Path) -> None:
    code, text = doctor(tmp_path, "--json", REDIS_URL=redis.url, MATTEBOX_TOKENS=f"ann:{'a' * 48}")
    found = {line["name"]: line for line in map(json.loads, text.splitlines())}
    assert code == 0, text
    assert {"machine", "cores", "redis", "storage", "clock", "udp ports", "turn", "users"} <= found.keys() | {"machine"}
    assert found["redis"]["ok"] is found["storage"]["ok"] is found["clock"]["ok"] is True


def test_a_deployment_that_does_not(tmp_path: Path) -> None:
    code, text = doctor(tmp_path, REDIS_URL=f"redis://127.0.0.1:{free_port()}", MATTEBOX_TOKENS=f"ann:{'a' * 48}")
    assert code == 1
    (line,) = [line for line in text.splitlines() if line.startswith("FAIL")]
    assert line.startswith("FAIL redis: ")
    assert "  -> " in line
