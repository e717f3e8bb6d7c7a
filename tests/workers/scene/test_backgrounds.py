import struct
import tracemalloc
import zlib
from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from stream.errors import BackgroundError
from stream.picture.frames import Frame, Plane, split_i420
from stream.records.options import Background
from stream.settings import Settings
from tests.media import number_of, numbered, numbered_clip, write_video
from workers.scene import composite
from workers.scene.backgrounds import Backdrop, Loop, open_background

WIDTH, HEIGHT = 64, 48
RED_YUV, GREEN_YUV, BLUE_YUV = (63, 102, 240), (173, 42, 26), (32, 240, 118)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
OPAQUE = np.full((HEIGHT, WIDTH), 255, np.uint8)


def frame_at(pts: int, time_base: Fraction = Fraction(1, 30), width: int = WIDTH, height: int = HEIGHT) -> Frame:
    return Frame(composite.flat(90, 120, 130, width, height), pts, time_base)


def open_spec(spec: str, width: int = WIDTH, height: int = HEIGHT, settings: Settings | None = None) -> Backdrop:
    return open_background(Background.model_validate(spec), width, height, settings or Settings())


def first(spec: str, width: int = WIDTH, height: int = HEIGHT) -> Plane:
    with closing(open_spec(spec, width, height)) as backdrop:
        picture = backdrop.at(frame_at(0, width=width, height=height), np.zeros((height, width), np.uint8))
    assert picture is not None
    assert picture.shape == (height * 3 // 2, width)
    return picture


def colour_of(pixels: Plane, x: float = 0.5, y: float = 0.5) -> tuple[int, ...]:
    """Y, U, V at a position given as shares of width and height."""
    planes = split_i420(pixels)
    return tuple(int(p[int(y * p.shape[0]), int(x * p.shape[1])]) for p in planes)


def close_to(actual: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 2) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(actual, expected, strict=True))


def shown(backdrop: Backdrop, pts: int, time_base: Fraction = Fraction(1, 30)) -> int:
    """The number in the picture behind a frame at this time."""
    picture = backdrop.at(frame_at(pts, time_base), OPAQUE)
    assert picture is not None
    return number_of(Frame(picture, 0, Fraction(1, 30)))


# colours, transparency and no background


@pytest.mark.parametrize(
    ("spec", "yuv"),
    [("green", GREEN_YUV), ("color:#ff0000", RED_YUV), ("color:#0000ff", BLUE_YUV), ("color:#fff", (235, 128, 128))],
)
def test_colours_have_their_bt709_values(spec: str, yuv: tuple[int, int, int]) -> None:
    planes = split_i420(first(spec, 66, 50))
    assert tuple(set(p.ravel().tolist()) for p in planes) == tuple({v} for v in yuv)


def test_transparent_has_no_background_and_none_is_the_frame_itself() -> None:
    frame = frame_at(0)
    assert open_spec("transparent").at(frame, OPAQUE) is None
    assert open_spec("none").at(frame, OPAQUE) is frame.pixels


# still pictures


def test_an_image_fills_the_frame_and_keeps_its_centre(tmp_path: Path) -> None:
    wide = np.zeros((100, 400, 3), np.uint8)
    wide[:, :120], wide[:, 120:280], wide[:, 280:] = RED, GREEN, BLUE
    Image.fromarray(wide).save(tmp_path / "wide.png")
    picture = first(f"image:{tmp_path / 'wide.png'}")
    assert [colour_of(picture, x) for x in (0.05, 0.5, 0.95)] == [GREEN_YUV] * 3
    Image.fromarray(wide.transpose(1, 0, 2).copy()).save(tmp_path / "tall.png")
    assert colour_of(first(f"image:{tmp_path / 'tall.png'}"), 0.5, 0.05) == GREEN_YUV


@pytest.mark.long
def test_a_large_image_is_reduced_without_aliasing(tmp_path: Path) -> None:
    checks = ((np.indices((960, 1280)).sum(0) % 2) * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "checks.png")
    y, _, _ = split_i420(first(f"image:{tmp_path / 'checks.png'}"))
    assert np.ptp(y.astype(int)) <= 2
    assert abs(y.mean() - (16 + 219 / 2)) < 2


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2], image[:, WIDTH // 2 :] = RED, BLUE
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif)
    picture = first(f"image:{tmp_path / 'turned.png'}", HEIGHT, WIDTH)
    assert (colour_of(picture, 0.5, 0.1), colour_of(picture, 0.5, 0.9)) == (RED_YUV, BLUE_YUV)


def save_kind(kind: str, folder: Path) -> tuple[Path, tuple[int, int, int]]:
    """A file in an unusual format, and the colour it must show."""
    image = Image.new("RGB", (WIDTH, HEIGHT), RED)
    path = folder / "image.png"
    match kind:
        case "half transparent":
            image.putalpha(128)  # over black
            image.save(path)
            return path, (40, 115, 184)
        case "palette":
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(path)
        case "palette, transparent":
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(path, transparency=bytes([0] * 256))
            return path, (16, 128, 128)
        case "grey, 16 bits":
            Image.fromarray(np.full((HEIGHT, WIDTH), 32_768, np.uint16)).save(path)
            return path, (126, 128, 128)
        case "one bit":
            Image.new("1", (WIDTH, HEIGHT), 1).save(path)
            return path, (235, 128, 128)
        case "cmyk":
            path = folder / "image.jpg"
            Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0)).save(path, quality=100)
        case "several pages":
            path = folder / "image.tiff"
            image.save(path, save_all=True, append_images=[Image.new("RGB", image.size, BLUE)])
        case "named otherwise":
            path = folder / "image.mp4"
            image.save(path, format="png")
    return path, RED_YUV


@pytest.mark.parametrize(
    "kind",
    [
        "half transparent",
        "palette",
        "palette, transparent",
        "grey, 16 bits",
        "one bit",
        "cmyk",
        "several pages",
        "named otherwise",
    ],
)
def test_unusual_image_formats(kind: str, tmp_path: Path) -> None:
    path, yuv = save_kind(kind, tmp_path)
    assert close_to(colour_of(first(f"image:{path}")), yuv)


def huge_png(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes that claims to be enormous."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [7_000, 12_000, 23_000])  # over our limit, Pillow's warning, Pillow's error
def test_an_enormous_image_is_refused_before_decoding(
    side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(self: ImageFile.ImageFile) -> None:
        raise AssertionError("the picture is decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    path = huge_png(tmp_path / "huge.png", side, side)
    with pytest.raises(BackgroundError, match=r"36,000,000 pixels \(MATTEBOX_MAX_PIXELS\)"):
        open_spec(f"image:{path}")


def test_the_limit_on_pixels_is_configurable(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    assert open_spec(f"image:{tmp_path / 'a.png'}", settings=Settings(max_pixels=20_000))
    with pytest.raises(BackgroundError, match="200x100"):
        open_spec(f"image:{tmp_path / 'a.png'}", settings=Settings(max_pixels=19_999))


def cut_jpeg() -> bytes:
    coded = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))[1]
    return bytes(coded)[:5000]


BROKEN = {
    "text.jpg": b"not a picture",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>",
    "page.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "empty.png": b"",
    "cut.jpg": cut_jpeg(),
    "cut.png": b"\x89PNG\r\n\x1a\n\0\0",
}


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("name", [*BROKEN, "missing.png", "."])
def test_unusable_files_are_reported_in_one_line(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name in BROKEN:
        path.write_bytes(BROKEN[name])
    with pytest.raises(BackgroundError) as caught:
        open_spec(f"{kind}:{path}")
    message = str(caught.value)
    assert name.strip(".") in message
    assert "\n" not in message
    assert len(message) < 300


# animations


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animated_image_loops_at_its_own_rate(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"moving.{suffix}"
    images = [Image.fromarray(numbered(n)) for n in range(3)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[200, 100, 300], loop=0)
    with closing(open_spec(f"image:{path}")) as backdrop:
        tenths = [shown(backdrop, n, Fraction(1, 10)) for n in range(14)]
    assert tenths == [0, 0, 1, 2, 2, 2, 0, 0, 1, 2, 2, 2, 0, 0]


def test_a_partly_damaged_animation_shows_its_readable_pictures(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    noise = np.random.default_rng(2).integers(0, 255, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = [Image.fromarray(n) for n in noise]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, loop=0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 5 // 8])
    with closing(open_spec(f"image:{path}")) as backdrop:
        assert all(backdrop.at(frame_at(n, Fraction(1, 10)), OPAQUE) is not None for n in range(12))


def test_a_video_follows_the_time_of_the_frames_and_loops(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "bg.mp4", frames=5, rate=Fraction(10))
    with closing(open_spec(f"video:{path}")) as backdrop:
        assert [shown(backdrop, n) for n in range(0, 60, 3)] == [n % 5 for n in range(20)]
        assert [shown(backdrop, n) for n in range(6)] == [0, 0, 0, 1, 1, 1]


def test_rounded_timestamps_of_matroska_do_not_show_the_previous_picture(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "bg.mp4", frames=30)
    with closing(open_spec(f"video:{path}")) as backdrop:
        in_ms = [shown(backdrop, round(n * 1000 / 30), Fraction(1, 1000)) for n in range(60)]
    assert in_ms == [n % 30 for n in range(60)]


def test_a_variable_rate_shows_each_picture_for_its_duration(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "bg.mkv", frames=4, times_ms=[0, 100, 600, 700])
    with closing(open_spec(f"video:{path}")) as backdrop:
        assert [shown(backdrop, n, Fraction(1, 10)) for n in range(8)] == [0, 1, 1, 1, 1, 1, 2, 3]


def test_the_same_time_always_shows_the_same_picture(tmp_path: Path) -> None:
    """Segments of one job run on different machines and must agree."""
    path = numbered_clip(tmp_path / "bg.webm", frames=45, codec="libvpx-vp9", options={"deadline": "realtime"})
    with closing(open_spec(f"video:{path}")) as straight:
        expected = {pts: shown(straight, pts) for pts in range(0, 200, 7)}
    assert len(set(expected.values())) > 20
    with closing(open_spec(f"video:{path}")) as jumping:
        for pts in (196, 0, 140, 133, 7, 189):
            assert shown(jumping, pts) == expected[pts]


def test_a_jump_in_a_long_video_seeks(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "bg.mp4", frames=250, rate=Fraction(2), options={"g": "10"})
    with closing(open_spec(f"video:{path}")) as backdrop:
        assert [shown(backdrop, t, Fraction(1)) for t in (3, 100, 60, 101, 124, 125, 226)] == [
            6,
            200,
            120,
            202,
            248,
            0,
            202,
        ]


class Slides:
    """Pictures that start at whole seconds, with brightness equal to the second; records where reading started."""

    def __init__(self, *begin_s: int) -> None:
        self._begin_s = begin_s
        self.started_at: list[int] = []

    def __call__(self, from_s: int) -> Generator[tuple[Fraction, Fraction, Plane], None, None]:
        self.started_at.append(from_s)
        for n in self._begin_s:
            if n >= from_s:
                yield Fraction(n), Fraction(n + 1), composite.flat(n, 128, 128, WIDTH, HEIGHT)


def brightness(loop: Loop, time_s: int) -> int:
    picture = loop.at(frame_at(time_s, Fraction(1)), OPAQUE)
    assert picture is not None
    return int(picture[0, 0])


def test_a_jump_reads_only_nearby_pictures() -> None:
    slides = Slides(*range(240))
    loop = Loop(slides, Fraction(240))
    assert [brightness(loop, t) for t in (0, 5, 200, 201, 2, 240)] == [0, 5, 200, 201, 2, 0]
    assert slides.started_at == [0, 190, 0, 0]


def test_a_jump_into_a_long_gap_shows_the_last_picture_before_it() -> None:
    slides = Slides(0, 1, 120, 235)
    loop = Loop(slides, Fraction(240))
    assert [brightness(loop, t) for t in (0, 200, 201, 239)] == [0, 120, 120, 235]


def test_a_last_picture_that_is_shown_to_the_end_is_read_once() -> None:
    """The header says 240 seconds; the last picture starts at 1."""
    slides = Slides(0, 1)
    loop = Loop(slides, Fraction(240))
    assert [brightness(loop, t) for t in (0, 100, 150, 239)] == [0, 1, 1, 1]
    assert len(slides.started_at) == 3  # at first, a seek that found nothing, and the start again


def test_going_back_after_a_jump_into_a_gap() -> None:
    slides = Slides(0, 195)
    loop = Loop(slides, Fraction(240))
    assert [brightness(loop, t) for t in (0, 200, 3)] == [0, 195, 0]


def test_a_first_picture_that_starts_late_is_shown_from_the_beginning() -> None:
    slides = Slides(2, 3)
    loop = Loop(slides, Fraction(5))
    assert [brightness(loop, t) for t in (0, 1, 2, 3, 4, 5)] == [2, 2, 2, 3, 3, 2]
    assert slides.started_at == [0, 0]


def test_an_unknown_length_is_determined_by_reading() -> None:
    def read(_: int) -> Generator[tuple[Fraction, Fraction, Plane], None, None]:
        for n in range(3):
            yield Fraction(n, 2), Fraction(n + 1, 2), composite.flat(100 + n, 128, 128, WIDTH, HEIGHT)

    loop = Loop(read, None)
    halves = [
        int(picture[0, 0])
        for n in (0, 1, 2, 3, 4, 7)
        if (picture := loop.at(frame_at(n, Fraction(1, 2)), OPAQUE)) is not None
    ]
    assert halves == [100, 101, 102, 100, 101, 101]


def test_a_video_of_one_frame_is_a_still(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", [numbered(77)])
    with closing(open_spec(f"video:{path}")) as backdrop:
        assert [shown(backdrop, n) for n in (0, 1, 5, 1000)] == [77] * 4


def test_a_video_fills_the_frame_and_keeps_its_centre(tmp_path: Path) -> None:
    wide = np.zeros((96, 384, 3), np.uint8)
    wide[:, :112], wide[:, 112:272], wide[:, 272:] = RED, GREEN, BLUE
    path = write_video(tmp_path / "wide.mkv", [wide] * 2, codec="ffv1", pix_fmt="bgr0")
    picture = first(f"video:{path}")
    assert all(close_to(colour_of(picture, x), GREEN_YUV) for x in (0.05, 0.5, 0.95))


def test_a_transparent_video_is_shown_over_black(tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 4), (255, 0, 0, 128), np.uint8), format="rgba")
    path = write_video(tmp_path / "clear.mkv", [frame.reformat(format="bgra")], codec="ffv1", pix_fmt="bgra")
    assert close_to(colour_of(first(f"video:{path}")), (40, 115, 184), tolerance=3)


@pytest.mark.long
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "bg.mp4", frames=200, width=320, height=240, options={"preset": "ultrafast"})
    with closing(open_spec(f"video:{path}", 320, 240)) as backdrop:
        alpha = np.zeros((240, 320), np.uint8)
        backdrop.at(frame_at(0, width=320, height=240), alpha)
        tracemalloc.start()
        for pts in range(200):
            backdrop.at(frame_at(pts, width=320, height=240), alpha)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 12 * 320 * 240 * 3 // 2  # all of them would be 200


def test_a_file_that_disappears_is_reported_when_the_loop_restarts(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "bg.mp4", frames=5, rate=Fraction(10))
    with closing(open_spec(f"video:{path}")) as backdrop:
        assert shown(backdrop, 3) == 1
        path.unlink()
        with pytest.raises(BackgroundError, match="does not exist"):
            shown(backdrop, 15)


def test_a_blur_is_computed_from_its_frame() -> None:
    dark, light = (Frame(composite.flat(v, 128, 128, WIDTH, HEIGHT), 0, Fraction(1, 30)) for v in (50, 180))
    backdrop = open_spec("blur:0.3")
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    pictures = [backdrop.at(f, nothing) for f in (dark, light, dark)]
    assert [None if p is None else int(p[5, 5]) for p in pictures] == [50, 180, 50]
