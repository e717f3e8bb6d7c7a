"""How many live videos this machine can process: measured once at the start, and monitored while it runs."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from stream.picture.frames import to_av
from stream.records.options import Options
from stream.rtc.encoder import LiveEncoder, fitting_bps
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from workers.engines.base import Engine
from workers.live.matte import LiveMatte

_SIZE = (1280, 720)
_RATE = 30.0
_WARM_UP, _FRAMES = 3, 12
_USABLE = 0.85  # of the cores: the rest is for decoding, packets and other programs
_FULL = 0.9


def videos(engine: Engine, settings: Settings) -> int:
    """Videos of 1280x720 at 30 frames per second that this machine can process with this engine; at least one.

    Counts the CPU time per frame from pixels to packet, and the time on the engine's device, if that is not the CPU.
    `settings.live_sessions` overrides it, if set.
    """
    if settings.live_sessions:
        return settings.live_sessions
    cpu_s, wall_s = _cost_s(engine, settings)
    by_cpu = settings.cores() * _USABLE / (_RATE * cpu_s)
    by_device = float("inf") if engine.device.startswith("cpu") else engine.batch / (_RATE * wall_s)
    return max(1, int(min(by_cpu, by_device)))


def _cost_s(engine: Engine, settings: Settings) -> tuple[float, float]:
    """CPU time and elapsed time for one frame, in seconds."""
    source = PatternSource(*_SIZE, _WARM_UP + _FRAMES)
    encoder = LiveEncoder("H264", *_SIZE, fitting_bps(*_SIZE, _RATE, settings.max_bitrate), settings)
    matte = LiveMatte(Options(), engine, settings)
    matte.open(source.info)
    try:
        frames = (encoder.encode(to_av(done, "yuv420p"), False) for frame in source for done in matte(frame))
        _run(frames, _WARM_UP)
        cpu_s, wall_s = time.process_time(), time.monotonic()
        _run(frames, _FRAMES)
        return (time.process_time() - cpu_s) / _FRAMES, (time.monotonic() - wall_s) / _FRAMES
    finally:
        matte.close()


def _run(packets: Iterator[object], count: int) -> None:
    for encoded in islice(packets, count):
        list(encoded)  # type: ignore[call-overload]


class Load:
    """The share of its cores that this process used since the last call, 0 to 1."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._then = (time.monotonic(), _used_s())

    def __call__(self) -> float:
        (then_s, before_s), now = self._then, (time.monotonic(), _used_s())
        self._then = now
        return min(1.0, max(0.0, (now[1] - before_s) / max(now[0] - then_s, 1e-3) / self._cores))


def has_capacity(load: float) -> bool:
    """Whether a worker under this load should take one more video, whatever capacity it measured at its start."""
    return load < _FULL


def memory() -> dict[str, int]:
    """Memory used by this process, in bytes, as fields of `Worker`. torch is queried only if it is in use."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)  # missing while another thread imports torch
    on_device = cuda.memory_reserved() if cuda is not None and cuda.is_initialized() else 0
    return {"memory_bytes": _resident(), "device_bytes": int(on_device)}


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the peak so far, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _used_s() -> float:
    times = os.times()
    return times.user + times.system
