"""`Frame`, the internal format of video frames, and all conversions between it and `av.VideoFrame`.

Every frame is upright I420 (planar YUV 4:2:0, 8 bit) in BT.709, limited range, with square pixels and even sides, or
a single grey plane. `stream/picture/ingest.py` converts decoded frames to this format.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import av
import av.video.plane
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from stream.picture.extras import Extras
from stream.picture.photo import Photo

Plane = npt.NDArray[np.uint8]

Alpha = npt.NDArray[np.float32]
"""(h, w), 0.0 background to 1.0 subject, never normalised per frame. In the engine's resolution, of any size."""

if TYPE_CHECKING:
    Sound = av.Packet[av.AudioStream]
else:
    Sound = av.Packet  # an audio packet, its pts on the same clock as the frames'


@dataclass(frozen=True, slots=True)
class Frame:
    """One image and its time.

    pixels: uint8. I420 as one (H*3/2, W) array, rows of Y, then U and V packed; or (H, W) when `gray`,
        full range 0-255.
    pts, time_base: presentation time is `pts * time_base` seconds.
    alpha: uint8 (H, W), 0-255; None where every pixel is opaque.
    damaged: the decoder could not reconstruct all of it.
    arrived_s: when a live frame arrived, by `time.monotonic`; 0 for recordings.
    others: further renderings of the same moment, for a sink that writes several outputs.
    slate: a grey placeholder for a live frame that did not arrive; shown as the background, with a line of text if the
        options have one.
    photo: of a still picture or a file of a sequence, the picture in full quality; of its rendering, the result.
    """

    pixels: Plane
    pts: int
    time_base: Fraction
    alpha: Plane | None = None
    gray: bool = False
    damaged: bool = False
    arrived_s: float = 0.0
    others: tuple["Frame", ...] = ()
    slate: bool = False
    photo: Photo | None = None

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0] if self.gray else self.pixels.shape[0] * 2 // 3)

    @property
    def time_s(self) -> float:
        return float(self.pts * self.time_base)

    def planes(self) -> tuple[Plane, Plane, Plane]:
        """Y (H, W), U and V (H/2, W/2): views, no copies."""
        return split_i420(self.pixels)

    def with_pixels(self, pixels: Plane, alpha: Plane | None = None, gray: bool = False) -> Self:
        """The same moment with another image."""
        return replace(self, pixels=pixels, alpha=alpha, gray=gray)


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video, known before its first frame is passed on.

    rate: frames per second, an estimate for variable frame rates. duration_s, frames: None where unknown.
    sound: the input's audio streams, in the order of the packets' stream index.
    changing_sound: returns the indexes of those whose format changes in mid-stream. Reads the whole file when called.
    other_codec: returns FFmpeg's decoder for a packet of sound whose codec is not that of its stream; "" for others.
    has_alpha: frames have alpha. gray: frames are grey planes. others: properties of `Frame.others`.
    video_streams: number of video streams in the file, of which one is read.
    still: width and height of a picture, whose only frame has a `Frame.photo` of this size; None for a video.
    first_number: number of the first file of a picture sequence.
    extras: what the file carries besides pictures and sound; None if the input is not a file.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    duration_s: float | None = None
    frames: int | None = None
    sound: tuple[av.AudioStream, ...] = ()
    changing_sound: Callable[[], frozenset[int]] = field(default=frozenset, compare=False)
    other_codec: Callable[[Sound], str] = field(default=lambda _: "", compare=False)
    has_alpha: bool = False
    gray: bool = False
    others: tuple["VideoInfo", ...] = ()
    still: tuple[int, int] | None = None
    video_streams: int = 1
    first_number: int = 1
    extras: Extras | None = None


def split_i420(pixels: Plane) -> tuple[Plane, Plane, Plane]:
    """Views of the three planes of a contiguous (H*3/2, W) I420 array."""
    width, height = pixels.shape[1], pixels.shape[0] * 2 // 3
    flat, size = pixels.reshape(-1), width * height
    half = (height // 2, width // 2)
    return (
        flat[:size].reshape(height, width),
        flat[size : size * 5 // 4].reshape(half),
        flat[size * 5 // 4 :].reshape(half),
    )


def to_av(frame: Frame, pix_fmt: str) -> av.VideoFrame:
    """The frame in an encoder's pixel format, tagged BT.709, with its time.

    Alpha is kept where `pix_fmt` has it; a frame without alpha is then opaque.
    """
    if pix_fmt == "rgba":
        out = _rgba(frame)
    else:
        plain = _with_alpha(frame) if has_alpha(pix_fmt) else _opaque(frame)
        out = plain if plain.format.name == pix_fmt else _reformat(plain, pix_fmt)
    out.pts, out.time_base = frame.pts, frame.time_base
    return out


def from_av(picture: av.VideoFrame, alpha: av.VideoFrame | None, time: tuple[int, Fraction], damaged: bool) -> Frame:
    """A Frame from a `yuv420p` image that is already BT.709 limited, and an optional `gray` one as its alpha."""
    plane = None if alpha is None else np.asarray(alpha.to_ndarray(), np.uint8)
    return Frame(np.asarray(picture.to_ndarray(), np.uint8), *time, alpha=plane, damaged=damaged)


def has_alpha(pix_fmt: str) -> bool:
    return any(component.is_alpha for component in av.VideoFormat(pix_fmt).components)


def tag_bt709(target: av.VideoFrame | av.VideoCodecContext, full_range: bool = False) -> None:
    """Tag as BT.709, limited range unless `full_range`."""
    target.colorspace = Colorspace.ITU709
    target.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    target.color_primaries = ColorPrimaries.BT709
    target.color_trc = ColorTrc.BT709


def _opaque(frame: Frame) -> av.VideoFrame:
    out = av.VideoFrame.from_ndarray(frame.pixels, format="gray" if frame.gray else "yuv420p")
    tag_bt709(out, full_range=frame.gray)
    return out


def _with_alpha(frame: Frame) -> av.VideoFrame:
    out = av.VideoFrame(frame.width, frame.height, "yuva420p")
    for plane, pixels in zip(out.planes, (*frame.planes(), _alpha(frame)), strict=True):
        _fill(plane, pixels)
    tag_bt709(out)
    return out


def _rgba(frame: Frame) -> av.VideoFrame:
    """Through rgb24: swscale's YUV to RGBA leaves garbage at widths that are not a multiple of 8."""
    rgb = np.asarray(_reformat(_opaque(frame), "rgb24").to_ndarray(), np.uint8)
    rgba: Plane = np.dstack([rgb, _alpha(frame)])
    out = av.VideoFrame.from_ndarray(rgba, format="rgba")
    tag_bt709(out, full_range=True)
    return out


def _alpha(frame: Frame) -> Plane:
    return np.full((frame.height, frame.width), 255, np.uint8) if frame.alpha is None else frame.alpha


def _fill(plane: av.video.plane.VideoPlane, pixels: Plane) -> None:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    rows[:, : plane.width] = pixels


def _reformat(picture: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    full = av.VideoFormat(pix_fmt).is_rgb or pix_fmt.startswith("gray")
    out = picture.reformat(
        format=pix_fmt,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=picture.color_range,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    tag_bt709(out, full_range=full)
    return out
