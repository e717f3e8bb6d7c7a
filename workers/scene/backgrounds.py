"""Backgrounds: a colour, a picture, a looped video, or the blurred room (`workers/scene/blur.py`).

A `Backdrop` returns the background of each frame as I420 of the frame's size, and owns the files that it reads. It
uses alpha only for the blur. If a background fails it raises; the caller decides what to show instead.
"""

import math
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stream.errors import BackgroundError, DiskError, InputError
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, Plane
from stream.picture.icc import Space
from stream.records.options import Background
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.storage.local_copies import local_path
from workers.scene.blur import blurred
from workers.scene.composite import BLACK, blend, centre, flat, rgb_flat

Size = tuple[int, int]
Moment = tuple[Fraction, Fraction, Plane]
"""One picture of an animated background: start and nominal end in seconds, and its I420 pixels."""

AnimationReader = Callable[[int], Generator[Moment, None, None]]
"""Opens an animation and reads its pictures in order, from that many seconds after its start, or from earlier."""

# Formats that Pillow decodes itself: its EPS support would run Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000")
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")  # not TIFF and MPO: their further pictures are pages and thumbnails
_ROUNDING_S = Fraction(2, 1000)  # containers round times to milliseconds: a picture this close is due
_CHECK_SIZE = (16, 16)  # of a background that is opened only to check that it can be
_SEEK_S = 20  # least distance ahead for which to seek


class Backdrop(Protocol):
    """at: the background at the frame's time, read-only I420 of the frame's size; None is transparent.
    alpha: uint8 (H, W), the frame's own. Raises BackgroundError when the background can no longer be read."""

    def at(self, frame: Frame, alpha: Plane) -> Plane | None: ...

    def close(self) -> None: ...


def open_background(background: Background, width: int, height: int, settings: Settings) -> Backdrop:
    """The backdrop for frames of `width` x `height` pixels, both even. Raises BackgroundError, in one line."""
    size = (width, height)
    match background.kind:
        case "color":
            return _still(rgb_flat(background.rgb, *size))
        case "blur":
            return Drawn(lambda frame, alpha: blurred(frame.pixels, alpha, background.strength))
        case "image":
            return _open_image(_local(background.path, settings), size, settings)
        case "video":
            return _open_video(_local(background.path, settings), size, settings)
        case "none":
            return Drawn(lambda frame, _: frame.pixels)
    return _still(None)


def check_background(background: Background, settings: Settings) -> None:
    """Open it at a small size, before the frame size is known. Raises BackgroundError, in one line."""
    open_background(background, *_CHECK_SIZE, settings).close()


def _local(path: str, settings: Settings) -> Path:
    """A local file. Uploaded backgrounds and those of the gallery are given by their storage keys."""
    try:
        return local_path(path, settings)
    except (FileNotFoundError, ValueError, DiskError) as exc:
        raise BackgroundError(f"the background cannot be fetched: {exc}") from None


def _still(picture: Plane | None) -> Backdrop:
    return Drawn(lambda _frame, _alpha: picture)


class Drawn:
    """A backdrop computed from the frame and its alpha; holds nothing open."""

    def __init__(self, draw: Callable[[Frame, Plane], Plane | None]) -> None:
        self._draw = draw

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        return self._draw(frame, alpha)

    def close(self) -> None:
        """Nothing to close."""


class Loop:
    """An animation that starts at time 0 and repeats indefinitely; the same time always shows the same picture.

    Holds two pictures, whatever its length. length_s: None if unknown; it is then determined by reading to the end
    once. Raises BackgroundError, on creation if no picture can be read.
    """

    _now: Moment
    _next: Moment | None
    _from_s: int
    _advanced: bool  # whether `_now` is later than the first picture that was read

    def __init__(self, read: AnimationReader, length_s: Fraction | None) -> None:
        self._read, self._length_s = read, length_s
        self._moments = read(0)
        self._open(0)

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        self._go_to(self._position_s(frame))
        if self._length_s is None and self._next is None:
            self._length_s = self._now[1]
            self._go_to(self._position_s(frame))
        return self._now[2]

    def close(self) -> None:
        self._moments.close()

    def _position_s(self, frame: Frame) -> Fraction:
        time_s = frame.pts * frame.time_base + _ROUNDING_S
        return time_s % self._length_s if self._length_s else time_s

    def _go_to(self, position_s: Fraction) -> None:
        now_s = self._now[0]
        if position_s < now_s and (self._advanced or position_s < self._from_s):  # the first picture may begin after 0
            self._open(0)
        elif self._length_s and self._next is not None and position_s - self._next[0] > _SEEK_S:
            self._seek(position_s)
        while self._next is not None and self._next[0] <= position_s:
            self._now, self._next = self._next, self._read_next()
            self._advanced = True

    def _seek(self, position_s: Fraction) -> None:
        """Open near the position; if no picture starts before it there, read from the start instead."""
        try:
            self._open(max(0, math.floor(position_s) - _SEEK_S // 2))
            found = self._now[0] <= position_s
        except BackgroundError:
            found = False
        if not found:
            self._open(0)

    def _read_next(self) -> Moment | None:
        try:
            return next(self._moments, None)
        except BackgroundError:
            return None  # damaged from here on: the last picture stays until the loop restarts

    def _open(self, from_s: int) -> None:
        self._moments.close()
        self._moments = self._read(from_s)
        first = next(self._moments, None)
        if first is None:
            raise BackgroundError("the background contains no readable picture")
        self._now, self._next = first, self._read_next()
        self._from_s, self._advanced = from_s, False


def _open_image(path: Path, size: Size, settings: Settings) -> Backdrop:
    with _opened_picture(path, settings) as image:
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            return Loop(lambda _: _animation(path, size, settings), None)
        return _still(_fitted(image, size))


def _animation(path: Path, size: Size, settings: Settings) -> Generator[Moment, None, None]:
    begin_s = Fraction(0)
    with _opened_picture(path, settings) as image:
        for number in range(settings.max_frames):
            try:
                image.seek(number)
            except EOFError:
                return
            picture = _fitted(image, size)
            shown_ms = round(image.info.get("duration", 0))  # for WebP only known after decoding
            end_s = begin_s + Fraction(shown_ms if shown_ms > 10 else 100, 1000)  # as browsers do
            yield begin_s, end_s, picture
            begin_s = end_s


@contextmanager
def _opened_picture(path: Path, settings: Settings) -> Iterator[Image.Image]:
    """The opened picture, only its header read. Any error, now or in the `with` block, becomes a BackgroundError."""
    limit = f"the limit of {settings.max_pixels:,} pixels (MATTEBOX_MAX_PIXELS)"
    try:
        with _header(path) as image:
            if image.width * image.height > settings.max_pixels:
                raise BackgroundError(f"{path} is {image.width}x{image.height}, over {limit}")
            yield image
    except BackgroundError:
        raise
    except Image.DecompressionBombError:
        raise BackgroundError(f"{path} is over {limit}") from None
    except UnidentifiedImageError:
        known = "JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF are; for a video write video:PATH"
        raise BackgroundError(f"{path} is not a picture in a known format ({known})") from None
    except OSError as exc:
        raise BackgroundError(f"{path} cannot be read: {exc.strerror or exc}") from None
    except Exception as exc:  # noqa: BLE001 - Pillow's decoders raise nearly anything on damaged files
        raise BackgroundError(f"{path} is a damaged picture ({type(exc).__name__})") from None


def _header(path: Path) -> Image.Image:
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the caller checks our own limit
        return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])


def _fitted(image: Image.Image, size: Size) -> Plane:
    """As I420 of sRGB: upright, transparency over black, scaled and centre-cropped to fill the frame."""
    rgb = _rgb(ImageOps.exif_transpose(image))
    fitted = ImageOps.fit(rgb, size, Image.Resampling.LANCZOS)
    return rgb_to_i420(_in_srgb(np.asarray(fitted, np.uint8), image.info.get("icc_profile") or b""))


def _in_srgb(pixels: Plane, profile: bytes) -> Plane:
    """RGB with this ICC profile as sRGB; unchanged if the profile is not of RGB, or cannot be read."""
    try:
        space = Space(profile)
    except ValueError:
        return pixels
    return space.to_srgb(pixels) if space.mode == "RGB" else pixels


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65_535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return image.convert("RGB")


def _open_video(path: Path, size: Size, settings: Settings) -> Backdrop:
    with _opened_video(path, settings) as source:
        info = source.info
    scale = max(size[0] / info.width, size[1] / info.height)
    cover = tuple(max(side, round(n * scale / 2) * 2) for side, n in zip(size, (info.width, info.height), strict=True))
    length_s = None if info.duration_s is None else Fraction(info.duration_s).limit_denominator(1_000_000)
    return Loop(lambda from_s: _video_moments(path, size, (cover[0], cover[1]), settings, from_s), length_s)


def _video_moments(
    path: Path, size: Size, cover: Size, settings: Settings, from_s: int
) -> Generator[Moment, None, None]:
    with _opened_video(path, settings, from_s, cover) as source:
        for item in source:
            if isinstance(item, Frame):
                begin_s = from_s + item.pts * item.time_base
                yield begin_s, begin_s + 1 / source.info.rate, centre(_over_black(item), *size)


@contextmanager
def _opened_video(path: Path, settings: Settings, from_s: int = 0, size: Size = (0, 0)) -> Iterator[FileSource]:
    """The opened video. Any error, now or inside the `with` block, becomes a BackgroundError."""
    try:
        with closing(FileSource(path, settings, start_s=from_s, size=size)) as source:
            yield source
    except InputError as exc:
        raise BackgroundError(f"the background cannot be used: {exc}") from None


def _over_black(frame: Frame) -> Plane:
    if frame.alpha is None:
        return frame.pixels
    return blend(frame.pixels, flat(*BLACK, frame.width, frame.height), frame.alpha)
