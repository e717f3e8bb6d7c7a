"""`mattebox bench file`: the speed of the pump on files, compared with a plain loop over the same steps and with a
transcode.

Each runs in a fresh process with the same encoder and preset. The loop decodes, mattes, composites and encodes one
frame after the other with the libraries' default threads, as a simple script would. The transcode decodes and encodes
without a matte: no matting of this file can take less time. The pump runs without temporal smoothing, as the loop, and
with it, as `mattebox file` by default. All alternate, so that a slower machine affects all; the results are medians,
and medians of the ratios within each repeat.
"""

import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

import av
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType

from stream.picture.frames import Frame, VideoInfo, to_av
from stream.picture.ingest import Ingest
from stream.pump import Source, Warnings, pump
from stream.records.options import Options, Temporal
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sinks.encodings import ENCODINGS, add_video
from stream.sources import open_source, source_address
from stream.sources.base import SourceOptions
from workers import engines
from workers.device import threads
from workers.edges.shape import EdgeState, shape_alpha
from workers.engines.base import EngineState
from workers.matte import Matte
from workers.scene.backgrounds import open_background
from workers.scene.composite import render

_CHOSEN = ENCODINGS[".mp4"]
_RATE = Fraction(30)  # written into the files' headers
CASES = (("selfie", 640, 480), ("selfie", 1280, 720), ("rvm", 640, 480), ("rvm", 1280, 720))


@dataclass(frozen=True)
class Run:
    """One pass over a clip. fps: by wall time. cpu_ms: CPU time per frame. busy: share of all cores' time in use."""

    fps: float
    cpu_ms: float
    busy: float
    peak_mib: int


@dataclass(frozen=True)
class Row:
    """Medians over the repeats. smoothed: the pump with temporal smoothing.

    ratio: the pump's fps to the loop's. times_transcode, smoothed_times_transcode: wall time of the pump, without and
    with smoothing, over that of the transcode.
    """

    engine: str
    width: int
    height: int
    frames: int
    loop: Run
    pump: Run
    smoothed: Run
    transcode: Run
    ratio: float
    times_transcode: float
    smoothed_times_transcode: float


def bench_file(
    clip: Path | None,
    frames: int,
    repeats: int,
    settings: Settings,
    say: Callable[[str], None],
    cases: Sequence[tuple[str, int, int]] = CASES,
) -> Iterator[Row]:
    """Measure every case (engine, width, height) on `clip`, looped and scaled, or on a generated pattern."""
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder:
        for engine, width, height in cases:
            source = Path(folder) / f"{width}x{height}.mp4"
            if not source.exists():
                make_clip(source, clip, width, height, frames, settings)
            runs = []
            for n in range(repeats):
                say(f"{engine} {width}x{height}: {n + 1} of {repeats}")
                works = (_plain_loop, _pumped, _smoothed, _transcode)
                runs.append([_in_process(work, source, engine, settings) for work in works])
            loop, ours, smoothed, transcode = (_median(list(column)) for column in zip(*runs, strict=True))
            ratios = (_median_ratio(runs, *sides) for sides in ((1, 0), (3, 1), (3, 2)))
            yield Row(engine, width, height, frames, loop, ours, smoothed, transcode, *ratios)


def _median_ratio(runs: Sequence[Sequence[Run]], over: int, under: int) -> float:
    """Of the fps of the two columns."""
    return round(statistics.median(run[over].fps / run[under].fps for run in runs), 2)


def _in_process(work: Callable[[Path, str, Settings], Run], source: Path, engine: str, settings: Settings) -> Run:
    """In a separate process: thread counts are set once per process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, source, engine, settings).result()


@contextmanager
def _opened(source: Path, folder: str) -> Iterator[tuple[InputContainer, OutputContainer]]:
    """The source, and an MP4 file in the folder."""
    with (
        av.open(str(source)) as container,
        av.open(f"{folder}/o.mp4", "w", options=_CHOSEN.muxer_options) as output,
    ):
        yield container, output


def _encoder(output: OutputContainer, info: VideoInfo, settings: Settings) -> av.VideoStream:
    """The video stream of an output, with the encoder's default threads."""
    video = add_video(output, _CHOSEN, info, settings)
    video.codec_context.thread_count = 0
    return video


def _plain_loop(source: Path, engine_name: str, settings: Settings) -> Run:
    options = Options(engine=engine_name)
    engine = engines.load(engine_name, options, settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        _Clock(settings) as clock,
        _opened(source, folder) as (container, output),
    ):
        ingest: Ingest | None = None
        state: EngineState = None
        for picture in container.decode(video=0):
            if ingest is None:
                ingest = Ingest(picture)
                info = VideoInfo(*ingest.size, cast(Fraction, picture.time_base), _RATE)
                backdrop = open_background(options.background, info.width, info.height, settings)
                video = _encoder(output, info, settings)
            for frame in ingest.push(picture):
                (result,) = engine.infer([engine.prepare(frame)], [state])
                state = result.state
                _, alpha = shape_alpha(EdgeState(), result.alpha, frame, options.edges)
                out = render(frame, alpha, result.foreground, backdrop.at(frame, alpha), options.view)
                output.mux(video.encode(to_av(out, "yuv420p")))
                clock.frames += 1
        output.mux(video.encode(None))
    return clock.run


def _transcode(source: Path, _: str, settings: Settings) -> Run:
    with (
        tempfile.TemporaryDirectory() as folder,
        _Clock(settings) as clock,
        _opened(source, folder) as (container, output),
    ):
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        info = VideoInfo(stream.width, stream.height, cast(Fraction, stream.time_base), _RATE)
        video = _encoder(output, info, settings)
        for picture in container.decode(stream):
            picture.pict_type = PictureType.NONE  # otherwise the encoder would use the input's key frames
            output.mux(video.encode(picture))
            clock.frames += 1
        output.mux(video.encode(None))
    return clock.run


def _pumped(source: Path, engine_name: str, settings: Settings) -> Run:
    # the loop does no temporal smoothing either
    return _run_pump(source, Options(engine=engine_name, temporal=Temporal.OFF), settings)


def _smoothed(source: Path, engine_name: str, settings: Settings) -> Run:
    return _run_pump(source, Options(engine=engine_name), settings)


def _run_pump(source: Path, options: Options, settings: Settings) -> Run:
    threads.apply(settings)
    engine = engines.load(options.engine, options, settings)
    with tempfile.TemporaryDirectory() as folder, _Clock(settings) as clock:
        reader = open_source(source, SourceOptions(), settings)
        backdrop = open_background(options.background, reader.info.width, reader.info.height, settings)
        sink = open_sink(Path(folder) / "o.mp4", options, settings)
        pump(reader, Matte(options, engine, backdrop), sink, clock.tick)
    return clock.run


class _Clock:
    """Measures wall and CPU time of this process, from before the input is opened until the output is closed."""

    run: Run

    def __init__(self, settings: Settings) -> None:
        self._cores = settings.cores()
        self.frames = 0

    def tick(self, _: Frame) -> None:
        self.frames += 1

    def __enter__(self) -> Self:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall_s, cpu_s = time.perf_counter() - self._wall_s, time.process_time() - self._cpu_s
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.run = Run(
            round(self.frames / wall_s, 1),
            round(1e3 * cpu_s / self.frames, 1),
            round(cpu_s / wall_s / self._cores, 3),
            round(peak_mib),
        )


def _median(runs: list[Run]) -> Run:
    middle = {field.name: statistics.median(getattr(run, field.name) for run in runs) for field in fields(Run)}
    return Run(**middle)


class _Unchanged:
    """A transform that changes nothing, to write a test clip with the pump."""

    def open(self, info: VideoInfo) -> VideoInfo:
        return info

    def __call__(self, frame: Frame) -> list[Frame]:
        return [frame]

    def flush(self) -> list[Frame]:
        return []

    def close(self) -> None:
        """Nothing to close."""


class _Looped:
    """A clip repeated up to `frames` frames, at 30 a second."""

    def __init__(self, clip: Path, size: tuple[int, int], frames: int, settings: Settings) -> None:
        self.warnings: Warnings = []
        self._clip, self._size, self._frames, self._settings = clip, size, frames, settings
        self.info = VideoInfo(*size, Fraction(1, 30), Fraction(30), frames / 30, frames)

    def __iter__(self) -> Iterator[Frame]:
        n = 0
        while n < self._frames:
            source = open_source(self._clip, SourceOptions(size=self._size), self._settings)
            for item in source:
                if isinstance(item, Frame) and n < self._frames:
                    yield replace(item, pts=n, time_base=Fraction(1, 30))
                    n += 1
            source.close()

    def close(self) -> None:
        """Each pass closes its own source."""


def make_clip(path: Path, clip: Path | None, width: int, height: int, frames: int, settings: Settings) -> None:
    """Write a video of that size and length to `path`: `clip`, repeated, or a generated pattern."""
    source: Source = (
        open_source(source_address("pattern:room"), SourceOptions(size=(width, height), end_s=frames / 30), settings)
        if clip is None
        else _Looped(clip, (width, height), frames, settings)
    )
    pump(source, _Unchanged(), open_sink(path, Options(), settings))
