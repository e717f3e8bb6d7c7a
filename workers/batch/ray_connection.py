"""Connects to a Ray cluster, or starts one on this machine."""

import io
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from secrets import token_hex
from signal import getsignal, signal
from typing import Any

from stream.errors import UsageError
from stream.install import install_command
from stream.settings import settings
from stream.signals import endings, postponed

_log = logging.getLogger(__name__)

LOCAL, AUTO = "local", "auto"
_STORE_BYTES = 80 * 2**20  # Ray's object store, of `local`: only short texts pass through it
_REACH_S = 5.0  # Ray itself tries for minutes
_HINT = "start one with: ray start --head; or use --address local"


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected to a running cluster, or to one that is started for this block.

    address: as in `RayCluster`. Raises UsageError if Ray is not installed, or there is no cluster.
    """
    ray = _import_ray(address)
    folder = tempfile.TemporaryDirectory(
        prefix="mb-", ignore_cleanup_errors=True
    )  # of `local`; Ray's paths must be short
    with redirect_stdout(_Log()), folder:  # Ray reports faults of nodes on stdout, which belongs to `--json`
        try:
            _start(ray, folder.name) if address == LOCAL else _connect(ray, address)
            yield ray
        finally:
            with postponed():  # as in `_start`
                ray.shutdown()


class _Log(io.TextIOBase):
    """Writes to the log what is printed: when a node is lost, Ray prints the last lines of its log."""

    def write(self, text: str) -> int:
        if text.strip():
            _log.info("%s", text.rstrip())
        return len(text)


def _import_ray(address: str) -> Any:
    # Ray reads these when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
    if address == LOCAL:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # without other machines: it listens on loopback only
        # Ray would write its token into the home directory, and `ray start` would then require it, too.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
        os.environ.pop("RAY_ADDRESS", None)
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError(f"mattebox batch needs an extra: {install_command('mattebox[ray]')}") from None
    return ray


def _start(ray: Any, folder: str) -> None:
    with postponed():  # interrupted halfway, processes would be left
        ray.init(
            LOCAL, num_cpus=settings().cores(), include_dashboard=False, object_store_memory=_STORE_BYTES,
            _temp_dir=folder, **_quiet(),
        )  # fmt: skip


def _connect(ray: Any, address: str) -> None:
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or AUTO
    _check_reachable(address)
    try:
        with _same_signals():
            try:
                ray.init(address=address, **_quiet())
            except ConnectionAbortedError:  # the first program of a ray:// server may die while it starts
                ray.init(address=address, **_quiet())
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as exc:
        if address == AUTO:
            raise UsageError(f"no Ray cluster runs on this machine; {_HINT}") from None
        raise UsageError(f"cannot connect to the Ray cluster at {address}: {first_line(exc)}") from None


def _check_reachable(address: str) -> None:
    """Raises UsageError if nothing listens at HOST:PORT or ray://HOST:PORT."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except (OSError, OverflowError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else "") or exc
        raise UsageError(f"there is no Ray cluster at {address}: {reason}; {_HINT}") from None


def _quiet() -> dict[str, Any]:
    return {"logging_level": logging.ERROR, "log_to_driver": False}


@contextmanager
def _same_signals() -> Iterator[None]:
    """Ray replaces the handlers of signals; this restores those of the command line."""
    before = {number: getsignal(number) for number in endings()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)


def first_line(exc: Exception) -> str:
    """The most telling line of an error of Ray."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    traceback_follows = lines[0].endswith(":") or isinstance(getattr(exc, "cause", None), Exception)
    return lines[-1 if traceback_follows else 0][:300]
