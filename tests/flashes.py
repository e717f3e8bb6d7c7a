"""A clip whose picture flashes and whose sound beeps at the same moments, and the measurement of the offset."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE, SIZE = 25, (320, 240)
_FLASH_S = 0.12
_PHASE = 0.48  # share of every period before its flash: a time of a frame at 25 frames per second
_BACKGROUND, _FLASH = (0, 200, 60), (255, 255, 255)


def make_clip(
    path: Path,
    duration_s: float,
    codec: str = "aac",
    rate_hz: int = 48_000,
    every_s: float = 1.0,
    picture_codec: str = "libx264",
) -> Path:
    """Write a picture and sound into `path`, with a flash and a beep of 0.12 s in each period of every_s.

    codec: FFmpeg's name of the audio encoder. every_s: a whole number, so that flashes begin with a frame.
    """
    with av.open(path, "w") as container:
        video: Any = container.add_stream(picture_codec, rate=RATE)
        video.width, video.height = SIZE
        video.gop_size = RATE // 2
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "threads": "1"}
        sound: Any = container.add_stream(codec, rate=rate_hz)
        sound.codec_context.layout = "mono" if codec.startswith("pcm") else "stereo"
        samples = _beeps(duration_s, rate_hz, every_s)
        blocks = rate_hz // RATE
        resampler = av.AudioResampler(sound.codec_context.format.name, sound.codec_context.layout.name, rate_hz)
        for n in range(round(duration_s * RATE)):
            colour = _FLASH if _is_flash(n / RATE, every_s) else _BACKGROUND
            picture = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), colour, np.uint8), format="rgb24")
            picture.pts, picture.time_base = n, Fraction(1, RATE)
            container.mux(video.encode(picture.reformat(format="yuv420p")))
            block = np.ascontiguousarray(samples[None, n * blocks : (n + 1) * blocks])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, n * blocks, Fraction(1, rate_hz)
            for converted in resampler.resample(frame):
                container.mux(sound.encode(converted))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def _is_flash(time_s: float, every_s: float) -> bool:
    return -1e-6 <= time_s % every_s - _PHASE * every_s < _FLASH_S - 1e-6


def _beeps(duration_s: float, rate_hz: int, every_s: float) -> Any:
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    since_s = times_s % every_s - _PHASE * every_s
    tone = np.sin(2 * np.pi * 1000 * times_s) * ((since_s >= 0) & (since_s < _FLASH_S))
    return (tone * 12_000).astype(np.int16)


def flashes_s(brightness: Iterable[tuple[float, float]]) -> list[float]:
    """When each flash begins. brightness: (time in seconds, mean luma 0-255) of each frame. Those whose first frame may
    be missing are left out."""
    return _rises([(time_s, luma > 190) for time_s, luma in brightness], 1.5 / RATE)


def beeps_s(loudness: Iterable[tuple[float, float]]) -> list[float]:
    """When each beep begins. loudness: (time in seconds, peak 0-1) of short blocks of sound."""
    return _rises([(time_s, peak > 0.1) for time_s, peak in loudness], 0.1)


def _rises(states: Sequence[tuple[float, bool]], longest_s: float) -> list[float]:
    """The times at which the state becomes true. longest_s: between two states."""
    return [
        time_s
        for (before_s, before), (time_s, now) in pairwise(states)
        if now and not before and time_s - before_s < longest_s
    ]


def loudness(frame: Any) -> list[tuple[float, float]]:
    """(time in seconds, peak 0-1) of each 5 ms of a decoded av.AudioFrame."""
    start_s, step = float(frame.pts * frame.time_base), frame.sample_rate // 200
    peaks: list[tuple[float, float]] = []
    for mono in av.AudioResampler("flt", "mono", frame.sample_rate).resample(frame):
        samples = np.abs(mono.to_ndarray()[0])
        starts = range(0, len(samples), step)
        peaks += [(start_s + n / frame.sample_rate, float(samples[n : n + step].max())) for n in starts]
    return peaks


def measured(path: Path) -> tuple[list[float], list[float]]:
    """When the flashes and the beeps of a file begin, in seconds."""
    luma, peaks = [], []
    with av.open(path) as container:
        for frame in container.decode(container.streams.video[0], container.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                luma.append((float(frame.time or 0), float(frame.to_ndarray(format="gray").mean())))
            else:
                peaks += loudness(frame)
    return flashes_s(luma), beeps_s(peaks)


def offsets_s(flashes: Sequence[float], beeps: Sequence[float]) -> list[float]:
    """For each flash, the time by which the nearest beep is later, in seconds."""
    return [min((beep - flash for beep in beeps), key=abs) for flash in flashes]
