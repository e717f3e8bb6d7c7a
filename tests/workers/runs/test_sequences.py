"""`mattebox file` with picture sequences, from files to files: levels, numbers, edges, and what is left behind."""

from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from stream.errors import EncodeError, UnreadableMedia, UnsupportedOutput, UsageError
from stream.picture.frames import tag_bt709
from stream.progress import LineReporter, Report
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.parts.numbered_pictures import PictureOptions
from tests.media import numbered_clip
from tests.sequences import gradient, read, write_png
from workers.runs.file import FileRun, run_file

SETTINGS = Settings()
GREEN = np.array((0, 51_400, 15_420), np.uint16)


def run(
    source: Path, output: Path, pictures: PictureOptions | None = None, hold: bool = False, **options: Any
) -> Report:
    chosen = Options.read(**{"engine": "chroma", "background": "transparent", **options})
    task = FileRun(source, output, chosen, hold=hold, pictures=pictures)
    return run_file(task, SETTINGS, LineReporter(StringIO()))


def shot(folder: Path, numbers: Any = range(1001, 1004), width: int = 1400) -> tuple[Path, Any]:
    """A sequence of 16 bits with a gradient of 1200 levels before a green screen. Returns its path and the picture."""
    pixels = np.empty((64, width, 3), np.uint16)
    pixels[...] = GREEN
    pixels[20:, 100:1300] = gradient(1200, 44)
    return write_png(folder, numbers, pixels), pixels


def ffmpeg_exr(path: Path) -> Any:
    """R, G, B, A as float32 (H, W, 4), by FFmpeg's decoder."""
    with av.open(str(path), format="exr_pipe") as container:
        (frame,) = list(container.decode(video=0))
    assert frame.format.name == "gbrapf16le"
    planes = [np.frombuffer(memoryview(p), np.float16).reshape(p.height, -1)[:, : p.width] for p in frame.planes]
    return np.stack([planes[2], planes[0], planes[1], planes[3]], axis=2).astype(np.float32)


INSIDE = slice(30, 60), slice(110, 1290)


def test_a_tiff_sequence_keeps_16_bits_and_the_numbers(tmp_path: Path) -> None:
    source, pixels = shot(tmp_path / "in")
    report = run(source, tmp_path / "out" / "cut.####.tif")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cut.1001.tif", "cut.1002.tif", "cut.1003.tif", "timestamps.txt"
    ]  # fmt: skip
    cut = read(tmp_path / "out" / "cut.1002.tif")
    assert cut.shape == (64, 1400, 4)
    assert (cut[INSIDE][..., 3] == 65_535).all()
    np.testing.assert_array_equal(cut[INSIDE][..., :3], pixels[INSIDE])
    assert len(np.unique(cut[INSIDE][..., 0])) >= 1000
    assert not cut[cut[..., 3] == 0].any(), "nothing of the screen is left"
    assert report.warnings == []


def test_an_exr_sequence_is_linear_and_premultiplied(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    source, _ = shot(tmp_path / "in", [7])
    run(source, tmp_path / "exr" / "%04d.exr")
    run(source, tmp_path / "tif" / "%04d.tif")
    found, straight = ffmpeg_exr(tmp_path / "exr" / "0007.exr"), read(tmp_path / "tif" / "0007.tif") / 65_535
    assert len(np.unique(found[INSIDE][..., 0])) >= 1000
    linear = np.where(straight <= 0.04045, straight / 12.92, ((straight + 0.055) / 1.055) ** 2.4)[..., :3]
    soft = (straight[..., 3] > 0) & (straight[..., 3] < 1)
    assert soft.sum() > 100
    np.testing.assert_allclose(found[..., :3], linear * straight[..., 3:], rtol=2**-9, atol=1e-6)
    np.testing.assert_allclose(found[..., 3], straight[..., 3], rtol=2**-10)


def test_an_exr_goes_through_unchanged(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    pixels = np.empty((32, 64, 3), np.float16)
    pixels[...] = (0, 0.58, 0.045)
    pixels[8:, 16:48] = (6.5, 0.2, -0.01)
    (tmp_path / "in").mkdir()
    wide = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage, "chromaticities": wide}
    with library.File(header, {"RGB": pixels}) as file:
        file.write(str(tmp_path / "in" / "a.1.exr"))
    run(tmp_path / "in" / "a.%d.exr", tmp_path / "out" / "a.%d.exr")
    found = ffmpeg_exr(tmp_path / "out" / "a.1.exr")
    np.testing.assert_array_equal(found[20:, 24:40], np.float32(np.append(pixels[20, 24], 1)) * np.ones((12, 16, 1)))
    assert not found[4, 4].any()
    with library.File(str(tmp_path / "out" / "a.1.exr")) as file:
        np.testing.assert_allclose(file.header()["chromaticities"], wide, atol=1e-6)


@pytest.mark.long
def test_depth_and_alpha_of_the_files(tmp_path: Path) -> None:
    source, _ = shot(tmp_path / "in", [1])
    run(source, tmp_path / "a" / "%d.png", PictureOptions(depth=8))
    assert read(tmp_path / "a" / "1.png").dtype == np.uint8
    run(source, tmp_path / "b" / "%d.tif", PictureOptions(alpha="premultiplied"))
    straight, multiplied = read(tmp_path / "a" / "1.png"), read(tmp_path / "b" / "1.tif")
    expected = straight[..., :3] / 255 * (straight[..., 3:] / 255)
    assert np.abs(multiplied[..., :3] / 65_535 - expected).max() < 1 / 255
    with pytest.raises(UnsupportedOutput, match="--alpha and --depth are for picture sequences"):
        run(source, tmp_path / "out.mov", PictureOptions(depth=16))


@pytest.mark.long
def test_a_mov_has_more_levels_than_8_bits(tmp_path: Path) -> None:
    source, _ = shot(tmp_path / "in")
    run(source, tmp_path / "out.mov")
    with av.open(str(tmp_path / "out.mov")) as container:
        frame = next(container.decode(video=0))
        assert container.streams.video[0].average_rate == 24
        assert container.streams.video[0].frames == 3
    luma = np.frombuffer(memoryview(frame.planes[0]), np.uint16).reshape(frame.height, -1)[INSIDE]
    assert len(np.unique(luma)) > 256


def test_a_video_as_a_sequence_of_each_kind(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mkv", frames=3)
    run(clip, tmp_path / "a" / "%02d.tif", background="none")
    run(clip, tmp_path / "b" / "%02d.png", background="none")
    names = [f"{number:02d}" for number in (1, 2, 3)]
    for name in names:
        np.testing.assert_array_equal(read(tmp_path / "a" / f"{name}.tif"), read(tmp_path / "b" / f"{name}.png"))
    assert (tmp_path / "a" / "timestamps.txt").read_text() == (tmp_path / "b" / "timestamps.txt").read_text()


def deep_clip(path: Path, pix_fmt: str, trc: int = 1) -> Path:
    """Three frames of `shot` as FFV1. trc: the transfer curve in the file's tags."""
    _, pixels = shot(path.parent / "frames", [1])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], pix_fmt
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(
                format=pix_fmt, dst_colorspace="ITU709", src_color_range="JPEG", dst_color_range="MPEG"
            )
            tag_bt709(frame)
            frame.color_trc, frame.pts, frame.time_base = trc, number, Fraction(1, 24)
            tag_bt709(stream.codec_context)
            stream.codec_context.color_trc = trc
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.long
def test_a_video_of_16_bits_keeps_them(tmp_path: Path) -> None:
    _, pixels = shot(tmp_path / "frames", [1])
    run(deep_clip(tmp_path / "deep.mkv", "yuv444p16le"), tmp_path / "out" / "%d.tif")
    cut = read(tmp_path / "out" / "3.tif")
    assert len(np.unique(cut[INSIDE][..., 0])) >= 1000
    assert np.abs(cut[INSIDE][..., :3].astype(int) - pixels[INSIDE]).max() <= 8, "of 65535; half a step of the chroma"


def test_hdr_is_converted_with_8_bits(tmp_path: Path) -> None:
    run(deep_clip(tmp_path / "hdr.mkv", "yuv420p10le", trc=16), tmp_path / "out" / "%d.tif", background="none")
    assert read(tmp_path / "out" / "1.tif").dtype == np.uint8


def test_views_have_the_depth_of_the_input(tmp_path: Path) -> None:
    source, pixels = shot(tmp_path / "in", [1])
    run(source, tmp_path / "a" / "%d.png", view="side-by-side", background="color:#808080")
    sides = read(tmp_path / "a" / "1.png")
    np.testing.assert_array_equal(sides[:, :1400], pixels)
    np.testing.assert_array_equal(sides[30:60, 1510:2690], pixels[INSIDE])
    run(source, tmp_path / "b" / "%d.tif", view="matte")
    matte = read(tmp_path / "b" / "1.tif")
    assert (matte.ndim, matte.dtype, matte[40, 700], matte[2, 2]) == (2, np.uint16, 65_535, 0)


def test_an_alpha_of_the_input_limits_the_matte(tmp_path: Path) -> None:
    source, pixels = shot(tmp_path / "in", [1])
    garbage = np.full(pixels.shape[:2], 65_535, np.uint16)
    garbage[:, :700] = 0
    cv2.imwrite(str(tmp_path / "in" / "shot.0001.png"), np.dstack([pixels[..., ::-1], garbage]))
    run(source, tmp_path / "out" / "%d.png")
    cut = read(tmp_path / "out" / "1.png")
    assert cut[40, 400, 3] == 0
    assert not cut[40, 400].any()
    assert cut[40, 1000, 3] == 65_535


def test_held_frames_are_written_under_their_numbers(tmp_path: Path) -> None:
    source, _ = shot(tmp_path / "in", [3, 6])
    report = run(source, tmp_path / "out" / "%d.png", hold=True)
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.png")) == ["3", "4", "5", "6"]
    assert [code for code, _ in report.warnings] == ["gap"]


def test_a_sequence_replaces_the_earlier_one_with_its_numbers(tmp_path: Path) -> None:
    source, _ = shot(tmp_path / "in", range(10, 14))
    run(source, tmp_path / "out" / "%d.png")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for number in (12, 13):
        (tmp_path / "in" / f"shot.{number:04d}.png").unlink()
    run(source, tmp_path / "out" / "%d.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "10.png", "11.png", "mine.txt", "timestamps.txt"
    ]  # fmt: skip
    (tmp_path / "out" / "14.png").write_text("mine")
    with pytest.raises(UsageError, match=r"14\.png, which is not of an earlier output"):
        run(source, tmp_path / "out" / "%d.png")
    assert (tmp_path / "out" / "14.png").read_text() == "mine"


def test_a_sequence_does_not_replace_itself(tmp_path: Path) -> None:
    source, _ = shot(tmp_path / "in", [1, 2])
    run(source, tmp_path / "out" / "%04d.png")
    for again in (tmp_path / "out" / "####.png", tmp_path / "out"):
        with pytest.raises(UsageError, match="would overwrite the input"):
            run(again, tmp_path / "out" / "%04d.png")
    run(tmp_path / "out", tmp_path / "out" / "cut" / "%04d.png", view="matte")


def test_a_failed_run_leaves_no_files(tmp_path: Path) -> None:
    source, _ = shot(tmp_path / "in", range(1, 6))
    (tmp_path / "in" / "shot.0005.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UnreadableMedia, match=r"shot\.0005\.png"):
        run(source, tmp_path / "out" / "%d.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.long
def test_a_full_disk_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = shot(tmp_path / "in", range(1, 4))

    class Full:
        def write(self, frame: Any, path: Path) -> None:
            path.write_bytes(b"half a file")
            raise RuntimeError("unable to write")

    monkeypatch.setattr("stream.sinks.images.picture_writer", lambda *_, **__: Full())
    with pytest.raises(EncodeError, match=r"cannot write .*out/1\.tif: unable to write"):
        run(source, tmp_path / "out" / "%d.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
