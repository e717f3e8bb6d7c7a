"""Convert decoded frames to `stream.picture.frames.Frame`: upright, progressive, square pixels, even sides, 8-bit 4:2:0
in BT.709 limited range. Only the steps a video needs are run; most videos need none.

FFmpeg's filters do the work (`colorspace`, because swscale's YUV to YUV goes through 8-bit RGB and was measured four
times slower and off by up to 6 levels).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import av.filter
import numpy as np
from av.video.reformatter import ColorRange

from stream.errors import TooLarge, UnreadableMedia
from stream.picture import tonemap
from stream.picture.display_matrix import Display
from stream.picture.frames import Frame, from_av, has_alpha
from stream.picture.orientation import Orientation
from stream.picture.photo import Photo

Filter = tuple[str, str]

_BT709, _BT2020 = 1, 9
_MATRIX = {  # number in ITU-T H.273 → name in FFmpeg's filters setparams, scale, colorspace
    1: ("bt709", "bt709", "bt709"),
    4: ("fcc", "fcc", "bt470m"),
    5: ("bt470bg", "bt601", "bt601-6-625"),
    6: ("smpte170m", "bt601", "bt601-6-525"),
    7: ("smpte240m", "smpte240m", "smpte240m"),
    9: ("bt2020nc", "bt2020", "bt2020"),
}
_TURNS = {  # `vflip` alone returns frames with a negative line size; the filter after it puts the rows into order
    Orientation(): [],
    Orientation(quarters=1): ["transpose=clock"],
    Orientation(quarters=2): ["vflip", "hflip"],
    Orientation(quarters=3): ["transpose=cclock"],
    Orientation(mirrored=True): ["hflip"],
    Orientation(mirrored=True, quarters=1): ["transpose=clock_flip"],
    Orientation(mirrored=True, quarters=2): ["vflip", "copy"],
    Orientation(mirrored=True, quarters=3): ["transpose=cclock_flip"],
}
_SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_SD_LINES = 576  # untagged frames of up to this many lines are BT.601, larger ones BT.709, as players assume


@dataclass(frozen=True)
class Shape:
    """The properties of a decoded frame that decide which filters it needs."""

    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    matrix: int
    full_range: bool
    trc: int
    orientation: Orientation
    interlaced: bool
    sar: Fraction

    @classmethod
    def of(cls, frame: av.VideoFrame, sar: Fraction) -> "Shape":
        name, display = frame.format.name, Display.of_frame(frame)
        sar = display.sar or sar
        return cls(
            frame.width,
            frame.height,
            name,
            frame.time_base or Fraction(1, 90_000),
            _matrix(frame),
            frame.color_range == ColorRange.JPEG or name.startswith(("yuvj", "gray", "ya8")),
            frame.color_trc,
            display.orientation,
            bool(frame.interlaced_frame),
            sar if Fraction(1, 8) <= sar <= 8 else Fraction(1),
        )

    @property
    def is_rgb(self) -> bool:
        return av.VideoFormat(self.pix_fmt).is_rgb or self.pix_fmt == "pal8"

    @property
    def is_gray(self) -> bool:
        return self.pix_fmt.startswith(("gray", "ya", "mono"))

    @property
    def is_hdr(self) -> bool:
        return self.trc in (tonemap.PQ, tonemap.HLG)

    @property
    def is_deep(self) -> bool:
        """Whether its colours have more than 8 bits, and can be shown without a conversion of gamut or of HDR."""
        deep = av.VideoFormat(self.pix_fmt).components[0].bits > 8
        return deep and not self.is_hdr and (self.is_rgb or self.is_gray or self.matrix != _BT2020)

    def upright_size(self) -> tuple[int, int]:
        """(width, height) in square pixels, upright, before cropping to even sides."""
        width = round(self.width * max(self.sar, Fraction(1)))
        height = round(self.height * max(1 / self.sar, Fraction(1)))
        return (height, width) if self.orientation.swaps_sides else (width, height)


def _matrix(frame: av.VideoFrame) -> int:
    if frame.colorspace in _MATRIX:
        return int(frame.colorspace)
    return 5 if frame.height <= _SD_LINES else _BT709


class Ingest:
    """Decoded frames in, `Frame`s out, all of one size: the first frame's, or the one requested.

    sar: sample aspect ratio, a pixel's width over its height. width, height: output size in pixels; one of them 0
    keeps the aspect ratio, both 0 keep the size. max_pixels: largest frame accepted or produced. photos: frames of more
    than 8 bits also carry their colours with 16 bits (`Frame.photo`), unless they are HDR or in the gamut of BT.2020.
    Raises UnreadableMedia, TooLarge.
    """

    def __init__(
        self,
        first: av.VideoFrame,
        sar: Fraction | None = None,
        width: int = 0,
        height: int = 0,
        max_pixels: int = 2**31,
        photos: bool = False,
    ) -> None:
        self._sar, self._max_pixels, self._photos = sar or Fraction(1), max_pixels, photos
        self._shape = Shape.of(first, self._sar)
        self.upright = self._shape.upright_size()
        target = fit(self.upright, width, height)
        scaled = target != self.upright or self._shape.sar != 1
        self.size = _up_to_even(target) if scaled else _even(target)
        self.trimmed = not scaled and self.size != self.upright  # a row or column is cropped to make the sides even
        if min(self.upright) < 2 or min(self.size) < 2:
            raise UnreadableMedia(f"the picture is {first.width}x{first.height}; the minimum is 2x2")
        check_size(*self.size, max_pixels)
        self.has_alpha = has_alpha(self._shape.pix_fmt) or self._shape.pix_fmt == "pal8"
        self._damaged: set[int | None] = set()  # pts of damaged frames still inside the filters
        self._picture: Graph | None = None
        self._alpha: Graph | None = None
        self._photo: Graph | None = None
        self._build()

    def push(self, frame: av.VideoFrame) -> Iterator[Frame]:
        shape = Shape.of(frame, self._sar)
        if shape != self._shape:  # cameras and broadcasts change size, orientation or interlacing in mid-stream
            check_size(shape.width, shape.height, self._max_pixels)
            yield from self.flush()
            self._shape = shape
            self._build()
        if self._picture is None:
            yield from_av(frame, None, (frame.pts or 0, shape.time_base), frame.is_corrupt)
            return
        if frame.is_corrupt:
            self._damaged.add(frame.pts)
        self._picture.push(frame)
        for graph in filter(None, (self._alpha, self._photo)):
            graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[Frame]:
        if self._picture is not None:
            for graph in filter(None, (self._picture, self._alpha, self._photo)):
                graph.push(None)
            yield from self._pull()

    def _build(self) -> None:
        """Frames are rotated last, in 4:2:0. In other formats FFmpeg adds conversions that change colours."""
        turn = _TURNS[self._shape.orientation]
        geometry = _geometry(self._shape, self.size[::-1] if self._shape.orientation.swaps_sides else self.size)
        colour = _colour(self._shape)
        has_palette = self._shape.pix_fmt == "pal8"
        needs_alpha = self.has_alpha and (has_alpha(self._shape.pix_fmt) or has_palette)
        extract = ["format=rgba", "alphaextract"] if has_palette else ["alphaextract"]
        self._alpha = Graph(self._shape, [*extract, *geometry, "format=gray", *turn]) if needs_alpha else None
        self._photo = None
        if self._photos and self._shape.is_deep:
            self._photo = Graph(self._shape, [*_tags(self._shape), *geometry, *_in_rgb(self._shape), *turn])
        self._picture = None
        if geometry or colour or turn or self._shape.pix_fmt != "yuv420p":
            tags = _tags(self._shape) if geometry else []
            self._picture = Graph(self._shape, [*tags, *geometry, *colour, "format=yuv420p", *turn])

    def _pull(self) -> Iterator[Frame]:
        assert self._picture is not None
        while (picture := self._picture.pull()) is not None:
            alpha = self._alpha.pull() if self._alpha is not None else None
            time_base = picture.time_base or self._shape.time_base
            pts = picture.pts or 0
            input_pts = round(pts * time_base / self._shape.time_base)  # some filters use a finer time base
            found = from_av(picture, alpha, (pts, time_base), input_pts in self._damaged)
            self._damaged.discard(input_pts)
            photo = self._photo.pull() if self._photo is not None else None
            yield found if photo is None else replace(found, photo=Photo(np.asarray(photo.to_ndarray(), np.uint16)))


def fit(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """(width, height) to scale to. size: of the picture. width, height: requested; one 0 keeps the aspect ratio."""
    if width and height:
        return width, height
    if width:
        return width, max(2, round(size[1] * width / size[0]))
    if height:
        return max(2, round(size[0] * height / size[1])), height
    return size


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] & ~1, size[1] & ~1


def _up_to_even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] + 1 & ~1, size[1] + 1 & ~1


def _geometry(shape: Shape, size: tuple[int, int]) -> list[str]:
    """Filters that deinterlace a frame and scale or crop it. size: (width, height) in pixels, before rotation."""
    steps = ["bwdif=mode=send_frame:deint=interlaced"] if shape.interlaced else []
    stored = (shape.width, shape.height)
    if stored == size:
        return steps
    if shape.sar == 1 and _even(stored) == size:
        return [*steps, f"crop={size[0]}:{size[1]}:0:0:exact=1"]
    return [*steps, f"scale={size[0]}:{size[1]}:flags={_SCALE_FLAGS}{_same_colour(shape)}", "setsar=1"]


def _in_rgb(shape: Shape) -> list[str]:
    """Filters that convert a frame to RGB of 16 bits per channel, without a conversion of primaries."""
    if shape.is_rgb or shape.is_gray:
        return ["format=rgb48le"]
    (_, matrix, _), levels = _MATRIX[shape.matrix], "pc" if shape.full_range else "tv"
    return [f"scale=in_color_matrix={matrix}:in_range={levels}:out_range=pc:flags={_SCALE_FLAGS}", "format=rgb48le"]


def _tags(shape: Shape) -> list[str]:
    """A filter that names the colour space. Without it, FFmpeg's conversions between pixel formats change colours."""
    if shape.is_rgb or shape.is_gray:
        return []
    return [f"setparams=range={'pc' if shape.full_range else 'tv'}:colorspace={_MATRIX[shape.matrix][0]}"]


def _same_colour(shape: Shape) -> str:
    """Options that stop the scaler from converting colours: by default it turns tagged BT.709 into BT.601."""
    if shape.is_rgb or shape.is_gray:
        return ""
    (_, matrix, _), levels = _MATRIX[shape.matrix], "pc" if shape.full_range else "tv"
    return f":in_color_matrix={matrix}:out_color_matrix={matrix}:in_range={levels}:out_range={levels}"


def _colour(shape: Shape) -> list[str]:
    """Filters that convert the frame's colour space to BT.709 limited range."""
    _, scale, colorspace = _MATRIX[shape.matrix]
    source_range = "pc" if shape.full_range else "tv"
    to_bt709 = f"scale=out_color_matrix=bt709:out_range=tv:flags={_SCALE_FLAGS}"
    if shape.is_rgb or shape.is_gray:
        return [to_bt709]
    tags = _tags(shape)
    if shape.is_hdr:
        table = str(tonemap.cube_file(shape.trc)).replace("\\", "/").replace(":", "\\:").replace("'", "\\'")
        to_rgb = f"scale=in_color_matrix={scale}:in_range={source_range}:flags={_SCALE_FLAGS}"
        return [*tags, to_rgb, "format=gbrp10le", f"lut3d=file={table}", to_bt709]
    if shape.matrix == _BT709 and not shape.full_range:
        return [] if shape.pix_fmt == "yuv420p" else tags
    fast = 0 if shape.matrix == _BT2020 else 1  # BT.2020's primaries are far from ours; BT.601's are not
    return [
        *tags,
        "format=" + ("yuv420p10le" if av.VideoFormat(shape.pix_fmt).components[0].bits > 8 else "yuv420p"),
        f"colorspace=all=bt709:iall={colorspace}:range=tv:irange={source_range}:format=yuv420p:fast={fast}",
    ]


class Graph:
    """A chain of FFmpeg filters with one input and one output. Raises UnreadableMedia where it cannot be configured."""

    def __init__(self, shape: Shape, steps: list[str]) -> None:
        self._graph = av.filter.Graph()
        last = self._graph.add_buffer(
            width=shape.width,
            height=shape.height,
            format=av.VideoFormat(shape.pix_fmt),
            time_base=shape.time_base,
        )
        for step in steps:
            name, _, args = step.partition("=")
            node = self._graph.add(name, args or None)
            last.link_to(node)
            last = node
        sink = self._graph.add("buffersink")
        last.link_to(sink)
        try:
            self._graph.configure()
        except av.error.FFmpegError as exc:
            raise UnreadableMedia(f"{shape.width}x{shape.height} {shape.pix_fmt} cannot be converted: {exc}") from None

    def push(self, frame: av.VideoFrame | None) -> None:
        self._graph.vpush(frame)

    def pull(self) -> av.VideoFrame | None:
        try:
            return self._graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return None


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise TooLarge for a frame size over the limit. Called with the header's size, before anything is decoded."""
    if width * height > max_pixels:
        raise TooLarge(f"the picture is {width}x{height}; the limit is {max_pixels:,} pixels (MATTEBOX_MAX_PIXELS)")
