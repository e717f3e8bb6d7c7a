"""`mattebox file` with pictures: colours, alpha, EXIF data, profiles and views of the results."""

import struct
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from stream.errors import UnsupportedOutput
from stream.progress import LineReporter, Report
from stream.records.formats import FORMATS
from stream.records.metadata import Metadata
from stream.records.options import Options
from stream.settings import Settings
from tests.media import numbered_clip
from tests.pictures import CLOTH, SCREEN, SKIN, exif, in_srgb, load, person, points, save, stored, wide_gamut
from workers.runs.file import FileRun, run_file

SETTINGS = Settings()
STILL = [kind.suffix for kind in FORMATS.values() if kind.still]
EXACT = (".png", ".tif")


def run(
    source: Path, output: Path, size: tuple[int, int] = (0, 0), metadata: Metadata = Metadata.KEEP, **options: Any
) -> Report:
    chosen = Options.read(**{"engine": "chroma", "background": "transparent", **options})
    task = FileRun(source, output, chosen, size=size, metadata=metadata)
    return run_file(task, SETTINGS, LineReporter(StringIO()))


def with_thumbnail() -> bytes:
    """EXIF data, big-endian, whose IFD0 has the tag Make, and whose IFD1 has a thumbnail of four bytes."""
    ifd0 = struct.pack(">H", 1) + struct.pack(">HHI", Base.Make, 2, 6) + struct.pack(">I", 80) + struct.pack(">I", 26)
    ifd1 = struct.pack(">H", 3) + b"".join(
        struct.pack(">HHII", tag, 4, 1, value)
        for tag, value in ((Base.Compression, 6), (Base.JpegIFOffset, 88), (Base.JpegIFByteCount, 4))
    )
    body = b"MM\0*" + struct.pack(">I", 8) + ifd0 + ifd1 + struct.pack(">I", 0)
    return b"Exif\0\0" + body.ljust(80, b"\0") + b"Maker\0\0\0" + b"\xff\xd8\xff\xd9"


def near(pixels: Any, colour: Any, tolerance: int) -> bool:
    return int(np.abs(np.asarray(pixels, int) - colour).max()) <= tolerance


@pytest.mark.parametrize("suffix", [suffix for suffix in STILL if suffix != ".jpg"])
def test_the_subject_is_cut_out(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"cut{suffix}"
    report = run(save(tmp_path / "in.png", person()), out)
    cut = load(out)
    assert cut.shape == (45, 61, 4), "odd sides are kept"
    (skin, cloth, screen), tolerance = points(), 0 if suffix in EXACT else 12
    assert near(cut[skin], (*SKIN, 255), tolerance)
    assert near(cut[cloth], (*CLOTH, 255), tolerance)
    assert cut[screen][3] == 0
    if suffix in EXACT:
        assert not cut[cut[..., 3] == 0].any(), "black where alpha is 0"
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("in.png", out.name)] == []
    assert (report.frames, report.width, report.height, report.still) == (1, 61, 45, True)


@pytest.mark.parametrize("suffix", STILL)
def test_the_subject_is_put_in_front_of_a_colour(tmp_path: Path, suffix: str) -> None:
    run(save(tmp_path / "in.png", person()), tmp_path / f"out{suffix}", background="color:#204060")
    out = load(tmp_path / f"out{suffix}")
    tolerance = 2 if suffix in EXACT else 12
    (skin, _, screen) = points()
    assert out.shape == (45, 61, 3)
    assert near(out[skin], SKIN, 0 if suffix in EXACT else 12)
    assert near(out[screen], (0x20, 0x40, 0x60), tolerance)


def test_every_pixel_of_an_opaque_subject_has_the_source_s_value(tmp_path: Path) -> None:
    """Also where colours change from pixel to pixel, which 4:2:0 would blur."""
    pixels = person(64, 48)
    noise = np.random.default_rng(5).integers(120, 256, (20, 14, 3), dtype=np.uint8)
    noise[..., 1] //= 2  # never near the screen's green
    pixels[16:36, 14:28] = noise
    run(save(tmp_path / "in.png", pixels), tmp_path / "cut.png")
    cut = load(tmp_path / "cut.png")
    assert cut[18:34, 16:26, 3].min() == 255
    assert near(cut[18:34, 16:26, :3], pixels[18:34, 16:26], 0)


@pytest.mark.long
@pytest.mark.parametrize("orientation", range(1, 9))
def test_results_are_upright_with_the_source_s_exif_data(tmp_path: Path, orientation: int) -> None:
    source = save(tmp_path / "in.tif", stored(person(), orientation), exif=exif(orientation), dpi=(300, 300))
    for suffix in STILL:
        out = tmp_path / f"out{suffix}"
        run(source, out, background="color:#ffffff")
        with Image.open(out) as image:
            data = image.getexif()
            assert image.size == (61, 45)
            assert data.get(Base.Orientation, 1) == 1
            assert data[Base.Make] == "Maker"
            inner = data.get_ifd(IFD.Exif)
            assert inner[Base.DateTimeOriginal] == "2024:05:06 07:08:09"
            assert (inner[Base.ExifImageWidth], inner[Base.ExifImageHeight]) == (61, 45)
            assert data.get_ifd(IFD.GPSInfo)[2] == (48.0, 51.0, 30.0)
            assert near(np.asarray(image.convert("RGB"))[points()[0]], SKIN, 12)
            if suffix in (".jpg", ".tif", ".png"):
                assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_the_thumbnail_is_dropped(tmp_path: Path) -> None:
    source = save(tmp_path / "in.jpg", person())
    whole = source.read_bytes()
    segment = with_thumbnail()
    source.write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + whole[2:])
    with Image.open(source) as image:
        assert image.getexif().get_ifd(IFD.IFD1)
    run(source, tmp_path / "out.jpg", background="green")
    with Image.open(tmp_path / "out.jpg") as image:
        assert not image.getexif().get_ifd(IFD.IFD1)
        assert image.getexif()[Base.Make] == "Maker"


@pytest.mark.parametrize("adobe", [False, True])
@pytest.mark.parametrize("suffix", STILL)
def test_a_wide_gamut_is_kept_with_the_source_s_values(tmp_path: Path, suffix: str, adobe: bool) -> None:
    """The result carries the source's profile; the background, an sRGB colour, is converted to it."""
    profile = wide_gamut(adobe)
    source = save(tmp_path / "in.png", person(), icc_profile=profile)
    run(source, tmp_path / f"out{suffix}", background="color:#ff8000")
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.info["icc_profile"] == profile
        out = np.asarray(image, np.uint8)
    skin, _, screen = points()
    tolerance = 0 if suffix in EXACT else 12
    assert near(out[skin], SKIN, tolerance)
    in_p3, in_adobe = (238, 138, 49), (226, 128, 28)  # of sRGB's 255, 128, 0, by LittleCMS; about
    assert near(out[screen], in_adobe if adobe else in_p3, 6 + tolerance)


def test_a_cmyk_picture_becomes_srgb_and_is_tagged(tmp_path: Path) -> None:
    run(save(tmp_path / "in.jpg", person(), "CMYK", quality=98), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGBA"
        assert image.info["icc_profile"][16:20] == b"RGB "
        assert near(np.asarray(image)[points()[0]], (*SKIN, 255), 12)


def test_the_source_s_own_alpha_is_multiplied_in(tmp_path: Path) -> None:
    alpha = np.full((45, 61), 255, np.uint8)
    alpha[:20] = 100
    Image.fromarray(np.dstack([person(), alpha])).save(tmp_path / "in.png")
    run(tmp_path / "in.png", tmp_path / "cut.png")
    cut = load(tmp_path / "cut.png")
    assert cut[points()[0]][3] == 100
    assert cut[points()[1]][3] == 255
    run(tmp_path / "in.png", tmp_path / "same.png", background="none")
    same = load(tmp_path / "same.png")
    assert np.array_equal(same[..., :3], person())
    assert np.array_equal(same[..., 3], alpha)


def test_views(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png", person())
    shown = {}
    for view in ("matte", "overlay", "side-by-side", "stacked"):
        run(source, tmp_path / f"{view}.png", view=view, background="color:#0000ff")
        shown[view] = load(tmp_path / f"{view}.png")
    skin, _, screen = points()
    assert shown["matte"].shape == (45, 61)
    assert (shown["matte"][skin], shown["matte"][screen]) == (255, 0)
    assert np.array_equal(shown["side-by-side"][:, :61], person())
    assert near(shown["side-by-side"][skin[0], 61 + skin[1]], SKIN, 0)
    assert near(shown["side-by-side"][screen[0], 61 + screen[1]], (0, 0, 255), 2)
    assert shown["stacked"].shape == (90, 61, 3)
    assert near(shown["stacked"][skin], SKIN, 0)
    assert not shown["stacked"][screen].any()
    assert np.array_equal(shown["stacked"][45:], np.repeat(shown["matte"][..., None], 3, 2))
    assert near(shown["overlay"][skin], SKIN, 0)
    assert shown["overlay"][screen][0] > SCREEN[0] + 40, "the screen is tinted red"


def test_a_picture_as_the_background(tmp_path: Path) -> None:
    behind = save(tmp_path / "behind.png", np.full((90, 122, 3), (30, 60, 200), np.uint8))
    run(save(tmp_path / "in.png", person()), tmp_path / "out.png", background=f"image:{behind}")
    out = load(tmp_path / "out.png")
    assert near(out[points()[0]], SKIN, 0)
    assert near(out[points()[2]], (30, 60, 200), 2)


def test_a_background_in_a_wide_gamut_is_converted(tmp_path: Path) -> None:
    """Also for a video, whose colours are sRGB's."""
    profile, colours = wide_gamut(), np.full((90, 122, 3), (180, 120, 90), np.uint8)
    behind = save(tmp_path / "behind.png", colours, icc_profile=profile)
    run(save(tmp_path / "in.png", person()), tmp_path / "out.png", background=f"image:{behind}")
    expected = in_srgb(colours[:1, :1], profile)[0, 0]
    assert near(load(tmp_path / "out.png")[points()[2]], expected, 2)
    assert expected[0] > 185


def test_soft_edges_have_no_fringe_of_the_screen(tmp_path: Path) -> None:
    """Pixels that mix subject and screen lose the green when the subject is put in front of black."""
    large = np.asarray(Image.fromarray(person(488, 360)).resize((122, 90), Image.Resampling.BOX), np.uint8)
    run(save(tmp_path / "in.png", large), tmp_path / "out.png", background="color:#000000")
    out = load(tmp_path / "out.png").astype(int)
    assert (out[..., 1] - np.maximum(out[..., 0], out[..., 2])).max() <= 12


def test_a_picture_is_scaled(tmp_path: Path) -> None:
    run(save(tmp_path / "in.png", person(122, 90)), tmp_path / "cut.png", size=(61, 0))
    assert load(tmp_path / "cut.png").shape == (45, 61, 4)


def test_formats_that_do_not_fit_are_refused_with_those_that_do(tmp_path: Path) -> None:
    picture, clip = save(tmp_path / "in.png", person()), numbered_clip(tmp_path / "in.mp4", 3)
    with pytest.raises(UnsupportedOutput, match=r"is a picture, and MP4 .* use one of: \.png, \.jpg, \.webp"):
        run(picture, tmp_path / "out.mp4", background="green")
    with pytest.raises(UnsupportedOutput, match=r"is a picture, and PNG sequence"):
        run(picture, tmp_path / "folder")
    with pytest.raises(UnsupportedOutput, match=r"is a video, and PNG is for one picture; .*\.mp4.* or %05d\.png"):
        run(clip, tmp_path / "out.png")
    with pytest.raises(
        UnsupportedOutput, match=r"JPEG does not support transparency; use one of: \.png \(PNG\), \.webp"
    ):
        run(picture, tmp_path / "out.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "in.png"]


def test_a_picture_too_large_for_the_format_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png", np.zeros((2, 16_384, 3), np.uint8))
    with pytest.raises(UnsupportedOutput, match="WebP supports up to 16383 pixels per side, not 16384"):
        run(source, tmp_path / "out.webp")


@pytest.mark.parametrize("suffix", STILL)
def test_locations_and_exif_data_can_be_left_out(tmp_path: Path, suffix: str) -> None:
    data, profile = exif(6), wide_gamut()
    data[Base.ImageDescription], data[Base.Artist] = "at +48.2082+016.3738/", "Ada"
    data[IFD.Exif][Base.MakerNote] = b"48 north"
    source = save(tmp_path / "in.jpg", stored(person(), 6), exif=data, icc_profile=profile)
    run(source, tmp_path / f"private{suffix}", metadata=Metadata.NO_LOCATION, background="color:#ffffff")
    with Image.open(tmp_path / f"private{suffix}") as image:
        kept = image.getexif()
        assert (image.size, kept.get(Base.Orientation, 1)) == ((61, 45), 1)
        assert (kept[Base.Make], kept[Base.Artist]) == ("Maker", "Ada")
        assert kept.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert not kept.get_ifd(IFD.GPSInfo)
        assert Base.ImageDescription not in kept
        assert Base.MakerNote not in kept.get_ifd(IFD.Exif)
        assert image.info["icc_profile"] == profile
    run(source, tmp_path / f"bare{suffix}", metadata=Metadata.DROP, background="color:#ffffff")
    with Image.open(tmp_path / f"bare{suffix}") as image:
        assert image.size == (61, 45)
        assert not {Base.Make, Base.Artist, IFD.Exif, IFD.GPSInfo} & set(image.getexif())
        assert image.info["icc_profile"] == profile


def test_exif_data_that_is_too_long_for_a_jpeg_is_left_out_with_a_warning(tmp_path: Path) -> None:
    data = exif()
    data[IFD.Exif] |= {Base.MakerNote: b"x" * 70_000}
    source = save(tmp_path / "in.png", person(), exif=data)
    report = run(source, tmp_path / "out.jpg", background="green")
    assert [code for code, _ in report.warnings] == ["no_exif"]
    assert run(source, tmp_path / "out.png").warnings == []
