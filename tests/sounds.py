"""Clips with sound of any rate, layout and codec, with one tone per channel, and functions that detect the tones."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from tests.media import numbered

Wave = npt.NDArray[np.float32]
FIRST_HZ, STEP_HZ = 300, 200


def tones(channels: int, seconds: float = 1.0, rate: int = 48_000, from_s: float = 0.0) -> Wave:
    """(samples, channels), float: 300 Hz in the first channel, 200 Hz more in each other. from_s: silence before."""
    t = np.arange(round(seconds * rate)) / rate
    waves = [0.2 * np.sin(2 * np.pi * (FIRST_HZ + STEP_HZ * n) * t) * (t >= from_s) for n in range(channels)]
    return np.stack(waves, axis=1).astype(np.float32)


def clip_with(
    path: Path, wave: Wave, *, layout: str = "stereo", rate: int = 48_000, codec: str = "aac", size: int = 48
) -> Path:
    """A video of 30 frames a second as long as the sound, square, H.264 and `codec`."""
    frames = round(len(wave) / rate * 30)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30, options={"bf": "0", "threads": "1"})
        video.width, video.height, video.pix_fmt = size, size, "yuv420p"
        sound = cast(av.AudioStream, out.add_stream(codec, rate=rate))
        sound.codec_context.layout = av.AudioLayout(layout)
        samples = sound.codec_context.codec.audio_formats or [av.AudioFormat("s16")]
        resampler = av.AudioResampler(samples[0], layout, rate)
        for n in range(frames):
            out.mux(video.encode(av.VideoFrame.from_ndarray(numbered(n, size, size), format="rgb24")))
            start, end = round(n * rate / 30), round((n + 1) * rate / 30)
            for frame in resampler.resample(_frame(wave[start:end], layout, rate, start)):
                out.mux(sound.encode(frame))
        out.mux(video.encode(None))
        for frame in resampler.resample(None):
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def _frame(wave: Wave, layout: str, rate: int, start: int) -> av.AudioFrame:
    """Interleaved: PyAV does not convert planar samples of more than seven channels."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave.reshape(1, -1)), format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def joined(path: Path, *parts: Path) -> Path:
    """The parts one after the other, byte by byte, as recorders and `cat` join transport streams."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def moved(path: Path, source: Path, by_s: float) -> Path:
    """The same packets with later times."""
    with av.open(str(source)) as a, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in a.streams}
        for packet in a.demux():
            if packet.size and packet.time_base:
                ticks = round(by_s / packet.time_base)
                packet.pts, packet.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return path


def with_packets(path: Path, source: Path, change: Any) -> Path:
    """A copy in which `change(number, packet)` has replaced each packet of sound; None leaves it out."""
    with av.open(str(source)) as a, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in a.streams}
        number = 0
        for packet in a.demux():
            if not packet.size:
                continue
            stream, kept = streams[packet.stream.index], cast(Any, packet)
            if packet.stream.type == "audio":
                kept, number = change(number, packet), number + 1
            if kept is not None:
                kept.stream = stream
                out.mux(kept)
    return path


def heard(path: Path) -> tuple[Wave, int, str]:
    """Samples (samples, channels) of the first audio track, gaps in its times closed up, with its rate and layout."""
    resampler, chunks = av.AudioResampler("flt"), []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            chunks += [f.to_ndarray().reshape(-1, f.layout.nb_channels) for f in resampler.resample(frame)]
            rate, layout = frame.sample_rate, frame.layout.name
    return np.concatenate(chunks), rate, layout


def pitches(path: Path, part: slice = slice(None)) -> dict[str, list[int]]:
    """The numbers of the tones in each channel of the first audio track; 0 is the tone of 300 Hz."""
    layout = heard(path)[2]
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    return dict(zip(names, tones_in(path, part), strict=True))


def tones_in(path: Path, part: slice = slice(None)) -> list[list[int]]:
    """As `pitches`, as a list in the order of the channels. part: of the samples; the middle by default."""
    wave, rate, _ = heard(path)
    wave = wave[part] if part != slice(None) else wave[len(wave) // 4 : len(wave) * 3 // 4]
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))[:, None], axis=0)) / len(wave)
    bins = [round((FIRST_HZ + STEP_HZ * n) * len(wave) / rate) for n in range(16)]
    levels = np.array([spectrum[at - 2 : at + 3].max(axis=0) for at in bins])
    return [[int(n) for n in np.flatnonzero(channel > 0.005)] for channel in levels.T]


def times_of(path: Path, kind: str = "audio") -> list[Fraction]:
    """Decoding times of all packets of the first stream of a kind, in seconds."""
    with av.open(str(path)) as container:
        packets = container.demux(getattr(container.streams, kind)[0])
        return [p.dts * p.time_base for p in packets if p.size and p.dts is not None and p.time_base]


def onset_s(path: Path) -> float:
    """The time at which the sound of the first audio track begins to be loud."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt")
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                loud = np.flatnonzero(np.abs(part.to_ndarray().reshape(-1, part.layout.nb_channels)).max(axis=1) > 0.05)
                if len(loud):
                    return float((part.pts or 0) * (part.time_base or 0) + Fraction(int(loud[0]), part.sample_rate))
    raise AssertionError("silence")


def increasing(times: Sequence[Fraction]) -> bool:
    return all(a < b for a, b in pairwise(times))
