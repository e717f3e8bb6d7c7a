"""The supervisor in its own process, with small real programs that log what they do to a file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from stream.serve import redis_server
from tests.media import ROOT

# A program: writes lines "<name> <event> <process id> <time>" to the log; `mode` says how it behaves.
CHILD = """
import asyncio, os, signal, sys, time
name, log, mode = sys.argv[1:4]
def report(event):
    with open(log, "a") as out:
        out.write(f"{name} {event} {os.getpid()} {time.monotonic():.4f}\\n")
def end(*_):
    report("terminated")
    if "stubborn" not in mode:
        sys.exit(0)
signal.signal(signal.SIGTERM, end)
from stream.serve.child import wait_for_turn
report("loaded")
async def wait():
    from stream.serve.heartbeat import Health, beating
    starts = "starts" in mode and open(log).read().count(name + " loaded") == 1
    async with beating(lambda: Health.STARTING if starts else Health.OK):
        await wait_for_turn()
        report("works")
        await asyncio.sleep(60)
if "waits" in mode:
    asyncio.run(wait())
if "spare" in mode:
    asyncio.run(wait_for_turn())
if "mute" in mode:
    time.sleep(60)
report("works")
if "beats" in mode:
    from stream.serve.heartbeat import Health, beating
    async def beat():
        async with beating(lambda: Health.STUCK if "stuck" in mode else Health.OK):
            await asyncio.sleep(1.5 if "blocked" in mode else 60)
            time.sleep(60)
    asyncio.run(beat())
if "crash" in mode:
    sys.exit(3)
if "refuse" in mode:
    sys.exit(78)
if "weak" in mode and os.path.getsize(log) > 200:
    sys.exit(4)
if "parent" in mode:
    import subprocess
    report(f"grandchild {subprocess.Popen(['sleep', '60']).pid}")
while True:
    time.sleep(0.01)
"""

SERVE = """
import asyncio, sys
from pathlib import Path
from stream.serve import child as children, heartbeat, supervise
from stream.serve.watch import Watch
from stream.errors import ServerError
from stream.log import configure
configure(0, False)
log, child, stable_s, spare_s, *modes = sys.argv[1:]
supervise.STABLE_S, supervise.SPARE_AFTER_S = float(stable_s), float(spare_s)
supervise._DELAYS_S = (0.0, 0.05, 0.1, 0.1, 0.1)
supervise._HEALTH_INTERVAL_S = 0.02
heartbeat.REPLACEABLE_STARTING_S = 1.0
def program(name, mode):
    async def ready():
        return f"{name} works" in Path(log).read_text()
    argv = [sys.executable, "-c", child, name, log, mode]
    watch = Watch(2.5) if {"beats", "waits"} & set(mode.split(",")) else None
    return children.Program(name, argv, {}, ready if "ready" in mode else None, "spare" in mode, watch)
programs = [program(*mode.split(":")) for mode in modes]
try:
    health_file = Path(log).with_name("health")
    asyncio.run(supervise.Supervisor(programs, stop_s=1.5, ready_s=1.5, health_file=health_file).run())
except ServerError as error:
    sys.exit(f"error: {error}")
"""


class Serve:
    """A supervisor of programs, each written name:mode."""

    def __init__(self, log: Path, modes: tuple[str, ...], stable_s: float, spare_s: float) -> None:
        log.touch()
        self.log, self.health_file = log, log.with_name("health")
        argv = [sys.executable, "-c", SERVE, str(log), CHILD, str(stable_s), str(spare_s), *modes]
        self.process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def lines(self, start: str = "") -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines() if line.startswith(start)]

    def wait_for(self, start: str, count: int = 1, limit_s: float = 8.0) -> list[str]:
        until_s = time.monotonic() + limit_s
        while len(found := self.lines(start)) < count:
            assert time.monotonic() < until_s, f"no {count} of {start!r} in {self.lines()}"
            time.sleep(0.005)
        return found[count - 1]

    def spare(self) -> list[str]:
        """The log line of the process that is loaded and alive but not working."""
        until_s = time.monotonic() + 8.0
        while True:
            workers = [line[2] for line in self.lines("worker works")]
            waiting = [line for line in self.lines("worker loaded") if line[2] not in workers and alive(line[2])]
            if workers and waiting:
                return waiting[0]
            assert time.monotonic() < until_s, f"no spare in {self.lines()}"
            time.sleep(0.005)

    def wait_for_health(self) -> None:
        """Wait until the health file is touched."""
        until_s = time.monotonic() + 8.0
        self.health_file.unlink(missing_ok=True)
        while not self.health_file.exists():
            assert time.monotonic() < until_s
            time.sleep(0.005)

    def kill(self, line: list[str]) -> float:
        killed_s = time.monotonic()
        os.kill(int(line[2]), signal.SIGKILL)
        wait_gone(line[2])
        return killed_s

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.15)
        error = self.process.communicate(timeout=10)[1]
        return self.process.returncode, error


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serve]]:
    served: list[Serve] = []

    def start(*modes: str, stable_s: float = 0.0, spare_s: float = 0.0) -> Serve:
        served.append(Serve(tmp_path / "log", modes, stable_s, spare_s))
        return served[-1]

    yield start
    for server in served:
        server.process.kill()
        server.process.communicate()
        for line in server.lines("w") + server.lines("store"):
            wait_gone(line[2])


def alive(pid: str) -> bool:
    """Whether the process exists and is not a zombie, which has no executable."""
    return Path(f"/proc/{pid}/exe").exists()


def wait_gone(pid: str, limit_s: float = 2.0) -> None:
    until_s = time.monotonic() + limit_s
    while alive(pid):
        assert time.monotonic() < until_s, f"process {pid} still exists"
        time.sleep(0.01)


def test_programs_start_in_order_and_stop_in_reverse(serve: Callable[..., Serve]) -> None:
    served = serve("store:ready", "web:ready", "worker:")
    served.wait_for("worker works")
    assert served.end(signal.SIGTERM) == (0, "")
    words = [f"{line[0]} {line[1]}" for line in served.lines()]
    started = ["store loaded", "store works", "web loaded", "web works", "worker loaded", "worker works"]
    assert words == [*started, "worker terminated", "web terminated", "store terminated"]


def test_a_program_that_dies_is_restarted(serve: Callable[..., Serve]) -> None:
    served = serve("web:", "worker:")
    for count in (1, 2, 3):
        served.kill(served.wait_for("web works", count))
    served.wait_for("web works", 4)
    assert len(served.lines("worker loaded")) == 1
    code, error = served.end(signal.SIGINT)
    assert code == 0
    assert error.count("was killed by SIGKILL") == 3


@pytest.mark.long
def test_a_program_that_keeps_crashing_stops_everything_with_an_error(serve: Callable[..., Serve]) -> None:
    served = serve("web:", "worker:crash", stable_s=5.0)
    served.wait_for("web works")
    code, error = served.end()
    assert code == 1
    last = error.splitlines()[-1]
    assert last == "error: worker does not stay up: 5 times it ended with exit code 3 soon after its start"
    assert len(served.lines("worker loaded")) == 5
    assert len(served.lines("web terminated")) == 1


def test_a_program_that_refuses_to_start_is_not_restarted(serve: Callable[..., Serve]) -> None:
    served = serve("store:", "worker:spare,refuse", spare_s=1.0)
    code, error = served.end()
    assert (code, error) == (1, "error: worker cannot start\n")
    assert len(served.lines("worker loaded")) == 1, "no spare was started meanwhile"


@pytest.mark.long
def test_a_program_that_was_stable_once_is_restarted_indefinitely(serve: Callable[..., Serve]) -> None:
    served = serve("worker:weak", stable_s=0.3)
    works = served.wait_for("worker works")
    time.sleep(0.5)
    with served.log.open("a") as log:
        log.write("x" * 200 + " grows 0\n")  # larger than 200 bytes: from now on it crashes
    served.kill(works)
    served.wait_for("worker works", 7, 20.0)  # more restarts than a program that never starts gets
    assert served.process.poll() is None


@pytest.mark.long
def test_a_program_that_has_loaded_is_restarted_indefinitely(serve: Callable[..., Serve]) -> None:
    """It may die by what it is given to do, within moments of each start."""
    served = serve("worker:beats", stable_s=60.0)
    for count in range(1, 8):
        works = served.wait_for("worker works", count)
        time.sleep(0.2)  # for its first heartbeat
        served.kill(works)
    served.wait_for("worker works", 8)
    assert served.end(signal.SIGTERM)[0] == 0


@pytest.mark.long
def test_a_program_that_is_never_ready_stops_everything_with_an_error(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare,ready,mute", "web:")
    code, error = served.end()
    assert (code, error) == (1, "error: worker is not ready after 1.5 s\n")
    assert served.lines("web") == []


@pytest.mark.slow
@pytest.mark.alone
def test_the_spare_takes_over_within_100_ms(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare")
    for count in (1, 2, 3):
        works = served.wait_for("worker works", count)
        spare = served.spare()
        killed_s = served.kill(works)
        follower = served.wait_for("worker works", count + 1)
        assert follower[2] == spare[2]
        assert float(follower[3]) - killed_s < 0.1
    served.wait_for("worker loaded", 5)
    assert served.end(signal.SIGTERM)[0] == 0


@pytest.mark.long
def test_a_spare_that_dies_is_replaced_without_affecting_the_active_process(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare")
    works = served.wait_for("worker works")
    served.kill(served.spare())
    fresh = served.spare()
    assert len(served.lines("worker works")) == 1
    served.kill(works)
    assert served.wait_for("worker works", 2)[2] == fresh[2]


def test_a_worker_that_keeps_crashing_is_given_up_with_a_spare_too(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare,crash", stable_s=5.0)
    code, error = served.end()
    assert code == 1
    assert "worker does not stay up" in error
    assert len(served.lines("worker works")) == 5


def test_a_second_signal_kills_at_once(serve: Callable[..., Serve]) -> None:
    served = serve("web:", "worker:stubborn")
    served.wait_for("worker works")
    start_s = time.monotonic()
    assert served.end(signal.SIGTERM, signal.SIGTERM)[0] == 0
    assert time.monotonic() - start_s < 1.2
    assert len(served.lines("worker terminated")) == 1


@pytest.mark.long
def test_programs_that_ignore_sigterm_are_killed(serve: Callable[..., Serve]) -> None:
    served = serve("worker:stubborn")
    served.wait_for("worker works")
    start_s = time.monotonic()
    assert served.end(signal.SIGTERM)[0] == 0
    assert 1.4 < time.monotonic() - start_s < 3.0


def test_a_killed_supervisor_takes_its_children_with_it(serve: Callable[..., Serve]) -> None:
    served = serve("web:", "worker:spare")
    served.wait_for("worker loaded", 2)
    served.process.kill()
    for line in served.lines():
        wait_gone(line[2])


def test_grandchildren_of_a_killed_child_are_killed(serve: Callable[..., Serve]) -> None:
    served = serve("worker:parent")
    pid = served.wait_for("worker grandchild")[2]
    served.kill(["", "", served.wait_for("worker works")[2]])
    wait_gone(pid)


@pytest.mark.long
@pytest.mark.parametrize("signals", [(signal.SIGSTOP,), ()], ids=["stopped", "blocked event loop"])
def test_a_program_that_hangs_is_killed_and_restarted(serve: Callable[..., Serve], signals: tuple[int, ...]) -> None:
    served = serve("worker:beats" if signals else "worker:beats,blocked")
    works = served.wait_for("worker works")
    time.sleep(1.2)  # for its first heartbeat: until then it is starting, and may take long
    for number in signals:
        os.kill(int(works[2]), number)
    hung_s = time.monotonic()
    follower = served.wait_for("worker works", 2)
    assert follower[2] != works[2]
    assert float(follower[3]) - hung_s < 2.5 + 1.5
    wait_gone(works[2])
    served.process.terminate()
    assert f"worker (process {works[2]}) did not respond for 2.5 s and was killed" in served.end()[1]


@pytest.mark.long
def test_a_program_that_reports_that_it_hangs_is_killed(serve: Callable[..., Serve]) -> None:
    served = serve("worker:beats,stuck", stable_s=5.0)
    code, error = served.end()
    assert code == 1
    assert error.count(") reported that it hangs and was killed\n") == 5


def test_the_health_file_is_touched_while_all_programs_work(serve: Callable[..., Serve]) -> None:
    served = serve("web:", "worker:beats")
    works = served.wait_for("worker works")
    served.wait_for_health()
    served.kill(works)
    served.wait_for("worker works", 2)
    served.wait_for_health()
    assert served.end(signal.SIGTERM)[0] == 0
    served.health_file.unlink()


@pytest.mark.long
def test_a_program_that_never_works_leaves_no_health_file(serve: Callable[..., Serve]) -> None:
    served = serve("web:", "worker:beats,stuck", stable_s=5.0)
    assert served.end()[0] == 1
    assert len(served.lines("worker works")) == 5
    assert not served.health_file.exists()


@pytest.mark.long
def test_the_spare_takes_over_from_a_program_that_hangs(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare,waits")
    works, spare = served.wait_for("worker works"), served.spare()
    time.sleep(1.2)
    os.kill(int(works[2]), signal.SIGSTOP)
    assert served.wait_for("worker works", 2)[2] == spare[2]
    wait_gone(works[2])


@pytest.mark.long
def test_the_spare_takes_over_from_a_program_that_hangs_while_it_starts(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare,waits,starts")
    works, spare = served.wait_for("worker works"), served.spare()
    os.kill(int(works[2]), signal.SIGSTOP)
    assert served.wait_for("worker works", 2)[2] == spare[2]
    wait_gone(works[2])


@pytest.mark.slow
def test_a_spare_that_hangs_is_replaced(serve: Callable[..., Serve]) -> None:
    served = serve("worker:spare,waits")
    works, spare = served.wait_for("worker works"), served.spare()
    time.sleep(1.2)
    os.kill(int(spare[2]), signal.SIGSTOP)
    wait_gone(spare[2], 8.0)
    assert served.spare()[2] not in (works[2], spare[2])
    assert len(served.lines("worker works")) == 1


@pytest.mark.slow
def test_a_supervisor_that_was_stopped_kills_nobody(serve: Callable[..., Serve]) -> None:
    """As a sleeping laptop: everything stops at once, and continues at once."""
    served = serve("worker:beats")
    works = served.wait_for("worker works")
    time.sleep(1.2)
    pids = [served.process.pid, int(works[2])]
    for number, pause_s in ((signal.SIGSTOP, 5.0), (signal.SIGCONT, 4.0)):
        for pid in pids:
            os.kill(pid, number)
        time.sleep(pause_s)
    assert alive(works[2])
    assert len(served.lines("worker works")) == 1


SERVE_REDIS = """
import asyncio, sys
from pathlib import Path
from stream.log import configure
from stream.serve import redis_server, supervise, watch
from stream.serve.child import Program
configure(0, False)
watch._NOTICE_S = 1.0
folder, silent_s = Path(sys.argv[1]), float(sys.argv[2])
def ask(question):
    return lambda: asyncio.to_thread(question, folder)
redis = Program("redis", redis_server.command(folder), ready=ask(redis_server.answers),
                watch=watch.Watch(silent_s, ask(redis_server.responds)))
asyncio.run(supervise.Supervisor([redis]).run())
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_redis_server_that_dies_or_hangs_comes_back_with_its_data(tmp_path: Path, number: signal.Signals) -> None:
    """The real server as a supervised program, as `serve` runs it."""
    argv = [sys.executable, "-c", SERVE_REDIS, str(tmp_path), "3"]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
    pids = []
    for value in ("first", "second"):
        wait_for_answer(tmp_path, 20.0)
        with redis.Redis.from_url(redis_server.address(tmp_path), decode_responses=True) as client:
            pids.append(client.info("server")["process_id"])
            assert client.set("key", value, get=True) == (None if value == "first" else "first")
        os.kill(pids[-1], signal.SIGKILL if value == "second" else number)
    wait_for_answer(tmp_path)
    process.terminate()
    assert process.wait(10) == 0
    assert not redis_server.answers(tmp_path)
    assert pids[0] != pids[1]


@pytest.mark.slow
def test_a_redis_server_that_pauses_is_not_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SERVE_REDIS, str(tmp_path), "30"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_for_answer(tmp_path)
        assert process.stderr is not None
        with redis.Redis.from_url(redis_server.address(tmp_path), decode_responses=True) as client:
            pid = client.info("server")["process_id"]
            time.sleep(2.0)  # until the supervisor has had an answer: before that, the server is starting
            os.kill(pid, signal.SIGSTOP)
            assert "redis has not responded for" in process.stderr.readline()
            os.kill(pid, signal.SIGCONT)
            assert "redis responds again" in process.stderr.readline()
            assert client.info("server")["process_id"] == pid
        process.terminate()
        assert (process.wait(10), process.stderr.read()) == (0, "")


def wait_for_answer(folder: Path, limit_s: float = 8.0) -> None:
    until_s = time.monotonic() + limit_s
    while not redis_server.answers(folder):
        assert time.monotonic() < until_s
        time.sleep(0.01)
