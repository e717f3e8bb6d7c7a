"""A stand-in for a v4l2loopback device, and clips whose frames can be told apart after a virtual camera showed them."""

import fcntl
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.media import DATA

WIDTH, HEIGHT, RATE = 64, 48, 25
BYTES = WIDTH * HEIGHT * 3 // 2
STEP = 4  # levels between the luma of a frame and that of the next one

Picture = npt.NDArray[np.uint8]


def luma(n: int) -> int:
    """Of frame `n` of `write_grey_clip`."""
    return 20 + STEP * n


def write_grey_clip(path: Path, frames: int = 50, sound_s: float = 0.0) -> Path:
    """A lossless clip, each frame of which is uniformly grey; with `sound_s` seconds of AAC, a tone."""
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=Fraction(RATE))
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="stereo") if sound_s else None
        for n in range(frames):
            pixels = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            pixels[:HEIGHT] = luma(n)
            picture = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            picture.pts = n
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if sound is not None:
            wave = 0.3 * np.sin(np.arange(round(48_000 * sound_s)) * 0.06).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
            samples.sample_rate, samples.pts = 48_000, 0
            container.mux(sound.encode(samples))
            container.mux(sound.encode())
    return path


def number_shown(picture: Picture) -> int:
    """The number of the frame; -1 for black. Fails for a torn picture: one with parts of two frames."""
    levels = np.unique(picture[:HEIGHT])
    assert int(levels[-1]) - int(levels[0]) <= 1, f"torn: luma of {levels.tolist()}"
    chroma = picture[HEIGHT:]
    assert abs(chroma.astype(int) - 128).max() <= 1
    return -1 if levels[0] <= 17 else round((float(levels.mean()) - luma(0)) / STEP)


class LoopbackDevice:
    """A FIFO, which programs started with `environment` take for a v4l2loopback device. Skips where gcc is missing.

    environment: for programs. size: WxH that it insists on. fifo: False for an empty file, which grows. This process
    has a FIFO open, so that it is watched.
    """

    def __init__(self, folder: Path, size: str = "", fifo: bool = True) -> None:
        self.path = folder / "video10"
        self.environment = os.environ | {
            "LD_PRELOAD": preloaded(folder, "loopback_device"),
            "LOOPBACK_DEVICE": str(self.path),
        }
        if size:
            self.environment["LOOPBACK_SIZE"] = size
        self._buffer = b""
        if not fifo:
            self.path.touch()
            return
        os.mkfifo(self.path)
        self._file = os.open(self.path, os.O_RDWR)  # a FIFO without a writer would end
        fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, 2**20)  # room for what is written while nobody reads

    def pictures(self, timeout_s: float = 60.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Iterator[Picture]:
        """All pictures written to it, until there is none for so long."""
        length = size[0] * size[1] * 3 // 2
        while select.select([self._file], [], [], timeout_s)[0]:
            self._buffer += os.read(self._file, length)
            while len(self._buffer) >= length:
                picture, self._buffer = self._buffer[:length], self._buffer[length:]
                yield np.frombuffer(picture, np.uint8).reshape(size[1] * 3 // 2, size[0])

    def drain(self) -> int:
        """Read what was written so far; returns the number of bytes beyond whole pictures."""
        for _ in self.pictures(timeout_s=0.0):
            pass
        rest, self._buffer = len(self._buffer), b""
        return rest

    def close(self) -> None:
        os.close(self._file)


def preloaded(folder: Path, name: str) -> str:
    """The path of a stand-in in tests/data, compiled into the folder. Skips the test where gcc is missing."""
    if sys.platform != "linux":
        pytest.skip("stand-ins for V4L2 devices run on Linux only")
    compiler = shutil.which("gcc") or pytest.skip("stand-ins for V4L2 devices need gcc")
    library = folder / f"{name}.so"
    source = DATA / f"{name}.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return str(library)


def rate_of(times_s: list[float]) -> float:
    """Pictures per second between the first and the last of these times."""
    return (len(times_s) - 1) / (times_s[-1] - times_s[0])


def timed(pictures: Iterator[Picture], count: int) -> tuple[list[Picture], list[float]]:
    """So many pictures, and when each was read, in seconds."""
    found, times_s = [], []
    for picture in pictures:
        found.append(picture)
        times_s.append(time.monotonic())
        if len(found) == count:
            break
    return found, times_s
