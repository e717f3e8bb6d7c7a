"""A picture sequence as a source: numbered files as the frames of a video of constant rate, without sound.

Each frame carries its picture in full quality (`Frame.photo`), if the output can use it.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Self

import numpy as np

from stream.address import Address
from stream.errors import InputError, UnreadableMedia, UsageError
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, Plane, VideoInfo
from stream.picture.numbering import as_ranges, missing
from stream.picture.photo import Photo, as_displayed, from_displayed
from stream.picture.timing import clock
from stream.pump import Warnings
from stream.settings import Settings
from stream.sources.base import SourceOptions
from stream.sources.frame_file import DecodedFile, decode
from stream.sources.numbered_files import NumberedFiles, find

RATE = Fraction(24)
"""Frames per second, if none are requested."""


class SequenceSource:
    """The frames of the files that a pattern or a folder names (`numbered_files.py`).

    rate: frames per second. start_s, end_s: the part, as of a video. hold: a frame whose file is missing or damaged is
    the one before it, with a warning; otherwise it is an error. photos: whether frames carry their picture.
    Alpha of the files is passed on, unless it is 0 in the whole first frame. Raises UnreadableMedia, TooLarge.
    """

    live = False
    takes = frozenset({"start_s", "end_s", "rate", "hold"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        return cls(find(address.path), options, settings)

    def __init__(self, files: NumberedFiles, options: SourceOptions, settings: Settings) -> None:
        self.warnings: Warnings = []
        self._files, self._settings = files, settings
        self._hold, self._photos = options.hold, options.photos
        self._rate = options.rate or RATE
        self._numbers = self._selected(options.start_s, options.end_s)
        self._check_gaps()
        self._lost: list[int] = []
        self._first = decode(files.path(self._numbers[0]), settings)
        self._keeps_alpha = self._first.alpha is not None and bool(self._first.alpha.any())
        if self._first.alpha is not None and not self._keeps_alpha:
            self.warnings.append(("empty_alpha", "the alpha of the pictures is 0 in the first frame; it was ignored"))
        width, height = self._first.photo.width, self._first.photo.height
        if min(width, height) < 2:
            raise UnreadableMedia(f"{files.path(self._numbers[0])} is {width}x{height}; the minimum is 2x2")
        self.info = VideoInfo(
            width + width % 2,
            height + height % 2,
            1 / self._rate,
            self._rate,
            duration_s=float(len(self._numbers) / self._rate),
            frames=len(self._numbers),
            has_alpha=self._keeps_alpha,
            first_number=self._numbers[0],
        )

    def _selected(self, start_s: float, end_s: float | None) -> range:
        """The numbers of the frames from `start_s` to before `end_s`."""
        first, last = self._files.numbers[0], self._files.numbers[-1]
        count = last - first + 1
        if count > self._settings.max_frames:
            raise UnreadableMedia(
                f"{self._files.pattern} would have {count:,} frames; the limit is {self._settings.max_frames:,}"
            )
        begin = ceil(Fraction(start_s).limit_denominator(1_000_000) * self._rate)
        end = count if end_s is None else ceil(Fraction(end_s).limit_denominator(1_000_000) * self._rate)
        if begin >= count:
            length = clock(float(count / self._rate))
            raise UnreadableMedia(f"{self._files.pattern} lasts {length}: it cannot start at {clock(start_s)}")
        return range(first + begin, first + min(end, count))

    def _check_gaps(self) -> None:
        present = [number for number in self._files.numbers if number in self._numbers]
        ends = [self._numbers[0] - 1, *present, self._numbers[-1] + 1]
        absent = missing(ends)
        if not absent:
            return
        which = f"{as_ranges(absent)} ({len(absent)} of {len(self._numbers)})"
        if not self._hold or absent[0] == self._numbers[0]:
            hint = "" if self._hold else "; to repeat the frame before each gap, use --missing hold"
            raise UnreadableMedia(f"{self._files.pattern} has gaps: {which} are missing{hint}")
        self.warnings.append(("gap", f"files are missing: {which}; the frame before was repeated"))

    def __iter__(self) -> Iterator[Frame]:
        held, present = self._first, set(self._files.numbers)
        for index, number in enumerate(self._numbers):
            if index and number in present:
                held = self._decoded(number, held)
            yield self._frame(held, index)
        if self._lost:
            which = as_ranges(self._lost)
            self.warnings.append(("damaged", f"files could not be read: {which}; the frame before was repeated"))

    def _decoded(self, number: int, before: DecodedFile) -> DecodedFile:
        path, first = self._files.path(number), self._first.photo
        try:
            decoded = decode(path, self._settings)
        except InputError:
            if not self._hold:
                raise
            self._lost.append(number)
            return before
        if (decoded.photo.width, decoded.photo.height) != (first.width, first.height):
            other = f"{self._files.path(self._numbers[0]).name} is {first.width}x{first.height}"
            raise UnreadableMedia(f"{path} is {decoded.photo.width}x{decoded.photo.height}, but {other}")
        return decoded

    def _frame(self, decoded: DecodedFile, index: int) -> Frame:
        alpha = decoded.alpha if self._keeps_alpha else None
        return Frame(
            rgb_to_i420(_evened(_in_8_bits(decoded.photo), self.info)),
            index,
            self.info.time_base,
            None if alpha is None else _evened(alpha, self.info),
            photo=decoded.photo if self._photos else None,
        )

    def close(self) -> None:
        """Nothing to release."""


def parse_rate(text: str) -> Fraction:
    """Frames per second: 24, 23.976 or 24000/1001. Raises UsageError."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not Fraction(1, 100) <= rate <= 1000:
        raise UsageError(f"--rate {text!r} is not a frame rate; write 24, 29.97 or 24000/1001")
    whole = round(rate)
    near = Fraction(whole * 1000, 1001)
    return near if rate.denominator > 1 and abs(rate - near) < Fraction(1, 200) else rate.limit_denominator(100_000)


def _in_8_bits(photo: Photo) -> Plane:
    if photo.pixels.dtype == np.uint8:
        return np.asarray(photo.pixels, np.uint8)
    return np.asarray(from_displayed(np.nan_to_num(as_displayed(photo.pixels)), np.uint8), np.uint8)


def _evened(pixels: Plane, info: VideoInfo) -> Plane:
    """With the last row and column repeated where the frame is one larger."""
    more = [(0, info.height - pixels.shape[0]), (0, info.width - pixels.shape[1]), (0, 0)]
    return np.pad(pixels, more[: pixels.ndim], "edge") if any(n for _, n in more) else pixels
