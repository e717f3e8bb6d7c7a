"""The values in the files of a sequence, read by OpenCV and FFmpeg. Files are written with exact values."""

import io
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("OpenEXR")

from stream.errors import UnsupportedOutput
from stream.sinks.parts.numbered_pictures import BT709, PictureOptions, picture_writer
from tests.sequences import frame_of, gradient, read

ALPHA = np.array([[0, 64, 128, 255]], np.uint8)
COLOURS = np.full((2, 4, 3), (60_000, 30_000, 1_000), np.uint16)


def ffmpeg_exr(path: Path) -> Any:
    """RGB or RGBA of an EXR as float32 (H, W, C), by FFmpeg's decoder."""
    with av.open(str(path), format="exr_pipe") as container:
        (frame,) = list(container.decode(video=0))
    assert frame.format.name in ("gbrpf16le", "gbrapf16le")
    planes = [
        np.frombuffer(memoryview(plane), np.float16).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]
    return np.stack([planes[2], planes[0], planes[1], *planes[3:]], axis=2).astype(np.float32)


def written(path: Path, frame: Any, has_alpha: bool = False, **options: Any) -> Path:
    picture_writer(path.suffix, PictureOptions(**options), has_alpha).write(frame, path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("depth", [0, 8, 16])
def test_integers_are_exact(tmp_path: Path, suffix: str, depth: int) -> None:
    pixels = gradient()
    found = read(written(tmp_path / f"a{suffix}", frame_of(pixels), depth=depth))
    if depth == 8:
        np.testing.assert_array_equal(found, np.rint(pixels / 257).astype(np.uint8))
    else:
        np.testing.assert_array_equal(found, pixels)
        assert len(np.unique(found[..., 0])) == 1200


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_8_bits_stay_8_bits(tmp_path: Path, suffix: str) -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    found = read(written(tmp_path / f"a{suffix}", frame_of(pixels)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_straight_by_default(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"a{suffix}", frame_of(COLOURS, ALPHA.repeat(2, 0)), has_alpha=True)
    found = read(path)
    np.testing.assert_array_equal(found[..., :3], COLOURS)
    assert found[0, :, 3].tolist() == [0, 64 * 257, 128 * 257, 65_535]
    if suffix == ".tif":
        assert Image.open(io.BytesIO(path.read_bytes())).tag_v2[338] == (2,)  # type: ignore[attr-defined]


def test_a_premultiplied_tiff_says_so(tmp_path: Path) -> None:
    frame = frame_of(COLOURS, ALPHA.repeat(2, 0))
    content = written(tmp_path / "a.tif", frame, has_alpha=True, alpha="premultiplied").read_bytes()
    assert Image.open(io.BytesIO(content)).tag_v2[338] == (1,)  # type: ignore[attr-defined]
    found = read(tmp_path / "a.tif")[0]
    expected = [[round(c * a / 255) for c in (60_000, 30_000, 1_000)] + [a * 257] for a in (0, 64, 128, 255)]
    assert found.tolist() == expected


def linear(value: float) -> float:
    value /= 65_535
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("mode", ["premultiplied", "straight"])
def test_the_colours_of_an_exr_are_linear_light_times_alpha(tmp_path: Path, mode: str) -> None:
    options = {} if mode == "premultiplied" else {"alpha": mode}
    path = written(tmp_path / "a.exr", frame_of(COLOURS, ALPHA.repeat(2, 0)), has_alpha=True, **options)
    found = ffmpeg_exr(path)[0]
    for column, alpha in enumerate((0, 64, 128, 255)):
        share = np.float16(alpha / 255)
        weight = alpha / 255 if mode == "premultiplied" else 1
        expected = [np.float16(linear(c) * weight) for c in (60_000, 30_000, 1_000)]
        assert found[column, 3] == share
        np.testing.assert_allclose(found[column, :3], expected, rtol=2**-10)
        assert mode == "straight" or alpha or not found[column, :3].any()


def test_an_exr_keeps_a_16_bit_gradient(tmp_path: Path) -> None:
    found = ffmpeg_exr(written(tmp_path / "a.exr", frame_of(gradient(4096))))
    assert len(np.unique(found[..., 0])) >= 1000
    np.testing.assert_allclose(found[0, -1], [linear(60_000), linear(60_000), linear(2_000)], rtol=2**-10)


def test_light_above_1_and_the_chromaticities_are_kept(tmp_path: Path) -> None:
    import OpenEXR

    pixels = np.array([[[7.5, -0.25, 70_000], [0.5, 0, 1]]] * 2, np.float32)
    path = written(tmp_path / "a.exr", frame_of(pixels))
    found = ffmpeg_exr(path)[0]
    assert found[0].tolist() == [7.5, -0.25, 65_504]
    with OpenEXR.File(str(path)) as file:
        header = file.header()
        np.testing.assert_allclose(header["chromaticities"], BT709, atol=1e-6)
        assert header["compression"] == OpenEXR.ZIP_COMPRESSION
        assert list(file.channels()) == ["RGB"]


def test_a_matte_has_no_curve(tmp_path: Path) -> None:
    matte = np.array([[0, 51, 255]] * 2, np.uint8)
    found = ffmpeg_exr(written(tmp_path / "a.exr", frame_of(matte, gray=True)))[0]
    np.testing.assert_allclose(found, [[0.0] * 3, [0.2] * 3, [1.0] * 3], atol=1e-3)
    deep = read(written(tmp_path / "a.tif", frame_of(matte, gray=True), depth=16))
    assert deep[0].tolist() == [0, 51 * 257, 65_535]


def test_the_error_without_openexr_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(UnsupportedOutput, match=r"needs OpenEXR; install it: .*mattebox\[exr\]"):
        picture_writer(".exr", PictureOptions(), True)


def test_what_a_format_cannot_hold_is_refused() -> None:
    with pytest.raises(UnsupportedOutput, match=r"PNG has straight alpha only"):
        picture_writer(".png", PictureOptions(alpha="premultiplied"), True)
    with pytest.raises(UnsupportedOutput, match=r"8 bits need PNG or TIFF"):
        picture_writer(".exr", PictureOptions(depth=8), True)
