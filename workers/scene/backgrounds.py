"""What stands behind the subject: a colour, a picture, a looped video, or the room blurred (`workers/scene/blur.py`).

A `Backdrop` gives the background for each moment as I420 of the frame's size, and owns what it reads from. Knows
nothing about mattes beyond where alpha is, and nothing about what to show when a background fails: it raises.
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
from stream.records.options import Background
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.storage.nearby import SCHEME, nearby
from workers.scene.blur import blurred
from workers.scene.composite import BLACK, blend, centre, flat, rgb_flat

Size = tuple[int, int]
Moment = tuple[Fraction, Fraction, Plane]
"""When a picture of an animated background begins and when it should end, in seconds, and the picture (I420)."""

AnimationReader = Callable[[int], Generator[Moment, None, None]]
"""Opens an animation and reads its pictures in order, from so many seconds after its beginning or earlier."""

# Those that Pillow decodes by itself: its EPS support would run Ghostscript.
_PICTURES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000")
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")  # not TIFF and MPO: their further pictures are pages and thumbnails
_SOON_S = Fraction(2, 1000)  # containers round times to milliseconds: a picture is due when it is this close
_SMALL = (16, 16)  # of a background that is opened only to see whether it can be
_FAR_S = 20  # a leap ahead that is worth seeking for


class Backdrop(Protocol):
    """at: the background at this frame's time, I420 of the frame's size, not to be written to; None is transparent.
    alpha: uint8 (H, W), the frame's own. Raises BackgroundError when it cannot be read any more."""

    def at(self, frame: Frame, alpha: Plane) -> Plane | None: ...

    def close(self) -> None: ...


def open_background(background: Background, width: int, height: int, settings: Settings) -> Backdrop:
    """The backdrop for frames of `width` x `height` pixels, both even. Raises BackgroundError in one line."""
    size = (width, height)
    match background.kind:
        case "color":
            return _still(rgb_flat(background.rgb, *size))
        case "blur":
            return Drawn(lambda frame, alpha: blurred(frame.pixels, alpha, background.strength))
        case "image":
            return _open_image(_found(background.path, settings), size, settings)
        case "video":
            return _open_video(_found(background.path, settings), size, settings)
        case "none":
            return Drawn(lambda frame, _: frame.pixels)
    return _still(None)


def check_background(background: Background, settings: Settings) -> None:
    """Read its beginning: the size of the frames is not known yet. Raises BackgroundError in one line."""
    open_background(background, *_SMALL, settings).close()


def _found(path: str, settings: Settings) -> Path:
    """Uploaded ones and the gallery's are named by their key in storage."""
    if not path.startswith(SCHEME):
        return Path(path)
    try:
        return nearby(path.removeprefix(SCHEME), settings)
    except (FileNotFoundError, ValueError, DiskError) as exc:
        raise BackgroundError(f"the background cannot be fetched: {exc}") from None


def _still(picture: Plane | None) -> Backdrop:
    return Drawn(lambda _frame, _alpha: picture)


class Drawn:
    """A background that is known, or follows from the frame alone; holds nothing open."""

    def __init__(self, draw: Callable[[Frame, Plane], Plane | None]) -> None:
        self._draw = draw

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        return self._draw(frame, alpha)

    def close(self) -> None:
        """Nothing is held."""


class Loop:
    """An animation that begins at time 0 and repeats for ever; the same time always shows the same picture.

    Holds two pictures, however long it is. length_s: None where nobody knows; then it is learnt by reading to the
    end once. Raises BackgroundError, at once when there is not one picture.
    """

    _now: Moment
    _next: Moment | None
    _from_s: int
    _advanced: bool  # is `_now` later than the first picture that was read?

    def __init__(self, read: AnimationReader, length_s: Fraction | None) -> None:
        self._read, self._length_s = read, length_s
        self._moments = read(0)
        self._open(0)

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        self._go_to(self._place_s(frame))
        if self._length_s is None and self._next is None:
            self._length_s = self._now[1]
            self._go_to(self._place_s(frame))
        return self._now[2]

    def close(self) -> None:
        self._moments.close()

    def _place_s(self, frame: Frame) -> Fraction:
        time_s = frame.pts * frame.time_base + _SOON_S
        return time_s % self._length_s if self._length_s else time_s

    def _go_to(self, place_s: Fraction) -> None:
        now_s = self._now[0]
        if place_s < now_s and (self._advanced or place_s < self._from_s):  # the first picture may begin after 0
            self._open(0)
        elif self._length_s and self._next is not None and place_s - self._next[0] > _FAR_S:
            self._leap(place_s)
        while self._next is not None and self._next[0] <= place_s:
            self._now, self._next = self._next, self._following()
            self._advanced = True

    def _leap(self, place_s: Fraction) -> None:
        """Seek; where that finds no picture that begins by then, only reading from the beginning tells."""
        try:
            self._open(max(0, math.floor(place_s) - _FAR_S // 2))
            found = self._now[0] <= place_s
        except BackgroundError:
            found = False
        if not found:
            self._open(0)

    def _following(self) -> Moment | None:
        try:
            return next(self._moments, None)
        except BackgroundError:
            return None  # damaged from here on: the last picture stays until the loop begins again

    def _open(self, from_s: int) -> None:
        self._moments.close()
        self._moments = self._read(from_s)
        first = next(self._moments, None)
        if first is None:
            raise BackgroundError("the background holds no picture that could be read")
        self._now, self._next = first, self._following()
        self._from_s, self._advanced = from_s, False


def _open_image(path: Path, size: Size, settings: Settings) -> Backdrop:
    with _picture(path, settings) as image:
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            return Loop(lambda _: _flip_book(path, size, settings), None)
        return _still(_fitted(image, size))


def _flip_book(path: Path, size: Size, settings: Settings) -> Generator[Moment, None, None]:
    begin_s = Fraction(0)
    with _picture(path, settings) as image:
        for number in range(settings.max_frames):
            try:
                image.seek(number)
            except EOFError:
                return
            picture = _fitted(image, size)
            shown_ms = round(image.info.get("duration", 0))  # WebP knows it only now that the picture is decoded
            end_s = begin_s + Fraction(shown_ms if shown_ms > 10 else 100, 1000)  # as browsers do
            yield begin_s, end_s, picture
            begin_s = end_s


@contextmanager
def _picture(path: Path, settings: Settings) -> Iterator[Image.Image]:
    """The opened picture, only its header read. Whatever is wrong, then or later, becomes a BackgroundError."""
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
        raise BackgroundError(f"{path} is not a picture of a known kind ({known})") from None
    except OSError as exc:
        raise BackgroundError(f"{path} cannot be read: {exc.strerror or exc}") from None
    except Exception as exc:  # noqa: BLE001 - Pillow's decoders raise nearly anything on damaged files
        raise BackgroundError(f"{path} is a damaged picture ({type(exc).__name__})") from None


def _header(path: Path) -> Image.Image:
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
        return Image.open(path, formats=[name for name in _PICTURES if name in Image.OPEN])


def _fitted(image: Image.Image, size: Size) -> Plane:
    """Upright, transparency over black, its centre cropped to fill the frame; as I420."""
    rgb = _rgb(ImageOps.exif_transpose(image))
    fitted = ImageOps.fit(rgb, size, Image.Resampling.LANCZOS)
    return rgb_to_i420(np.asarray(fitted, np.uint8))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow's own conversion would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65_535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return image.convert("RGB")


def _open_video(path: Path, size: Size, settings: Settings) -> Backdrop:
    with _film(path, settings) as source:
        info = source.info
    scale = max(size[0] / info.width, size[1] / info.height)
    cover = tuple(max(side, round(n * scale / 2) * 2) for side, n in zip(size, (info.width, info.height), strict=True))
    length_s = None if info.duration_s is None else Fraction(info.duration_s).limit_denominator(1_000_000)
    return Loop(lambda from_s: _scenes(path, size, (cover[0], cover[1]), settings, from_s), length_s)


def _scenes(path: Path, size: Size, cover: Size, settings: Settings, from_s: int) -> Generator[Moment, None, None]:
    with _film(path, settings, from_s, cover) as source:
        for item in source:
            if isinstance(item, Frame):
                begin_s = from_s + item.pts * item.time_base
                yield begin_s, begin_s + 1 / source.info.rate, centre(_over_black(item), *size)


@contextmanager
def _film(path: Path, settings: Settings, from_s: int = 0, size: Size = (0, 0)) -> Iterator[FileSource]:
    """The one place where a video background is opened. Whatever is wrong with it becomes a BackgroundError."""
    try:
        with closing(FileSource(path, settings, start_s=from_s, size=size)) as source:
            yield source
    except InputError as exc:
        raise BackgroundError(f"the background cannot be used: {exc}") from None


def _over_black(frame: Frame) -> Plane:
    if frame.alpha is None:
        return frame.pixels
    return blend(frame.pixels, flat(*BLACK, frame.width, frame.height), frame.alpha)
