"""A video file as a source: decoded frames, and audio packets unchanged, both with corrected times.

Lossless and tolerant of damage: decodes what can be decoded, and reports the rest in `warnings`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Self

import av

from stream.address import Address
from stream.errors import TooLarge, UnreadableMedia
from stream.picture.display_matrix import Display
from stream.picture.frames import Frame, Sound, VideoInfo
from stream.picture.ingest import Ingest
from stream.picture.timing import clock
from stream.pump import Warnings
from stream.records.metadata import Metadata
from stream.settings import Settings
from stream.sources import container as media
from stream.sources import mp4_boxes
from stream.sources.base import SourceOptions
from stream.sources.decode_health import DecodeHealth, damaged_frames
from stream.sources.extent import extent, stored_frames
from stream.sources.extras import Request, read_extras
from stream.sources.joined_files import joined_files
from stream.sources.raw_streams import has_rate, is_raw
from stream.sources.reader import UNINDEXED, Raw, Reader
from stream.sources.sound_changes import changing_sound
from stream.sources.video_streams import choice, video_streams

_LEVEL_DEG = 1.0  # rotations closer than this to a multiple of 90° are rounding errors


class FileSource:
    """Frames and audio packets of the video file at `path`, from `start_s` to `end_s` seconds after its start.

    stream: the number of the video stream, see `video_streams.py`; None: the best one.
    size: (width, height) to scale to, in pixels; one of them 0 keeps the aspect ratio, both 0 keep the size.
    metadata: what `info.extras` has of the file's metadata. photos: frames of more than 8 bits carry their picture.
    warnings: (code, sentence) pairs, complete once iteration has ended.
    Raises NoVideoStream, UnreadableMedia, TooLarge, also during iteration.
    """

    live = False
    takes = frozenset({"start_s", "end_s", "size", "stream"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        requested = options.stream, options.metadata, options.photos
        return cls(address.path, settings, options.start_s, options.end_s, options.size, *requested)

    def __init__(
        self,
        path: Path,
        settings: Settings,
        start_s: float = 0.0,
        end_s: float | None = None,
        size: tuple[int, int] = (0, 0),
        stream: int | None = None,
        metadata: Metadata = Metadata.KEEP,
        photos: bool = False,
    ) -> None:
        self.warnings: Warnings = []
        self._path, self._settings = path, settings
        self._container = media.open_container(path, settings)
        try:
            video = media.video_stream(self._container, settings, stream)
            if stream is None and (sentence := choice(self._container, video)):
                self._warn("several_videos", sentence)
            self._extent = extent(self._container, video)
            self._expected_s = self._extent.end_s
            indexed = self._container.format.name not in UNINDEXED  # else the length is only estimated
            if indexed and self._expected_s and start_s >= self._expected_s:
                raise UnreadableMedia(f"{path} lasts {clock(self._expected_s)}: it cannot start at {clock(start_s)}")
            self._whole = start_s == 0 and end_s is None
            self._reader = Reader(self._container, video, settings, start_s, end_s)
            if self._is_mp4:  # jobs cut it into segments, which do not conclude
                self._warn_of_joined()
            if is_raw(self._container) and not has_rate(self._container, video):
                self._warn("no_rate", f"the file has no frame rate: {self._reader.rate} frames per second were assumed")
            for track in self._reader.unknown_sound:
                self._warn("sound_left_out", f"there is no decoder for the codec of {track}; it was left out")
            self._ingest = self._peek(video.sample_aspect_ratio, size, photos)
            extras, notes = read_extras(self._container, video, Request(path, settings, start_s, end_s, metadata))
            self.info = replace(self._info(video, start_s, end_s), extras=extras)
            self.warnings += notes
        except BaseException:
            self._container.close()
            raise

    @property
    def _is_mp4(self) -> bool:
        return self._container.format.name.startswith("mov")

    def _warn_of_joined(self) -> bool:
        """Whether the file is several files in a row, which is then reported."""
        parts, name = joined_files(self._path, self._container.format.name)
        if parts > 1:
            self._warn("joined_files", f"the file is {parts} {name} files in a row; only the first of them was read")
        return parts > 1

    def _peek(self, sar: Fraction | None, size: tuple[int, int], photos: bool) -> Ingest:
        """Decode up to the first frame: only it has the orientation, pixel format and actual size."""
        self._raw = iter(self._reader)
        self._ahead: list[Raw] = []
        for item in self._raw:
            self._ahead.append(item)
            if isinstance(item, av.VideoFrame):
                break
        else:
            part = "" if self._whole else " of that part"
            raise UnreadableMedia(f"{self._path}: not a single frame{part} could be decoded")
        self._check_angle(Display.of_frame(item).off_deg)
        ingest = Ingest(item, sar, *size, max_pixels=self._settings.max_pixels, photos=photos)
        if ingest.trimmed:
            (width, height), (even_w, even_h) = ingest.upright, ingest.size
            self._warn("odd_size", f"cropped from {width}x{height} to {even_w}x{even_h}: video needs even sides")
        return ingest

    def _check_angle(self, off_deg: float) -> None:
        if off_deg > _LEVEL_DEG:
            rest = f"the remaining {off_deg:.0f}° of its rotation were left out"
            self._warn("odd_angle", f"the picture was rotated by a multiple of 90° only; {rest}")

    def _info(self, stream: av.VideoStream, start_s: float, end_s: float | None) -> VideoInfo:
        length_s = self._expected_s
        if length_s is not None:
            length_s = max(0.0, (length_s if end_s is None else min(length_s, end_s)) - start_s)
        estimate = self._extent.frames(self._reader.rate, start_s, end_s)
        return VideoInfo(
            *self._ingest.size,
            time_base=self._reader.time_base,
            rate=self._reader.rate,
            duration_s=length_s,
            frames=self._stored_frames(stream) or estimate,
            sound=self._reader.sound,
            changing_sound=cache(partial(changing_sound, self._path, self._settings)),
            other_codec=self._reader.other_codec,
            has_alpha=self._ingest.has_alpha,
            video_streams=len(video_streams(self._container)),
        )

    def _stored_frames(self, stream: av.VideoStream) -> int:
        """The number of frames in the header; 0 if it has none, or if only a part of them is shown."""
        shown = self._extent.frames(stream.average_rate) if stream.average_rate else None
        frames = stored_frames(self._container, stream)
        trimmed = shown is not None and frames - shown > max(2, 0.02 * shown)  # by an edit list
        return frames if self._whole and not trimmed else 0

    @property
    def offset(self) -> int:
        """Ticks that are added to the file's own times to get those of the frames."""
        return self._reader.offset

    @property
    def health(self) -> DecodeHealth:
        """Decoding errors so far."""
        return self._reader.health

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
        for item in chain(self._ahead, self._raw):
            if isinstance(item, av.VideoFrame):
                yield from self._ingest.push(item)
            else:
                yield item
        yield from self._ingest.flush()

    def _check_limits(self, count: int, frame: Frame) -> None:
        """Check the limits while decoding too, because headers can be wrong."""
        if count > self._settings.max_frames:
            raise TooLarge(f"the video has more than {self._settings.max_frames:,} frames")
        if frame.time_s > self._settings.max_duration_s:
            raise TooLarge(f"the video lasts more than {clock(self._settings.max_duration_s)}")

    def _conclude(self) -> None:
        """Warn of damage. Raises UnreadableMedia where too many frames are damaged."""
        health, reached_s = self._reader.health, self._reader.reached_s
        if health.bad > self._settings.max_decode_errors * health.total:
            found = f"{health.bad} of {health.total} frames could not be decoded"
            raise UnreadableMedia(f"{self._path} is damaged: {found}")
        if self._extent.own:
            reached_s = self._reader.picture_reached_s
        expected_s = self._expected_s if self._whole else None
        splices = self._reader.splices
        if expected_s is not None and splices.leaps:
            expected_s = max(0.0, expected_s - splices.leapt_s)
        short = expected_s is not None and expected_s - reached_s > max(0.5, 0.02 * expected_s)
        if repaired := self._reader.repair.repaired:
            short = False  # the length, which is an estimate here, may come from a damaged time
            count = "one packet was" if repaired == 1 else f"{repaired} packets were"
            self._warn(
                "damaged_times", f"{count} stored with a damaged time, which was computed from the times around it"
            )
        joined = self._whole and not self._is_mp4 and self._warn_of_joined()
        cut = health.cut or (self._whole and self._is_mp4 and mp4_boxes.is_cut_off(self._path))
        if not joined and (cut or health.ended_badly or short):
            of = f" of {clock(expected_s)}" if expected_s else ""
            self._warn("truncated", f"the file ends early: {reached_s:.1f} s{of} could be read")
        known = {stream.id for stream in self._container.streams}
        if later := sorted(codec for pid, codec in self._reader.tables.announced.items() if pid not in known):
            streams = "a stream that begins" if len(later) == 1 else f"{len(later)} streams that begin"
            self._warn("later_streams", f"{streams} in mid-file ({', '.join(later)}) could not be read")
        if self._reader.captions:
            self._warn("no_captions", "the closed captions inside the video (CEA-608 or CEA-708) were left out")
        if splices.leaps:
            self._warn("clock_jump", _jumps(splices.leaps))
        missing = self._reader.gaps.missing([length_s for _, length_s in splices.leaps])
        if missing.frames:
            self._warn("gap", missing.sentence(health.bad))
        elif health.bad > health.ended_badly:
            self.warnings.append(damaged_frames(health.bad, health.total))
        if health.overlapping:
            count = f"{health.overlapping} frames"
            self._warn("overlap", f"{count} overlapped earlier ones in time (joined recordings) and were left out")

    def _warn(self, code: str, sentence: str) -> None:
        self.warnings.append((code, sentence))


def _jumps(leaps: Sequence[tuple[float, float]]) -> str:
    """A sentence on the jumps of a file's clock: (time, length) in seconds."""
    count = "1 place" if len(leaps) == 1 else f"{len(leaps)} places"
    time_s, length_s = leaps[0]
    first = "" if len(leaps) == 1 else "first "
    found = f"the file's clock jumps ahead in {count} ({first}by {clock(length_s)} at {clock(time_s)})"
    return f"{found}: the parts play one after the other"
