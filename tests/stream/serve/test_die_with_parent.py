import os
import signal
import subprocess
import sys
import time

import pytest

from stream.serve.die_with_parent import tied
from tests.media import ROOT

PARENT = """
import os, subprocess, sys, time
from stream.serve.die_with_parent import tied
sleep = ["-c", "import time; time.sleep(60)"]
watch = "import os, sys; from stream.serve.die_with_parent import die_with_watcher; die_with_watcher(int(sys.argv[1]));"
watch += "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
how = {"kernel": tied([sys.executable, *sleep]), "watcher": [sys.executable, "-c", watch, str(os.getpid()), *sleep]}
print(subprocess.Popen(how[sys.argv[1]], start_new_session=True).pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["kernel", "watcher"])
def test_a_child_is_killed_with_its_parent(how: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, how], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.4)
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until_s = time.monotonic() + 2.0
    while alive(pid) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not alive(pid)


def test_the_command_becomes_the_program() -> None:
    process = subprocess.Popen(tied([sys.executable, "-c", "import os; print(os.getpid())"]), stdout=subprocess.PIPE)
    assert int(process.communicate()[0]) == process.pid
    assert process.returncode == 0


def test_a_missing_program_is_named() -> None:
    done = subprocess.run(tied(["/nowhere/at all"]), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: /nowhere/at all: No such file or directory\n")


def test_a_parent_that_ended_before_the_start_is_detected() -> None:
    argv = tied([sys.executable, "-c", "print('alive')"])
    argv[4] = str(os.getppid())  # not our process id
    done = subprocess.run(argv, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")
