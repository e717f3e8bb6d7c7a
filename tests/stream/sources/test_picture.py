"""Pictures as sources: formats, orientation, channels, profiles, limits, damage."""

import io
import struct
import zlib
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stream.errors import InputError, TooLarge, UnreadableMedia, UsageError
from stream.picture.frames import Frame, to_av
from stream.picture.icc import srgb_profile
from stream.picture.photo import bands
from stream.records.formats import FORMATS
from stream.settings import Settings
from stream.sinks.picture import ENCODINGS, encode
from stream.sources import open_source
from stream.sources.base import SourceOptions
from stream.sources.file import FileSource
from stream.sources.picture import PictureSource
from stream.sources.signatures import is_picture
from tests.media import DATA
from tests.pictures import CLOTH, SCREEN, SKIN, exif, in_srgb, person, points, save, stored, wide_gamut

SETTINGS = Settings()
LOSSY = {".jpg": 6, ".avif": 10, ".webp": 12}
SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif")


def frame_of(path: Path, **options: Any) -> tuple[Frame, PictureSource]:
    source = open_source(path, SourceOptions(**options), SETTINGS)
    assert isinstance(source, PictureSource)
    (frame,) = [item for item in source if isinstance(item, Frame)]
    return frame, source


def codes(source: PictureSource) -> list[str]:
    return [code for code, _ in source.warnings]


def pixels_of(frame: Frame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    assert frame.photo is not None
    return frame.photo.pixels


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_read_at_full_size(tmp_path: Path, suffix: str) -> None:
    options: dict[str, dict[str, Any]] = {
        ".jpg": {"quality": 98, "subsampling": 0},
        ".avif": {"quality": 98, "subsampling": "4:4:4"},
        ".webp": {"quality": 98},
    }
    path = save(tmp_path / f"in{suffix}", person(), **options.get(suffix, {}))
    frame, source = frame_of(path)
    for (row, column), colour in zip(points(), (SKIN, CLOTH, SCREEN), strict=True):
        assert np.abs(pixels_of(frame)[row, column].astype(int) - colour).max() <= LOSSY.get(suffix, 0)
    assert source.info.still == (61, 45)
    assert (frame.width, frame.height) == (source.info.width, source.info.height) == (62, 46)
    assert source.info.frames == 1
    assert codes(source) == []
    rgb = to_av(frame, "rgb24").to_ndarray()
    assert np.abs(rgb[:45, :61].astype(int) - pixels_of(frame)).mean() < 4, "what the engine sees"
    assert np.array_equal(rgb[45], rgb[44]), "the last row is repeated to make the height even"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    pixels = person(64, 48)
    path = save(tmp_path / f"in{suffix}", stored(pixels, orientation), exif=exif(orientation), quality=95)
    frame, source = frame_of(path)
    assert source.info.still == (64, 48)
    for row, column in points(64, 48):
        assert np.abs(pixels_of(frame)[row, column].astype(int) - pixels[row, column]).max() <= 12


def test_heic_is_read_and_turned() -> None:
    pytest.importorskip("pi_heif")
    frame, source = frame_of(DATA / "turned.heic")
    assert source.info.still == (96, 64)
    assert np.abs(pixels_of(frame)[16, 48].astype(int) - (200, 90, 80)).max() <= 6
    assert np.abs(pixels_of(frame)[48, 48].astype(int) - SCREEN).max() <= 6


@pytest.mark.parametrize(
    ("box", "size", "subject"),
    [
        (b"irot\0", (64, 96), (48, 16)), (b"irot\1", (96, 64), (48, 48)), (b"irot\2", (64, 96), (48, 48)),
        (b"imir\0", (64, 96), (48, 16)), (b"imir\1", (64, 96), (48, 48)),
    ],
)  # fmt: skip
def test_heic_is_rotated_and_mirrored_by_its_own_properties_only(
    tmp_path: Path, box: bytes, size: tuple[int, int], subject: tuple[int, int]
) -> None:
    """ISO 23008-12: `irot` rotates anticlockwise, `imir` exchanges top and bottom (0) or left and right (1). EXIF's
    orientation does not count. subject: a position (row, column) in the half that is not the screen."""
    pytest.importorskip("pi_heif")
    path = tmp_path / "in.heic"
    path.write_bytes((DATA / "turned.heic").read_bytes().replace(b"irot\3", box))
    frame, source = frame_of(path)
    assert source.info.still == size
    row, column = subject
    other = (row, 63 - column) if size == (64, 96) else (63 - row, column)
    assert np.abs(pixels_of(frame)[row, column].astype(int) - (200, 90, 80)).max() <= 6
    assert np.abs(pixels_of(frame)[other].astype(int) - SCREEN).max() <= 6


def test_heic_names_the_package_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    with pytest.raises(UnreadableMedia, match=r"pip install 'mattebox\[heif\]'"):
        frame_of(DATA / "turned.heic")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_reduced_to_8(tmp_path: Path, suffix: str) -> None:
    import cv2

    deep = np.repeat(np.repeat(np.array([[[0x12AB, 0x80FF, 0xFF00]]], np.uint16), 4, 0), 6, 1)
    cv2.imwrite(str(tmp_path / f"in{suffix}"), deep)  # in the order blue, green, red
    frame, source = frame_of(tmp_path / f"in{suffix}")
    assert pixels_of(frame)[1, 1].tolist() == [0xFF, 0x80, 0x12]
    cv2.imwrite(str(tmp_path / f"grey{suffix}"), deep[..., 1])
    frame, source = frame_of(tmp_path / f"grey{suffix}")
    assert pixels_of(frame)[1, 1].tolist() == [0x80] * 3
    assert codes(source) == ["reduced_depth"]


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", ".png"), ("L", ".jpg"), ("1", ".png"), ("CMYK", ".jpg"), ("P", ".png")]
)
def test_grey_cmyk_and_palette_become_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    path = save(tmp_path / f"in{suffix}", person(), mode, quality=95)
    expected = Image.fromarray(person()).convert(mode).convert("RGB")
    frame, _ = frame_of(path)
    assert np.abs(pixels_of(frame).astype(int) - np.asarray(expected)).mean() < 3
    assert pixels_of(frame).shape == (45, 61, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_kept(tmp_path: Path, mode: str) -> None:
    alpha = np.full((45, 61), 255, np.uint8)
    alpha[:, 30:] = 0 if mode == "P" else 77
    image = Image.fromarray(np.dstack([person(), alpha]))
    if mode == "P":
        image = image.quantize()
    (image.convert(mode) if mode == "LA" else image).save(tmp_path / "in.png")
    frame, source = frame_of(tmp_path / "in.png")
    assert source.info.has_alpha
    assert frame.alpha is not None
    assert frame.alpha.shape == (46, 62)
    assert frame.alpha[20, 10] == 255
    assert frame.alpha[20, 50] == (0 if mode == "P" else 77)


@pytest.mark.parametrize("adobe", [False, True])
def test_a_wide_gamut_is_kept_for_the_result_and_converted_for_the_engine(tmp_path: Path, adobe: bool) -> None:
    profile = wide_gamut(adobe)
    frame, _ = frame_of(save(tmp_path / "in.png", person(), icc_profile=profile))
    assert frame.photo is not None
    assert frame.photo.profile == profile
    assert np.array_equal(frame.photo.pixels, person())
    seen, expected = to_av(frame, "rgb24").to_ndarray(), in_srgb(person(), profile)
    (row, column), *_ = points()
    assert np.abs(seen[row, column].astype(int) - expected[row, column]).max() <= 3
    assert expected[row, column][0] > SKIN[0] + 4, "the same red is a larger number in sRGB"


def test_a_grey_profile_becomes_srgb(tmp_path: Path) -> None:
    """A grey profile with gamma 1: linear 128 is 188 in sRGB."""
    profile = _grey_profile()
    path = tmp_path / "in.png"
    Image.fromarray(np.full((20, 20), 128, np.uint8)).save(path, icc_profile=profile)
    frame, _ = frame_of(path)
    assert frame.photo is not None
    assert frame.photo.pixels[5, 5].tolist() == pytest.approx([188] * 3, abs=1)
    assert frame.photo.profile == srgb_profile()


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 300])
def test_an_unusable_profile_is_a_warning(tmp_path: Path, profile: bytes) -> None:
    frame, source = frame_of(save(tmp_path / "in.png", person(), icc_profile=profile))
    assert codes(source) == ["no_profile"]
    assert frame.photo is not None
    assert frame.photo.profile == b""


def test_a_profile_for_other_channels_is_a_warning(tmp_path: Path) -> None:
    _, source = frame_of(save(tmp_path / "in.png", person(), icc_profile=_grey_profile()))
    assert codes(source) == ["no_profile"]


def test_the_first_of_several_pictures_is_used(tmp_path: Path) -> None:
    first, second = Image.fromarray(person()), Image.fromarray(person()[::-1].copy())
    for suffix in (".webp", ".tif"):
        path = tmp_path / f"in{suffix}"
        first.save(path, save_all=True, append_images=[second])
        frame, source = frame_of(path)
        assert codes(source) == ["first_picture"]
        (row, column), *_ = points()
        assert np.abs(pixels_of(frame)[row, column].astype(int) - SKIN).max() <= 12


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_an_animation_is_a_video_and_a_still_a_picture(tmp_path: Path, suffix: str) -> None:
    still, moving = tmp_path / f"still.{suffix}", tmp_path / f"moving.{suffix}"
    save(still, person(64, 48))
    Image.fromarray(person(64, 48)).save(
        moving, save_all=True, append_images=[Image.fromarray(person(64, 48)[:, ::-1].copy())], duration=100
    )
    assert is_picture(still)
    assert not is_picture(moving)
    source = open_source(moving, SourceOptions(), SETTINGS)
    assert isinstance(source, FileSource)
    assert len([item for item in source if isinstance(item, Frame)]) == 2
    source.close()


def test_scaling(tmp_path: Path) -> None:
    path = save(tmp_path / "in.png", person())
    for size, sides in (((122, 0), (122, 90)), ((0, 15), (20, 15)), ((33, 21), (33, 21))):
        assert frame_of(path, size=size)[1].info.still == sides


def test_a_part_in_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a picture does not support a start or an end"):
        frame_of(save(tmp_path / "in.png", person()), start_s=1, end_s=2)


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "in.png", person())
    with pytest.raises(TooLarge, match=r"61x45; the limit is 2,744 pixels \(MATTEBOX_MAX_PICTURE_PIXELS\)"):
        PictureSource(path, Settings(max_picture_pixels=61 * 45 - 1))
    PictureSource(path, Settings(max_picture_pixels=61 * 45))
    with pytest.raises(TooLarge, match="would be 610x450"):
        PictureSource(path, Settings(max_picture_pixels=10_000), (610, 450))


@pytest.mark.parametrize("sides", [(20_000, 20_000), (100_000, 100_000)])
def test_a_decompression_bomb_is_refused(tmp_path: Path, sides: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_bomb(*sides))
    with pytest.raises(TooLarge, match=r"150,000,000 pixels"):
        PictureSource(path, SETTINGS)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("kept", [0.02, 0.6])
def test_a_damaged_picture_is_refused_in_a_line(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = save(tmp_path / f"whole{suffix}", noise).read_bytes()
    path = tmp_path / f"in{suffix}"
    path.write_bytes(whole[: max(20, int(len(whole) * kept))])
    with pytest.raises(InputError) as refused:
        PictureSource(path, SETTINGS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", range(40))
def test_random_changes_raise_nothing_but_input_errors(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    suffix = (".jpg", ".png", ".webp", ".tif", ".avif")[seed % 5]
    data = bytearray(save(tmp_path / f"whole{suffix}", person(), exif=exif(6)).read_bytes())
    for at in rng.integers(12, len(data), 12):
        data[at] = rng.integers(0, 256)
    path = tmp_path / f"in{suffix}"
    path.write_bytes(bytes(data))
    with suppress(InputError):
        list(PictureSource(path, SETTINGS))


@pytest.mark.parametrize("resolution", [(0, 0), (5, 0), (2**32 - 1, 1), (0, 1)])
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_senseless_resolution_is_left_out_and_every_format_is_written(
    tmp_path: Path, resolution: tuple[int, int], name: str
) -> None:
    path = save(tmp_path / "in.tif", person(), dpi=(123_457, 123_457))
    stored_value = struct.pack("<II", 123_457, 1)
    assert path.read_bytes().count(stored_value) == 2
    path.write_bytes(path.read_bytes().replace(stored_value, struct.pack("<II", *resolution)))
    frame, _ = frame_of(path)
    assert frame.photo is not None
    assert frame.photo.dpi is None
    written = io.BytesIO()
    encode(frame, FORMATS[name], written)
    with Image.open(written) as image:
        assert image.size == (61, 45)


def test_a_tall_picture_is_converted_in_few_bands() -> None:
    assert len(list(bands(2, 149_000_000))) < 200, "each takes milliseconds, however few pixels it has"
    for width, height in ((2, 149_000_000), (12_247, 12_247), (4, 3), (149_000_000, 2)):
        found = list(bands(width, height))
        assert [found[0][0], found[-1][1]] == [0, height]
        assert all(top % 2 == 0 and (bottom - top) * width <= max(2**21, 2 * width) for top, bottom in found)
        assert all(before[1] == after[0] for before, after in pairwise(found))


@pytest.mark.long
def test_bands_join_without_a_seam(tmp_path: Path) -> None:
    gradient = np.linspace(0, 255, 3001, dtype=np.uint8)[:, None, None].repeat(1001, 1).repeat(3, 2)
    assert len(list(bands(1002, 3002))) > 1
    frame, _ = frame_of(save(tmp_path / "in.png", gradient))
    assert np.abs(to_av(frame, "rgb24").to_ndarray()[:3001, :1001].astype(int) - gradient).max() <= 2


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    frame, source = frame_of(save(tmp_path / "in.png", np.full((1, 1, 3), 9, np.uint8)))
    assert source.info.still == (1, 1)
    assert (frame.width, frame.height) == (2, 2)


def _grey_profile() -> bytes:
    """An ICC profile, version 2, of grey with gamma 1."""
    text = b"desc\0\0\0\0\0\0\0\5grey\0" + b"\0" * 79
    xyz = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0\0\0\0\0"
    tags, body, at = [], b"", 128 + 4 + 12 * 3
    for name, data in ((b"desc", text), (b"wtpt", xyz), (b"kTRC", curve)):
        data += b"\0" * (-len(data) % 4)
        tags.append(struct.pack(">4sII", name, at + len(body), len(data)))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ") + b"\0" * 12 + b"acsp"
    head += b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", 3) + b"".join(tags) + body


def _bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that declares these sides."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, 2)
    out.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
    out.write(chunk(b"IDAT", zlib.compress(b"\0" * 5000)) + chunk(b"IEND", b""))
    return out.getvalue()
