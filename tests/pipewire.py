"""A desktop session with PipeWire alone, in a folder of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stream.serve.die_with_parent import tied
from tests.waiting import until

_PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "pw-dump", "gst-launch-1.0")


class PipeWire:
    """Starts a session bus, PipeWire and WirePlumber. environment: for programs of this session.

    Skips the test where they are not installed.
    """

    def __init__(self, folder: Path) -> None:
        if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
            pytest.skip(f"needs PipeWire and GStreamer: {', '.join(missing)} not installed")
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        self.environment: dict[str, str] = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(folder)}
        self._processes: list[subprocess.Popen[str]] = []
        bus = self._start("dbus-daemon", "--session", "--nofork", "--print-address=1")
        assert bus.stdout is not None
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        self._start("pipewire")
        until(lambda: (runtime / "pipewire-0").exists())
        self._start("wireplumber")
        until(lambda: "wireplumber" in self.run("pw-dump").lower())

    def _start(self, *argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            tied(argv), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._processes.append(process)
        return process

    def run(self, *argv: str) -> str:
        """The output of a program of this session."""
        completed = subprocess.run(
            argv, env=self.environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )
        return completed.stdout

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.communicate()
