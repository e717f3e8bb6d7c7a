"""Generated clips, with a number drawn into each frame so that tests can identify it, and the `mattebox` command.

The command is here because tests use it to process such clips.
"""

import math
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Frame
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources.file import FileSource
from stream.sources.pattern import PatternSource
from tests.fakes import Unchanged

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
TALK = DATA / "talk_bikes.mp4"
TALK_ALPHA = DATA / "talk_bikes_alpha.mkv"
PREVIOUS_VERSION = DATA / "previous_version.tar.xz"

UNEVEN_MS = [0, 33, 66, 500, 520, 1900, 1933]  # times of the frames of a video of variable rate
GREEN_YUV = (173, 42, 26)  # of #00ff00 in BT.709, limited range

Image = npt.NDArray[np.uint8]
_BITS = 8


def numbered(n: int, width: int = 64, height: int = 48) -> Image:
    """RGB (H, W, 3): `n` (0-255) as eight grey bars, dark for 0 and light for 1, above a coloured half."""
    image = np.full((height, width, 3), (60, 120, 200), np.uint8)
    edges = np.linspace(0, width, _BITS + 1).round().astype(int)
    for bit in range(_BITS):
        image[: height // 2, edges[bit] : edges[bit + 1]] = 220 if n >> bit & 1 else 30
    return image


def number_of(frame: Frame) -> int:
    """The number drawn by `numbered`, read from luma."""
    luma = frame.pixels[: frame.height // 2, : frame.width]
    edges = np.linspace(0, frame.width, _BITS + 1).round().astype(int)
    bars = [luma[:, edges[bit] : edges[bit + 1]].mean() > 128 for bit in range(_BITS)]
    return sum(int(bright) << bit for bit, bright in enumerate(bars))


def write_video(
    path: Path,
    images: Iterable[Image | av.VideoFrame],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: Fraction = Fraction(30),
    times_ms: Sequence[int] | None = None,
    sound_s: float = 0.0,
    sound_codec: str = "aac",
    options: dict[str, str] | None = None,
    colour: tuple[int, int, int, int] | None = None,
    sar: Fraction | None = None,
    container: str | None = None,
    muxing: dict[str, str] | None = None,
    display: Sequence[float] | None = None,
) -> Path:
    """Encode `images` (RGB arrays, or frames already in `pix_fmt`), with `sound_s` seconds of beeps.

    times_ms: one presentation time per frame. colour: matrix, range, primaries, transfer as numbers of ITU-T H.273.
    muxing: options of the container.
    display: a, b, c and d of a display matrix.
    """
    out = av.open(str(path), "w", format=container, options=muxing or {})
    stream = cast(av.VideoStream, out.add_stream(codec, rate=rate))
    context = stream.codec_context
    context.pix_fmt, context.options, context.thread_count = pix_fmt, options or {}, 1
    context.time_base = Fraction(1, 1000) if times_ms is not None else 1 / rate
    if colour is not None:
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = colour
    if sar is not None:
        context.sample_aspect_ratio = sar
    if display is not None:
        a, b, c, d = (round(v * 65536) for v in display)
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    sound = _beep(out, sound_s, sound_codec) if sound_s else iter(())
    for n, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24") if isinstance(image, np.ndarray) else image
        if n == 0:
            context.width, context.height = frame.width, frame.height
        frame.pts = n if times_ms is None else times_ms[n]
        frame.time_base = context.time_base
        out.mux(stream.encode(frame))
        _mux_until(out, sound, float(frame.pts * frame.time_base))
    out.mux(stream.encode(None))
    _mux_until(out, sound, math.inf)
    out.close()
    return path


def _mux_until(out: Any, sound: Any, until_s: float) -> None:
    for now_s, packets in sound:
        out.mux(packets)
        if now_s >= until_s:
            return


def _beep(out: Any, seconds: float, codec: str) -> Any:
    """Alternately half a second of 440 Hz and of silence, so that times can be measured."""
    rate = 48_000
    stream = out.add_stream(codec, rate=rate)
    stream.layout = "mono"

    def packets() -> Any:
        for at in range(0, int(seconds * rate), 1024):
            t = (at + np.arange(1024)) / rate
            tone = (t % 1 < 0.5) & (t < seconds)
            wave = (0.4 * np.sin(2 * np.pi * 440 * t) * tone).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.pts, frame.sample_rate, frame.time_base = at, rate, Fraction(1, rate)
            resampled = stream.codec_context.format.name != "fltp"
            frames = (
                av.AudioResampler(stream.codec_context.format, "mono", rate).resample(frame) if resampled else [frame]
            )
            yield at / rate, [p for f in frames for p in stream.encode(f)]
        yield math.inf, stream.encode(None)

    return packets()


def numbered_clip(path: Path, frames: int = 12, width: int = 64, height: int = 48, **settings: Any) -> Path:
    return write_video(path, (numbered(n, width, height) for n in range(frames)), **settings)


def first_frames(source: Path, path: Path, count: int) -> Path:
    """The first frames of a video, losslessly, in `path` (.mkv)."""
    with av.open(str(source)) as whole:
        frames = list(islice(whole.decode(video=0), count))
    first = frames[0]
    colour = (first.colorspace, first.color_range, first.color_primaries, first.color_trc)
    return write_video(path, frames, codec="ffv1", pix_fmt=first.format.name, colour=colour)


def remuxed(
    source: Path,
    path: Any,
    *,
    picture_s: float = 0.0,
    sound_s: float = 0.0,
    lost: tuple[float, float] | None = None,
    sound_lost: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """The same packets in another file, later by `picture_s` and `sound_s`.

    path: or a file object, for MP4; it is returned, too.

    lost: without the frames between these two times, in seconds; with `sound_lost`, also without the sound there.
    """
    target: Any = str(path) if isinstance(path, Path) else path
    form = None if isinstance(path, Path) else "mp4"
    with av.open(str(source)) as whole, av.open(target, "w", format=form, options=options or {}) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if not packet.size:
                continue
            assert packet.pts is not None
            assert packet.dts is not None, "Matroska stores no decoding times of reordered frames"
            is_picture = packet.stream.type == "video"
            if lost and (is_picture or sound_lost) and lost[0] <= packet.pts * packet.time_base < lost[1]:
                continue
            later = round((picture_s if is_picture else sound_s) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, streams[packet.stream.index]
            out.mux(packet)
    written: Path = path
    return written


def pattern_clip(path: Path, width: int, height: int, frames: int, scene: str = "screen") -> Path:
    """A file with the frames of `PatternSource`, written by the product's own sink."""
    pump(PatternSource(width, height, frames, scene=scene), Unchanged(), open_sink(path, Options(), Settings()))
    return path


def read(path: Path, count: int | None = None, **settings: Any) -> list[Frame]:
    """All frames of a file, or the first `count`, through the product's own source."""
    source = FileSource(path, Settings(), **settings)
    try:
        return list(islice((item for item in source if isinstance(item, Frame)), count))
    finally:
        source.close()


def sound_of(path: Path) -> tuple[npt.NDArray[np.float32], int, float]:
    """Samples (mono), their rate, and the time of the first in seconds, of a file's first audio stream."""
    with av.open(str(path)) as container:
        start_s: float | None = None
        chunks = []
        rate = 0
        for frame in container.decode(audio=0):
            start_s = frame.time if start_s is None else start_s
            rate = frame.sample_rate
            samples = frame.to_ndarray().astype(np.float32)
            if not frame.format.is_planar:
                samples = samples.reshape(-1, frame.layout.nb_channels).T
            chunks.append(samples.mean(axis=0))
    return np.concatenate(chunks), rate, start_s or 0.0


def command(*arguments: object) -> list[str]:
    """`mattebox` as the shell runs it; run it in ROOT."""
    return [sys.executable, "-m", "mattebox", *(str(argument) for argument in arguments)]


def mattebox(*arguments: object, timeout_s: float = 120, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. env: additional environment variables."""
    environment = os.environ | {k: str(v) for k, v in settings.pop("env", {}).items()}
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        **settings,
    )


def drain(path: Path, settings: Settings | None = None, **kwargs: Any) -> tuple[list[Frame], list[str]]:
    """All frames of a file, and the codes of its source's warnings."""
    source = FileSource(path, settings or Settings(), **kwargs)
    try:
        frames = [item for item in source if isinstance(item, Frame)]
    finally:
        source.close()
    return frames, [code for code, _ in source.warnings]
