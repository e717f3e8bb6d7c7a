"""How many live videos a worker can process: measured when it starts. Also its current CPU load and memory."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from stream.picture.bt601 import ToBt601
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
_USABLE = 0.85  # share of the CPU time to plan with: the rest is for decoding, packets and other programs
_FULL = 0.9  # CPU load from which a worker takes no more videos


def videos(engine: Engine, settings: Settings) -> int:
    """Number of videos of 1280x720 at 30 frames per second that this machine can process with this engine, at least 1.

    Limited by the CPU time per frame, from decoded pixels to the encoded packet, and, if the engine runs on another
    device, by the time per frame there. `settings.live_sessions`, if set, is returned instead.
    """
    if settings.live_sessions:
        return settings.live_sessions
    cpu_s, wall_s = _cost_s(engine, settings)
    by_cpu = settings.cores() * _USABLE / (_RATE * cpu_s)
    by_device = float("inf") if engine.device.startswith("cpu") else engine.batch / (_RATE * wall_s)
    return max(1, int(min(by_cpu, by_device)))


def _cost_s(engine: Engine, settings: Settings) -> tuple[float, float]:
    """CPU time and elapsed time per frame, in seconds."""
    source = PatternSource(*_SIZE, _WARM_UP + _FRAMES)
    encoder = LiveEncoder("H264", *_SIZE, fitting_bps(*_SIZE, _RATE, settings.max_bitrate), settings)
    to_bt601 = ToBt601()
    matte = LiveMatte(Options(), engine, settings)
    matte.open(source.info)
    try:
        pictures = (to_bt601(to_av(done, "yuv420p")) for frame in source for done in matte(frame))
        frames = (encoder.encode(picture, False) for picture in pictures)
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
    """A call returns the CPU load of this process since the previous call, as a share of `cores`, 0-1."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._then = (time.monotonic(), _used_s())

    def __call__(self) -> float:
        (then_s, before_s), now = self._then, (time.monotonic(), _used_s())
        self._then = now
        return min(1.0, max(0.0, (now[1] - before_s) / max(now[0] - then_s, 1e-3) / self._cores))


def has_capacity(load: float) -> bool:
    """Whether a worker with this CPU load, 0-1, may take one more video."""
    return load < _FULL


def memory() -> dict[str, int]:
    """Memory used by this process, in bytes, as fields of `Worker`. Does not import torch."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)  # None also while another thread is importing torch
    on_device = cuda.memory_reserved() if cuda is not None and cuda.is_initialized() else 0
    return {"memory_bytes": _resident(), "device_bytes": int(on_device)}


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the peak since the start; macOS returns bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _used_s() -> float:
    times = os.times()
    return times.user + times.system
