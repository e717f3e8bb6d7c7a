"""A video file as a source: decodes its frames and hands on its sound untouched, times repaired.

Loses nothing, survives damage: what can be decoded is, and what could not is said in `warnings`.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stream.errors import TooLarge, UnreadableMedia
from stream.frames import Frame, Sound, VideoInfo
from stream.ingest import Ingest
from stream.settings import Settings
from stream.sources import container as media
from stream.timing import Timeline, clock, plausible_rate

Raw = av.VideoFrame | Sound
_SOON_S = 1e-6  # times are compared as floats


class FileSource:
    """Frames and sound of the video file at `path`, from `start_s` to `end_s` seconds after its beginning.

    size: (width, height) to scale to; one of them 0 keeps the aspect, both 0 keep the size.
    warnings: (code, sentence) pairs, complete once iteration has ended.
    Raises NoVideoStream, UnreadableMedia, TooLarge; from iteration too.
    """

    live = False

    def __init__(
        self,
        path: Path,
        settings: Settings,
        start_s: float = 0.0,
        end_s: float | None = None,
        size: tuple[int, int] = (0, 0),
    ) -> None:
        self.warnings: list[tuple[str, str]] = []
        self._path, self._settings = path, settings
        self._container = media.open_container(path, settings)
        try:
            self._stream = media.video_stream(self._container, settings)
            self._decoder = media.decoder(self._stream, settings.codec_threads())
            self._health = _Health(settings.max_decode_errors)
            self._begin(start_s, end_s)
            self._peek(size)
        except BaseException:
            self._container.close()
            raise

    def _begin(self, start_s: float, end_s: float | None) -> None:
        """Set the clocks of all streams to 0 at `start_s`, and go there."""
        length_s = media.duration_s(self._container, self._stream)
        if length_s and start_s >= length_s:
            raise UnreadableMedia(f"{self._path} lasts {clock(length_s)}: it cannot start at {clock(start_s)}")
        self._expected_s = length_s
        self._window_s = None if end_s is None else max(0.0, end_s - start_s)
        self._whole = start_s == 0 and end_s is None
        origin = media.origin_s(self._container) + Fraction(start_s).limit_denominator(1_000_000)
        self._skipped_s = start_s
        self._rate = plausible_rate(self._stream.average_rate, self._stream.guessed_rate)
        self._picture = _Track(self._stream, origin, self._rate)
        self._sound = {
            stream.index: _Track(stream, origin, Fraction(stream.rate or 48_000, 1024))
            for stream in self._container.streams.audio
            if stream.codec_context is not None
        }
        if start_s > 0:
            self._container.seek(int(origin * av.time_base), backward=True)

    def _peek(self, size: tuple[int, int]) -> None:
        """Decode up to the first picture: only it tells rotation, format and true size."""
        self._raw = self._decode()
        self._ahead: list[Raw] = []
        for item in self._raw:
            self._ahead.append(item)
            if isinstance(item, av.VideoFrame):
                break
        else:
            raise UnreadableMedia(f"{self._path}: not a single frame could be decoded")
        self._ingest = Ingest(item, self._stream.codec_context.sample_aspect_ratio, *size)
        if self._ingest.trimmed:
            (width, height), (even_w, even_h) = self._ingest.upright, self._ingest.size
            self._warn("odd_size", f"cropped from {width}x{height} to {even_w}x{even_h}: video needs even sides")
        self.info = self._info()

    def _info(self) -> VideoInfo:
        length_s = self._expected_s
        if length_s is not None:
            length_s -= self._skipped_s
            length_s = length_s if self._window_s is None else min(length_s, self._window_s)
        frames = self._stream.frames if self._whole else 0
        return VideoInfo(
            *self._ingest.size,
            time_base=self._picture.time_base,
            rate=self._rate,
            duration_s=length_s,
            frames=frames or (None if length_s is None else max(1, round(length_s * self._rate))),
            sound=tuple(s for s in self._container.streams.audio if s.index in self._sound),
            has_alpha=self._ingest.has_alpha,
        )

    def __iter__(self) -> Iterator[Frame | Sound]:
        count = 0
        for item in self._ingested():
            if isinstance(item, Frame):
                count += 1
                self._check_limits(count, item)
            yield item
        self._conclude()

    def close(self) -> None:
        self._container.close()

    def _ingested(self) -> Iterator[Frame | Sound]:
        yield from self._ingest_all(self._ahead)
        self._ahead.clear()
        yield from self._ingest_all(self._raw)
        yield from self._ingest.flush()

    def _ingest_all(self, items: Iterator[Raw] | list[Raw]) -> Iterator[Frame | Sound]:
        for item in items:
            if isinstance(item, av.VideoFrame):
                yield from self._ingest.push(item)
            else:
                yield item

    def _decode(self) -> Iterator[Raw]:
        """Pictures and packets of sound inside the window, in the file's order, their times repaired."""
        for packet in self._demux():
            if track := self._sound.get(packet.stream.index):
                packet.pts = packet.dts = track.place(packet.dts if packet.pts is None else packet.pts)
                if self._inside(track):
                    yield packet
            elif not self._over(self._picture):
                yield from self._pictures(packet)
            if self._over(self._picture) and all(self._over(track) for track in self._sound.values()):
                return
        yield from self._pictures(None)

    def _demux(self) -> Iterator[Any]:
        wanted = [self._stream, *(s for s in self._container.streams.audio if s.index in self._sound)]
        try:
            for packet in self._container.demux(wanted):
                if packet.size:
                    yield packet
        except av.error.FFmpegError:
            self._health.cut = True

    def _pictures(self, packet: Any) -> Iterator[av.VideoFrame]:
        try:
            pictures = self._decoder.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self._health.lose_one()
            return
        for picture in pictures:
            picture.pts, picture.time_base = self._picture.place(picture.pts), self._picture.time_base
            self._health.take(picture)
            if self._inside(self._picture):
                yield picture

    def _inside(self, track: "_Track") -> bool:
        return (track.now_s > -_SOON_S or self._skipped_s == 0) and not self._over(track)

    def _over(self, track: "_Track") -> bool:
        return self._window_s is not None and track.now_s > self._window_s - _SOON_S

    def _check_limits(self, count: int, frame: Frame) -> None:
        """Headers can lie, so the limits hold while decoding too."""
        if count > self._settings.max_frames:
            raise TooLarge(f"the video has more than {self._settings.max_frames:,} frames")
        if frame.time_s > self._settings.max_duration_s:
            raise TooLarge(f"the video lasts more than {clock(self._settings.max_duration_s)}")

    def _conclude(self) -> None:
        """Say what was wrong with the file. Raises UnreadableMedia when too much was."""
        health = self._health
        if health.unusable:
            raise UnreadableMedia(
                f"{self._path} is damaged: {health.bad} of {health.total} frames could not be decoded"
            )
        reached_s = max(t.now_s for t in (self._picture, *self._sound.values())) + float(1 / self._rate)
        expected_s = self._expected_s if self._whole else None
        short = expected_s is not None and expected_s - reached_s > max(0.5, 0.02 * expected_s)
        if health.cut or health.ended_badly or short:
            of = f" of {clock(expected_s)}" if expected_s else ""
            self._warn("truncated", f"the file ends early: {reached_s:.1f} s{of} could be read")
        if health.bad > health.ended_badly:
            self._warn("damaged", f"{health.bad} of {health.total} frames were damaged; the last good result was held")

    def _warn(self, code: str, sentence: str) -> None:
        self.warnings.append((code, sentence))


class _Track:
    """The clock of one stream; `now_s` is the time of what came last, counted from the start asked for."""

    def __init__(self, stream: av.VideoStream | av.AudioStream, origin_s: Fraction, rate: Fraction) -> None:
        self.time_base = stream.time_base or Fraction(1, 90_000)
        self.now_s = float("-inf")
        step = round(1 / (rate * self.time_base))
        self._timeline = Timeline(self.time_base, round(origin_s / self.time_base), step)

    def place(self, pts: int | None) -> int:
        placed = self._timeline.place(pts)
        self.now_s = float(placed * self.time_base)
        return placed


class _Health:
    """Counts what could not be decoded."""

    def __init__(self, tolerated: float) -> None:
        self.cut = self.ended_badly = False
        self.total = self.bad = 0
        self._tolerated = tolerated

    def take(self, picture: av.VideoFrame) -> None:
        self.total += 1
        self.bad += picture.is_corrupt
        self.ended_badly = picture.is_corrupt

    def lose_one(self) -> None:
        self.total += 1
        self.bad += 1
        self.ended_badly = True

    @property
    def unusable(self) -> bool:
        return self.bad > self._tolerated * self.total
