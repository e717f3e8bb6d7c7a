"""`mattebox serve` from its start to its end, and its errors when it cannot start."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.caller import calling
from tests.end_to_end.serving import alive, descendants, serving
from tests.media import ROOT
from tests.rtc import Camera, until
from tests.servers import asynctest, free_port, start_server


def refused(tmp_path: Path, *words: str, **env: str) -> tuple[int, str]:
    own = {"MATTEBOX_DATA_DIR": str(tmp_path / "data"), "REDIS_URL": ""} | env
    argv = [sys.executable, "-m", "mattebox", *words]
    done = subprocess.run(argv, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return done.returncode, line


@pytest.mark.long
def test_an_address_of_another_machine(tmp_path: Path) -> None:
    code, line = refused(tmp_path, "serve", "--host", "192.0.2.1", MATTEBOX_TOKEN="a-token-of-some-length")
    assert code == 2
    assert line.startswith("error: cannot listen on 192.0.2.1:8080: ")


@pytest.mark.long
def test_listening_beyond_loopback_without_tokens(tmp_path: Path) -> None:
    code, line = refused(tmp_path, "serve", "--host", "0.0.0.0")
    assert code == 2
    assert "MATTEBOX_TOKEN" in line


@pytest.mark.long
def test_two_users_with_one_token(tmp_path: Path) -> None:
    tokens = "ann:a-token-of-some-length,bob:a-token-of-some-length"
    code, line = refused(tmp_path, "serve", "--port", "0", MATTEBOX_TOKENS=tokens)
    assert code == 2
    assert line == "error: MATTEBOX_TOKENS: two users have the same token"


@pytest.mark.long
def test_missing_weights_offline(tmp_path: Path) -> None:
    code, line = refused(tmp_path, "serve", "--port", "0", MATTEBOX_CACHE_DIR=str(tmp_path), MATTEBOX_OFFLINE="1")
    assert code == 1
    assert "mattebox models pull selfie" in line


def test_a_worker_without_redis_url(tmp_path: Path) -> None:
    code, line = refused(tmp_path, "worker")
    assert code == 2
    assert "REDIS_URL" in line


@pytest.mark.long
@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("web", "--port", "0"), ("worker",)])
@pytest.mark.parametrize("variable", ["MATTEBOX_DATA_DIR", "MATTEBOX_STORAGE"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, words: tuple[str, ...], variable: str) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "data")
    redis = {} if words[0] == "serve" else {"REDIS_URL": "redis://127.0.0.1:9"}
    code, line = refused(tmp_path, *words, **redis | {variable: folder})
    assert code == 1
    assert line == f"error: cannot write {folder}: part of the path is not a folder"


@pytest.mark.long
@pytest.mark.usefixtures("loopback")
@asynctest
async def test_it_ends_quietly_during_a_session(tmp_path: Path) -> None:
    with serving(tmp_path, live_sessions="4") as served:
        assert (served.folder / "data" / "redis.log").read_text() != "", "Redis logs to this file, not to the terminal"
        async with calling(served.url, Camera(rate=10), engine="chroma", key="#00ff00") as caller:
            await until(lambda: len(caller.pictures) > 3, what="pictures")
            code, took_s = served.end(signal.SIGINT)
        print(f"ended in {took_s:.1f} s")
        assert code in (0, 130)
        assert took_s < 3
        assert served.log.read_text() == f"Mattebox: {served.url}\n"


@pytest.mark.long
def test_after_a_kill_no_process_is_left(tmp_path: Path) -> None:
    with serving(tmp_path, live_sessions="4") as served:
        family = descendants(served.process.pid)
        assert len(family) >= 3
        served.kill()
        until_s = time.monotonic() + 3
        while left := [pid for pid in family if alive(pid)]:
            assert time.monotonic() < until_s, f"orphans: {left}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    """HOST:PORT of a Redis with the password `a-secret`."""
    for server in start_server("valkey", "--requirepass", "a-secret", over_tcp=True):
        yield server.url.removeprefix("redis://")


@pytest.mark.long
@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("web", "--port", "0"), ("worker",)], ids=" ".join)
def test_a_redis_that_cannot_be_used(tmp_path: Path, locked: str, words: tuple[str, ...]) -> None:
    code, line = refused(tmp_path, *words, REDIS_URL=f"redis://:b-secret@{locked}")
    assert code == 1
    assert line.startswith(f"error: Redis at redis://{locked}: the user or the password is wrong (WRONGPASS ")
    assert "b-secret" not in line


@pytest.mark.parametrize("kind", ["live", "files"])
def test_one_worker_with_a_redis_that_cannot_be_used(tmp_path: Path, locked: str, kind: str) -> None:
    code, line = refused(tmp_path, "worker", "--for", kind, REDIS_URL=f"redis://{locked}")
    assert code == 1
    assert line.startswith(f"error: Redis at redis://{locked}: it requires a password")


@pytest.mark.long
def test_a_redis_cluster(tmp_path: Path) -> None:
    options = ["--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    for server in start_server("valkey", *options, over_tcp=True):
        code, line = refused(tmp_path, "serve", "--port", "0", REDIS_URL=server.url)
        assert code == 1
        assert "it is a node of a Redis Cluster: write redis+cluster://HOST:PORT,HOST:PORT" in line


@pytest.mark.long
def test_a_redis_that_comes_later_and_cannot_be_used(tmp_path: Path) -> None:
    port = free_port()
    env = {"MATTEBOX_DATA_DIR": str(tmp_path), "REDIS_URL": f"redis://:b-secret@127.0.0.1:{port}"}
    argv = [sys.executable, "-m", "mattebox", "web", "--port", "0"]
    with subprocess.Popen(argv, cwd=ROOT, env=os.environ | env, stdout=-1, stderr=-1, text=True) as web:
        assert web.stdout is not None
        assert web.stdout.readline().startswith("Mattebox: http://"), "it waits for Redis"
        for _ in start_server("valkey", "--port", str(port), "--requirepass", "a-secret"):
            _, log = web.communicate(timeout=30)
    assert web.returncode == 1
    assert "error: Redis at redis://127.0.0.1" in log.splitlines()[-1]
    assert "Traceback" not in log
