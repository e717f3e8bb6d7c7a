"""Any decoded frame becomes upright, even-sided 8-bit 4:2:0 in BT.709 limited range."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from stream.errors import TooLarge, UnreadableMedia
from stream.picture import tonemap
from stream.picture.display_matrix import Display
from stream.picture.frames import Frame
from stream.picture.ingest import Ingest, check_size
from stream.picture.orientation import Orientation
from tests.media import write_video

WIDTH, HEIGHT = 96, 64
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def smooth_rgb() -> npt.NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)


def yuv(rgb: Any, matrix: int, full: bool, bits: int = 8) -> list[Any]:
    """Y, U, V as floats by the definition of each matrix (ITU-T H.273)."""
    kr, kb = LUMA[matrix]
    r, g, b = (rgb[..., i] / 255.0 for i in range(3))
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    scale = 2 ** (bits - 8)
    if full:
        top = 2**bits - 1
        return [y * top, u * top + 128 * scale, v * top + 128 * scale]
    return [(16 + 219 * y) * scale, (128 + 224 * u) * scale, (128 + 224 * v) * scale]


def halved(plane: Any, across: bool, down: bool) -> Any:
    size = (WIDTH // 2 if across else WIDTH, HEIGHT // 2 if down else HEIGHT)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def decoded(pix_fmt: str, matrix: int, full: bool) -> av.VideoFrame:
    """`smooth_rgb` as a decoder would output it."""
    bits = 10 if "10" in pix_fmt else 8
    y, u, v = yuv(smooth_rgb(), matrix, full, bits)
    if "444" not in pix_fmt:
        u, v = (halved(c, True, "420" in pix_fmt) for c in (u, v))
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    dtype = np.uint16 if bits > 8 else np.uint8
    for plane, values in zip(frame.planes, (y, u, v), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size).view(dtype)
        rows[:, : plane.width] = np.clip(np.rint(values), 0, 2**bits - 1)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    frame.pts, frame.time_base = 7, Fraction(1, 30)
    return frame


def ingest(frame: av.VideoFrame, **settings: Any) -> Frame:
    chain = Ingest(frame, **settings)
    (out,) = [*chain.push(frame), *chain.flush()]
    return out


def worst_mean_error(out: Frame) -> float:
    y, u, v = yuv(smooth_rgb(), 1, False)
    expected = (y, halved(u, True, True), halved(v, True, True))
    return max(float(np.abs(got - want).mean()) for got, want in zip(out.planes(), expected, strict=True))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 6, 7])
def test_every_matrix_range_and_format_becomes_bt709_limited(pix_fmt: str, full: bool, matrix: int) -> None:
    out = ingest(decoded(pix_fmt, matrix, full))
    assert worst_mean_error(out) < 0.5
    assert (out.pts, out.time_base) == (7, Fraction(1, 30))


@pytest.mark.parametrize("width", [WIDTH // 2, WIDTH * 2])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 7])
def test_scaling_does_not_change_colours(pix_fmt: str, full: bool, matrix: int, width: int) -> None:
    y, u, v = (float(plane.mean()) for plane in ingest(decoded(pix_fmt, matrix, full)).planes())
    scaled = ingest(decoded(pix_fmt, matrix, full), width=width)
    assert scaled.width == width
    for plane, mean in zip(scaled.planes(), (y, u, v), strict=True):
        assert abs(float(plane.mean()) - mean) < 0.8


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv422p10le", "yuv440p"])
@pytest.mark.parametrize("matrix", [1, 5])
def test_rotation_does_not_change_colours(pix_fmt: str, matrix: int, orientation: int) -> None:
    """4:2:2, as portrait recordings in ProRes are, is not halved in both directions after a quarter turn."""
    frame = decoded("yuv422p" if pix_fmt == "yuv440p" else pix_fmt, matrix, False)
    frame = frame.reformat(format=pix_fmt, src_colorspace=matrix, dst_colorspace=matrix)
    frame.colorspace, frame.color_range = matrix, 1
    upright, turn = ingest(frame), Orientation.of_exif(orientation)
    frame.opaque = Display(turn)
    for plane, expected in zip(ingest(frame).planes(), upright.planes(), strict=True):
        assert np.array_equal(plane, turn.upright(expected))


@pytest.mark.parametrize("pix_fmt", ["uyvy422", "yuv422p"])
def test_deinterlacing_does_not_change_colours(tmp_path: Path, pix_fmt: str) -> None:
    """Also in formats that the filter has to convert, such as uncompressed video."""
    image = decoded("yuv422p", 1, False).reformat(format=pix_fmt, src_colorspace=1, dst_colorspace=1)
    path = write_video(
        tmp_path / "a.mkv", [image] * 3, codec="rawvideo", pix_fmt=pix_fmt, colour=(1, 1, 1, 1),
        options={"field_order": "tt"},
    )  # fmt: skip
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert frame.interlaced_frame
    assert worst_mean_error(ingest(frame)) < 0.6


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgra", "gbrp"])
def test_rgb_becomes_bt709(pix_fmt: str) -> None:
    frame = av.VideoFrame.from_ndarray(smooth_rgb(), format="rgb24").reformat(format=pix_fmt)
    frame.pts, frame.time_base = 0, Fraction(1, 30)
    assert worst_mean_error(ingest(frame)) < 0.6


def test_untagged_pictures_are_bt601_up_to_576_lines_and_bt709_above() -> None:
    small = decoded("yuv420p", 5, False)
    small.colorspace = 2
    assert worst_mean_error(ingest(small)) < 0.5
    tall = av.VideoFrame(64, 720, "yuv420p")
    for plane, value in zip(tall.planes, (100, 90, 170), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    tall.pts, tall.time_base = 0, Fraction(1, 30)
    assert [int(p[0, 0]) for p in ingest(tall).planes()] == [100, 90, 170]


def test_bt2020_is_converted_to_bt709_primaries() -> None:
    """A colour inside both gamuts, converted by the definitions: linear light, 3x3 matrix, transfer curve."""

    def curve(light: Any) -> Any:
        return np.where(light < 0.018, 4.5 * light, 1.099 * np.maximum(light, 0.018) ** 0.45 - 0.099)

    light_709 = np.array([0.6, 0.25, 0.1])
    light_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]) @ light_709
    signal = yuv(curve(light_2020)[None, None] * 255, 9, False, 10)
    expected = yuv(curve(light_709)[None, None] * 255, 1, False)
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    for plane, value in zip(frame.planes, signal, strict=True):
        plane.update(np.full(plane.buffer_size // 2, round(value.item()), np.uint16).tobytes())
    frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = 9, 1, 9, 14
    frame.pts, frame.time_base = 0, Fraction(1, 30)
    assert [float(p.mean()) for p in ingest(frame).planes()] == pytest.approx([e.item() for e in expected], abs=2)


def test_a_requested_size_is_scaled_to_and_one_side_keeps_the_aspect_ratio() -> None:
    frame = decoded("yuv420p", 1, False)
    assert (ingest(frame, width=48).width, ingest(frame, width=48).height) == (48, 32)
    assert (ingest(frame, height=32).width, ingest(frame, height=32).height) == (48, 32)
    assert (ingest(frame, width=50, height=50).width, ingest(frame, width=50, height=50).height) == (50, 50)


def test_non_square_pixels_are_made_square_by_enlarging() -> None:
    out = ingest(decoded("yuv420p", 1, False), sar=Fraction(4, 3))
    assert (out.width, out.height) == (128, 64)
    out = ingest(decoded("yuv420p", 1, False), sar=Fraction(1, 2))
    assert (out.width, out.height) == (96, 128)


def test_odd_sides_are_cropped_and_reported() -> None:
    frame = av.VideoFrame(65, 49, "yuv420p")
    for plane, value in zip(frame.planes, (100, 90, 170), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts, frame.time_base, frame.colorspace, frame.color_range = 0, Fraction(1, 30), 1, 1
    chain = Ingest(frame)
    (out,) = [*chain.push(frame), *chain.flush()]
    assert (out.width, out.height) == (64, 48)
    assert chain.trimmed
    assert [int(p.min()) for p in out.planes()] == [int(p.max()) for p in out.planes()] == [100, 90, 170]


def test_a_frame_of_one_pixel_is_refused() -> None:
    frame = av.VideoFrame(1, 1, "yuv444p")
    frame.time_base = Fraction(1, 30)
    with pytest.raises(UnreadableMedia, match="1x1"):
        Ingest(frame)


def test_a_new_size_in_mid_stream_is_scaled_to_the_first() -> None:
    first, second = decoded("yuv420p", 1, False), av.VideoFrame(48, 32, "yuv444p")
    for plane in second.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    second.pts, second.time_base = 8, Fraction(1, 30)
    chain = Ingest(first)
    out = [*chain.push(first), *chain.push(second), *chain.flush()]
    assert [(f.width, f.height, f.pts) for f in out] == [(WIDTH, HEIGHT, 7), (WIDTH, HEIGHT, 8)]


def test_alpha_of_the_input_is_kept() -> None:
    rgba = np.dstack([smooth_rgb(), np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))])
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    frame.pts, frame.time_base = 0, Fraction(1, 30)
    out = ingest(frame)
    assert out.alpha is not None
    assert np.abs(out.alpha.astype(int) - rgba[..., 3]).max() <= 1


def test_a_size_over_the_limit_is_refused() -> None:
    check_size(100, 100, 10_000)
    with pytest.raises(TooLarge, match="16384x16384"):
        check_size(16384, 16384, 36_000_000)


def pq(nits: float) -> float:
    return float(tonemap.light_to_pq(np.array(nits)))


@pytest.mark.parametrize("trc", [tonemap.PQ, tonemap.HLG])
def test_hdr_is_tone_mapped_to_bt709(trc: int) -> None:
    """Grey steps stay grey, increase with luminance, keep shadows and use the whole range."""
    signals = [0.0, pq(20), pq(100), pq(203), pq(1000)] if trc == tonemap.PQ else [0.0, 0.2, 0.5, 0.75, 1.0]
    lumas = []
    for signal in signals:
        frame = av.VideoFrame(64, 64, "yuv420p10le")
        levels = (round((16 + 219 * signal) * 4), 512, 512)
        for plane, value in zip(frame.planes, levels, strict=True):
            plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = 9, 1, 9, trc
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        y, u, v = (float(p.mean()) for p in ingest(frame).planes())
        assert abs(u - 128) <= 1
        assert abs(v - 128) <= 1
        lumas.append(y)
    assert abs(lumas[0] - 16) <= 1
    assert all(b > a + 8 for a, b in itertools.pairwise(lumas))
    assert lumas[-1] >= 233


def test_pq_and_its_inverse_agree_with_the_standard() -> None:
    """SMPTE ST 2084: 100 cd/m² is 50.8 % signal, 1,000 cd/m² is 75.2 %."""
    assert pq(100) == pytest.approx(0.508, abs=0.001)
    assert pq(1000) == pytest.approx(0.752, abs=0.001)
    assert float(tonemap.pq_to_light(np.array(pq(203)))) == pytest.approx(203, rel=1e-6)
