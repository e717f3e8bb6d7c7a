"""The colours of WebRTC by their definitions, without a network."""

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange

from stream.picture.bt601 import ToBt601, tag_bt601
from stream.picture.colour import rgb_to_i420, rgb_to_yuv
from stream.picture.frames import Frame, to_av
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.encoder import LiveEncoder
from stream.rtc.source import WebRtcSource
from stream.settings import Settings
from tests.colours import PATCHES, bt601_from_rgb

SETTINGS = Settings(hw_encode=False)
ORANGE = np.array([230, 120, 40])
OFFSETS = np.array([16, 128, 128])


def flat(rgb: npt.ArrayLike, width: int = 64, height: int = 48) -> av.VideoFrame:
    """A picture of one colour, as the sink gets it: yuv420p, BT.709."""
    pixels = np.full((height, width, 3), np.asarray(rgb), np.uint8)
    return to_av(Frame(rgb_to_i420(pixels), 0, Fraction(1, 90_000)), "yuv420p")


def means(picture: av.VideoFrame) -> npt.NDArray[np.float64]:
    planes = (np.frombuffer(memoryview(p), np.uint8).reshape(p.height, p.line_size) for p in picture.planes)
    return np.array([plane[:, : p.width].mean() for plane, p in zip(planes, picture.planes, strict=True)])


def decoded(codec: str, data: bytes) -> av.VideoFrame:
    decoder = av.VideoCodecContext.create({"H264": "h264", "VP8": "libvpx"}[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    return [*decoder.decode(av.Packet(data)), *decoder.decode(None)][0]


@pytest.mark.parametrize("rgb", PATCHES)
def test_pictures_are_converted_by_the_definition_of_bt601(rgb: npt.NDArray[np.uint8]) -> None:
    converted = ToBt601()(flat(rgb))
    assert np.abs(means(converted) - (bt601_from_rgb() @ rgb + OFFSETS)).max() < 1.6
    assert (converted.format.name, converted.width, converted.height) == ("yuv420p", 64, 48)


def test_the_size_may_change_and_times_are_kept() -> None:
    convert = ToBt601()
    for n, (width, height) in enumerate([(64, 48), (128, 96), (64, 48)]):
        picture = flat(ORANGE, width, height)
        picture.pts = 3000 * n
        converted = convert(picture)
        assert (converted.width, converted.height, converted.pts) == (width, height, 3000 * n)


@pytest.mark.parametrize("size", [(320, 180), (1280, 720)])
def test_h264_says_what_it_is(size: tuple[int, int]) -> None:
    encoder = LiveEncoder("H264", *size, 800_000, SETTINGS)
    (packet,) = encoder.encode(ToBt601()(flat(ORANGE, *size)), key=True)
    picture = decoded("H264", bytes(packet))
    assert (picture.colorspace, picture.color_range) == (6, ColorRange.MPEG)
    assert (picture.color_primaries, picture.color_trc) == (1, 1)
    assert np.abs(means(picture) - (bt601_from_rgb() @ ORANGE + OFFSETS)).max() < 2


def test_vp8_has_the_same_values() -> None:
    encoder = LiveEncoder("VP8", 320, 180, 800_000, SETTINGS)
    (packet,) = encoder.encode(ToBt601()(flat(ORANGE, 320, 180)), key=True)
    assert np.abs(means(decoded("VP8", bytes(packet))) - (bt601_from_rgb() @ ORANGE + OFFSETS)).max() < 2


def sent(size: tuple[int, int], matrix: int | None, full: bool = False) -> bytes:
    """One H.264 picture of orange, tagged with a matrix (ITU-T H.273) or with none, as a browser may send it."""
    rgb_to = rgb_to_yuv()[:, :3] if matrix == 1 else bt601_from_rgb()
    y, u, v = rgb_to @ ORANGE + OFFSETS
    if full:
        y, u, v = (y - 16) * 255 / 219, *((c - 128) * 255 / 224 + 128 for c in (u, v))
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.time_base = *size, "yuv420p", Fraction(1, 30)
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    if matrix is not None:
        tag_bt601(context)
        context.colorspace, context.color_range = matrix, ColorRange.JPEG if full else ColorRange.MPEG
    picture = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(picture.planes, (y, u, v), strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    return b"".join(map(bytes, [*context.encode(picture), *context.encode(None)]))


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize(("matrix", "full"), [(None, False), (1, False), (5, False), (6, False), (1, True), (6, True)])
def test_received_h264_is_what_its_tags_say_and_bt601_without_tags(
    size: tuple[int, int], matrix: int | None, full: bool
) -> None:
    """Chromium sends cameras without tags, in BT.601, and canvases as BT.709 in full range."""
    source = WebRtcSource(SETTINGS, lambda: None)
    source.take(Encoded("H264", sent(size, matrix, full), 0))
    frame = next(iter(source))
    got = np.array([plane.mean() for plane in frame.planes()])
    assert np.abs(got - (rgb_to_yuv()[:, :3] @ ORANGE + OFFSETS)).max() < 2
