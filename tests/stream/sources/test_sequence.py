"""Picture sequences as sources: names, numbers, gaps, rates, sizes, alpha and depth."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from stream.address import Address
from stream.errors import InputError, TooLarge, UnreadableMedia, UsageError
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources import open_source
from stream.sources.base import SourceOptions
from stream.sources.frame_file import decode
from stream.sources.numbered_files import holds_sequence, sequence_among
from stream.sources.sequence import parse_rate
from tests.sequences import gradient, write_png

SETTINGS = Settings()
GREY = np.full((6, 8, 3), 100, np.uint8)


def opened(path: Path, **options: Any) -> Any:
    return open_source(Address.file(path), SourceOptions(photos=True, **options), SETTINGS)


def frames(path: Path, **options: Any) -> list[Frame]:
    return list(opened(path, **options))


def test_the_files_are_the_frames_of_a_video(tmp_path: Path) -> None:
    for number in (1001, 1002, 1003):
        write_png(tmp_path, [number], GREY + np.uint8(number - 1000))
    (tmp_path / "shot.1004.txt").write_text("")
    (tmp_path / "shot.99.png").write_text("another numbering")
    source = opened(tmp_path / "shot.####.png")
    info = source.info
    assert (info.width, info.height, info.frames, info.first_number) == (8, 6, 3, 1001)
    assert (info.rate, info.duration_s, info.has_alpha) == (24, 0.125, False)
    found = list(source)
    assert [frame.time_s for frame in found] == [0, 1 / 24, 2 / 24]
    assert [int(frame.photo.pixels[0, 0, 0]) for frame in found if frame.photo] == [101, 102, 103]
    assert source.warnings == []


def test_only_outputs_that_need_it_get_the_picture(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1], gradient(20))
    (frame,) = open_source(Address.file(path), SourceOptions(), SETTINGS)
    assert isinstance(frame, Frame)
    assert frame.photo is None


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("24000/1001", Fraction(24000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("12.5", Fraction(25, 2)),
    ],
)
def test_rates(tmp_path: Path, text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate
    source = opened(write_png(tmp_path, range(3), GREY), rate=rate)
    assert source.info.rate == rate
    assert [frame.pts * frame.time_base for frame in source] == [0, 1 / rate, 2 / rate]


@pytest.mark.parametrize("text", ["0", "-24", "fast", "1/0", "nan", "1e9"])
def test_a_rate_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not a frame rate"):
        parse_rate(text)


def test_a_part(tmp_path: Path) -> None:
    source = opened(write_png(tmp_path, range(10, 20), GREY), start_s=0.25, end_s=0.5, rate=Fraction(8))
    assert (source.info.first_number, source.info.frames) == (12, 2)
    assert [frame.pts for frame in source] == [0, 1]
    with pytest.raises(UnreadableMedia, match="cannot start at"):
        opened(tmp_path / "shot.%04d.png", start_s=60)


def test_gaps_are_refused_with_their_numbers(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1, 2, 5, 9], GREY)
    with pytest.raises(UnreadableMedia, match=r"has gaps: 3-4, 6-8 \(5 of 9\) are missing; .* --missing hold"):
        opened(path)
    assert len(frames(path, end_s=2 / 24)) == 2, "there is no gap in this part"


def test_gaps_are_held(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1], GREY)
    write_png(tmp_path, [4], GREY + np.uint8(50))
    source = opened(path, hold=True)
    assert [int(f.photo.pixels[0, 0, 0]) for f in source] == [100, 100, 100, 150]
    assert source.warnings == [("gap", "files are missing: 2-3 (2 of 4); the frame before was repeated")]


def test_a_damaged_file_is_named_or_held(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1, 2, 3], GREY)
    (tmp_path / "shot.0002.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UnreadableMedia, match=r"shot\.0002\.png is damaged"):
        frames(path)
    source = opened(path, hold=True)
    assert len(list(source)) == 3
    assert source.warnings == [("damaged", "files could not be read: 2; the frame before was repeated")]
    (tmp_path / "shot.0002.png").write_text("text")
    with pytest.raises(UnreadableMedia, match=r"shot\.0002\.png is not a PNG, TIFF, JPEG, EXR or DPX picture"):
        frames(path)


def test_another_size_is_refused_by_name(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1, 3], GREY)
    write_png(tmp_path, [2], GREY[:4])
    for hold in (False, True):
        with pytest.raises(UnreadableMedia, match=r"shot\.0002\.png is 8x4, but shot\.0001\.png is 8x6"):
            frames(path, hold=hold)


def test_the_limit_on_pixels_names_the_file(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1], GREY)
    with pytest.raises(InputError, match=r"shot\.0001\.png") as caught:
        open_source(Address.file(path), SourceOptions(), Settings(max_pixels=40))
    assert isinstance(caught.value, TooLarge)


def test_a_pattern_without_files_lists_what_there_is(tmp_path: Path) -> None:
    write_png(tmp_path, [1, 2], GREY)
    with pytest.raises(UnreadableMedia, match=r"such as take\.1\.png; the folder has shot\.%04d\.png"):
        opened(tmp_path / "take.%d.png")


def test_a_folder_with_one_sequence(tmp_path: Path) -> None:
    write_png(tmp_path, [7, 8], GREY)
    (tmp_path / "notes.txt").write_text("")
    assert holds_sequence(tmp_path)
    assert opened(tmp_path).info.first_number == 7
    write_png(tmp_path, [1, 2], GREY, "clean.%d.png")
    assert not holds_sequence(tmp_path)
    with pytest.raises(UnreadableMedia, match="has 2 sequences: name one of them, such as"):
        opened(tmp_path)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "take##.png"), GREY)
    assert opened(tmp_path / "take##.png").info.still == (8, 6)


def test_a_list_of_names_that_is_a_sequence() -> None:
    paths = [Path(f"shot/a.{number:04d}.png") for number in range(1, 101)]
    found = sequence_among([*paths, Path("other.png")], 100)
    assert found is not None
    assert str(found.pattern) == "shot/a.%04d.png"
    assert sequence_among(paths[1:], 100) is None


def test_options_of_videos_are_refused(tmp_path: Path) -> None:
    path = write_png(tmp_path, [1], GREY)
    with pytest.raises(UsageError, match="a picture sequence does not support a size or a choice of stream"):
        opened(path, size=(4, 4), stream=1)
    with pytest.raises(UsageError, match="a picture does not support a rate"):
        opened(tmp_path / "shot.0001.png", rate=Fraction(24))


def test_odd_sides_are_kept_in_the_picture(tmp_path: Path) -> None:
    source = opened(write_png(tmp_path, [1], GREY[:5, :7]))
    (frame,) = source
    assert (source.info.width, source.info.height) == (frame.width, frame.height) == (8, 6)
    assert (frame.photo.width, frame.photo.height) == (7, 5)


# Files of each kind.


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_exact(tmp_path: Path, suffix: str) -> None:
    pixels = gradient()
    write_png(tmp_path, [1], pixels, f"a%d{suffix}")
    found = decode(tmp_path / f"a1{suffix}", SETTINGS)
    np.testing.assert_array_equal(found.photo.pixels, pixels)
    assert found.alpha is None


def test_a_jpeg_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    Image.fromarray(pixels).save(tmp_path / "a1.jpg", exif=exif, quality=95)
    found = decode(tmp_path / "a1.jpg", SETTINGS).photo.pixels
    assert found.shape == (32, 16, 3)
    assert found[4].min() > 250
    assert found[28].max() < 5


def dpx(values: Any) -> bytes:
    """A DPX of 10 bits, three samples in a word (method A), big-endian. values: (H, W, 3), 0 to 1023."""
    height, width = values.shape[:2]
    head = bytearray(2048)
    struct.pack_into(">4sI8sI", head, 0, b"SDPX", 2048, b"V1.0", 2048 + 4 * width * height)
    struct.pack_into(">HHII", head, 768, 0, 1, width, height)
    struct.pack_into(">BBBB", head, 800, 50, 2, 2, 10)  # RGB, linear, linear, bits
    struct.pack_into(">HHI", head, 804, 1, 0, 2048)  # filled, no encoding, offset
    words = values[..., 0].astype(">u4") << 22 | values[..., 1].astype(">u4") << 12 | values[..., 2].astype(">u4") << 2
    return bytes(head) + bytes(words.astype(">u4").tobytes())


def test_10_bits_of_a_dpx_use_the_full_range(tmp_path: Path) -> None:
    values = np.arange(1024).reshape(16, 64, 1) * np.ones(3, int)
    (tmp_path / "a1.dpx").write_bytes(dpx(values))
    found = decode(tmp_path / "a1.dpx", SETTINGS).photo.pixels
    np.testing.assert_array_equal(found, np.rint(values * 65_535 / 1023))


def test_an_exr_is_divided_by_its_alpha(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    pixels = np.zeros((4, 6, 4), np.float16)
    pixels[...] = (3, 0.25, 0.125, 0.5)
    pixels[0] = (0, 0, 0, 0)
    wide = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    header = {"compression": library.PIZ_COMPRESSION, "type": library.scanlineimage, "chromaticities": wide}
    with library.File(header, {"RGBA": pixels}) as file:
        file.write(str(tmp_path / "a1.exr"))
    found = decode(tmp_path / "a1.exr", SETTINGS)
    assert found.photo.pixels.dtype == np.float16
    assert found.photo.pixels[1, 0].tolist() == [6, 0.5, 0.25]
    assert found.alpha is not None
    assert found.alpha[:, 0].tolist() == [0, 128, 128, 128]
    np.testing.assert_allclose(found.photo.chromaticities, wide, atol=1e-6)
    (frame,) = opened(tmp_path / "a%d.exr")
    assert frame.alpha[1, 0] == 128
    assert frame.pixels[3, 0] > 170, "the engine sees it as displayed: 0.25 is 137 of 255, red is full"


def test_an_empty_alpha_is_ignored(tmp_path: Path) -> None:
    write_png(tmp_path, [1], GREY)
    cv2.imwrite(str(tmp_path / "shot.0001.png"), np.dstack([GREY, np.zeros((6, 8), np.uint8)]))
    source = opened(tmp_path / "shot.%04d.png")
    assert not source.info.has_alpha
    assert next(iter(source)).alpha is None
    assert source.warnings[0][0] == "empty_alpha"
