"""The metrics against an independent implementation with scipy, from their definitions, and against manual examples."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import scipy.ndimage
from av.video.reformatter import ColorRange

from stream.errors import InputError, NoVideoStream, TooLarge, UnreadableMedia
from stream.picture.frames import Frame, Plane, to_av
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources.pattern import PatternSource
from tests.fakes import Unchanged
from tests.media import TALK, TALK_ALPHA, first_frames, write_video
from tests.orientations import MATRIX, quartered
from tests.pictures import stored
from workers.measure import evaluate as metrics
from workers.measure.alpha_video import AlphaVideo
from workers.measure.evaluate import Scores, evaluate
from workers.scene.composite import flat

Floats = npt.NDArray[np.float64]
RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))


def truth(n: int = 0) -> Plane:
    return PatternSource(96, 64, 1).alpha(n)


def prediction(n: int = 0, seed: int = 1) -> Plane:
    """The truth as an engine might predict it: shifted, soft, with holes and islands."""
    rng = np.random.default_rng(seed + n)
    soft = cv2.GaussianBlur(np.roll(truth(n), 3, axis=1), (7, 7), 0).astype(int)
    spots = cv2.resize(rng.integers(-200, 200, (8, 12)).astype(np.float32), (96, 64))
    return np.asarray(np.clip(soft + spots * (np.abs(spots) > 120), 0, 255), np.uint8)


def grey(plane: Plane, pix_fmt: str = "gray") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(plane, format=pix_fmt)


def video(path: Path, planes: Iterable[Plane]) -> Path:
    return write_video(path, [grey(p) for p in planes], codec="ffv1", pix_fmt="gray")


def read(path: Path) -> list[Plane]:
    return read_with(path, Settings())


def read_with(path: Path, settings: Settings) -> list[Plane]:
    return list(AlphaVideo(path, settings))


# the independent implementation


def grad_by_definition(pred: Plane, true: Plane) -> float:
    sigma, half = 1.4, 4
    x = np.arange(-half, half + 1)
    gauss = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    kernel = np.outer(gauss, -x * gauss / sigma**2)
    kernel /= math.sqrt((kernel**2).sum())

    def magnitude(plane: Plane) -> Floats:
        alpha = plane.astype(np.float64) / 255
        by = [scipy.ndimage.convolve(alpha, k, mode="nearest") for k in (kernel, kernel.T)]
        return np.asarray(np.sqrt(by[0] ** 2 + by[1] ** 2))

    return float(((magnitude(pred) - magnitude(true)) ** 2).sum() / 1000)


def conn_by_definition(pred: Plane, true: Plane) -> float:
    p, t = pred / 255, true / 255
    last = np.full(p.shape, -1.0)
    for n in range(1, 11):
        labels, count = scipy.ndimage.label((p >= n / 10 - 1e-9) & (t >= n / 10 - 1e-9))
        sizes = np.bincount(labels.ravel(), minlength=2)[1:]
        largest = (labels == 1 + int(sizes.argmax())) if count else np.zeros(p.shape, bool)
        last[(last == -1) & ~largest] = (n - 1) / 10
    last[last == -1] = 1

    def phi(alpha: Floats) -> Floats:
        d = alpha - last
        return np.asarray(1 - d * (d >= 0.15))

    return float(np.abs(phi(p) - phi(t)).sum() / 1000)


def dtssd_by_definition(preds: Sequence[Plane], trues: Sequence[Plane]) -> float:
    p, t = (np.stack(list(planes)) / 255 for planes in (preds, trues))
    steps = np.diff(p, axis=0) - np.diff(t, axis=0)
    return float(np.sqrt((steps**2).mean(axis=(1, 2))).mean() * 100)


@pytest.mark.parametrize("seed", range(6))
def test_grad_agrees_with_the_definition(seed: int) -> None:
    pred, true = prediction(seed=seed), truth()
    assert metrics.grad(pred, true) == pytest.approx(grad_by_definition(pred, true), rel=1e-4)
    assert metrics.grad(pred, true) > 0.05


def test_grad_agrees_at_the_borders_too() -> None:
    pred, true = np.random.default_rng(4).integers(0, 256, (2, 12, 11), dtype=np.uint8)
    assert metrics.grad(pred, true) == pytest.approx(grad_by_definition(pred, true), rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_conn_agrees_with_the_definition(seed: int) -> None:
    pred, true = prediction(seed=seed), truth()
    assert metrics.conn(pred, true) == pytest.approx(conn_by_definition(pred, true), rel=1e-9)
    assert metrics.conn(pred, true) > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_conn_of_noise_agrees_with_the_definition(seed: int) -> None:
    """Many regions at every level, and alpha on each threshold."""
    coarse = np.random.default_rng(seed).choice([0, 26, 51, 102, 153, 204, 230, 255], (2, 9, 13)).astype(np.uint8)
    pred, true = (cv2.resize(c, (52, 36), interpolation=cv2.INTER_NEAREST).astype(np.uint8) for c in coarse)
    assert metrics.conn(pred, true) == pytest.approx(conn_by_definition(pred, true), rel=1e-9)


def test_the_scores_of_a_video_are_means_over_its_frames(tmp_path: Path) -> None:
    preds, trues = [prediction(n) for n in range(5)], [truth(n) for n in range(5)]
    scores = evaluate(video(tmp_path / "p.mkv", preds), video(tmp_path / "t.mkv", trues), Settings())
    errors = (np.stack(preds).astype(float) - np.stack(trues)) / 255
    assert (scores.frames, scores.warning) == (5, "")
    assert scores.mad == pytest.approx(np.abs(errors).mean() * 1e3)
    assert scores.mse == pytest.approx((errors**2).mean() * 1e3)
    both = list(zip(preds, trues, strict=True))
    assert scores.grad == pytest.approx(np.mean([grad_by_definition(p, t) for p, t in both]), rel=1e-4)
    assert scores.conn == pytest.approx(np.mean([conn_by_definition(p, t) for p, t in both]))
    assert scores.dtssd == pytest.approx(dtssd_by_definition(preds, trues))


# by hand


def test_mad_and_mse_by_hand() -> None:
    error = np.array([[255, 0], [0, -51]], np.int16)  # 1, 0, 0 and -0.2
    assert metrics.mad(error) == pytest.approx(300)
    assert metrics.mse(error) == pytest.approx(260)


def test_dtssd_by_hand() -> None:
    """One pixel of four flickers by 1: the root of 1/4. A constant error does not count."""
    still, flicker = np.array([[90, 0], [0, 0]], np.int16), np.array([[90, 255], [0, 0]], np.int16)
    assert metrics.dtssd(still, still) == 0
    assert metrics.dtssd(flicker, still) == pytest.approx(50)


def test_dtssd_leaves_out_the_first_frame(tmp_path: Path) -> None:
    black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    pred, true = video(tmp_path / "p.mkv", [black, white, black]), video(tmp_path / "t.mkv", [black] * 3)
    assert evaluate(pred, true, Settings()).dtssd == pytest.approx(100)
    one = video(tmp_path / "one.mkv", [black])
    assert evaluate(one, one, Settings()).dtssd is None


def test_grad_by_hand() -> None:
    """A step of height 1: the response is the running sum of the filter, the same in each of the 20 rows."""
    step = np.zeros((20, 30), np.uint8)
    step[:, 15:] = 255
    x = np.arange(-4, 5)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    scale = gauss.sum() / np.linalg.norm(gauss) / np.linalg.norm(x * gauss)
    response = scale * np.cumsum(x * gauss)
    assert metrics.grad(step, np.zeros_like(step)) == pytest.approx(20 * (response**2).sum() / 1000, rel=1e-5)


def test_conn_by_hand() -> None:
    """Both have a region of ten pixels; the prediction also has an island of three pixels at 0.6."""
    true, pred = np.zeros((6, 10), np.uint8), np.zeros((6, 10), np.uint8)
    true[1, :] = pred[1, :] = 255
    pred[4, 2:5] = 153
    assert metrics.conn(pred, true) == pytest.approx(3 * 0.6 / 1000)
    pred[4, 2:5] = 38  # 0.149 is within the tolerance
    assert metrics.conn(pred, true) == 0


def test_a_pixel_that_left_the_largest_region_is_not_connected_again() -> None:
    """From 0.2 up the small region is the largest, but at 0.1 it was not, so it never counts as connected."""
    true = np.zeros((6, 10), np.uint8)
    true[1, :] = 26
    true[4, 2:5] = 255
    pred = np.where(true == 255, 230, true).astype(np.uint8)
    assert metrics.conn(pred, true) == pytest.approx(3 * (25 / 255) / 1000)


def test_corners_do_not_connect() -> None:
    alpha = np.zeros((4, 6), np.uint8)
    alpha[0, :3] = alpha[1, 3:5] = 255
    flipped = alpha.copy()
    flipped[1, 3:5] = 102
    assert metrics.conn(flipped, alpha) == pytest.approx(2 * 0.6 / 1000)


@pytest.mark.long
def test_the_truth_scores_zero(tmp_path: Path) -> None:
    alpha = first_frames(TALK_ALPHA, tmp_path / "alpha.mkv", 12)
    scores = evaluate(alpha, alpha, Settings())
    assert (scores.frames, scores.mad, scores.mse, scores.conn, scores.dtssd) == (12, 0, 0, 0, 0)
    assert scores.grad == pytest.approx(0, abs=1e-9)


# reading


def as_pix_fmt(pix_fmt: str) -> av.VideoFrame:
    return grey(RAMP).reformat(format=pix_fmt, dst_color_range=ColorRange.MPEG)


READERS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "gray": (lambda f: video(f / "a.mkv", [RAMP]), 0),
    "limited": (lambda f: write_video(f / "a.mkv", [as_pix_fmt("yuv420p")], codec="ffv1"), 1),
    "h264": (lambda f: write_video(f / "a.mp4", [as_pix_fmt("yuv420p")], options={"qp": "0"}), 1),
    "10 bits": (
        lambda f: write_video(f / "a.mkv", [as_pix_fmt("yuv420p10le")], codec="ffv1", pix_fmt="yuv420p10le"),
        1,
    ),
    "16 bits": (lambda f: write_video(f / "a.mkv", [as_pix_fmt("gray16le")], codec="ffv1", pix_fmt="gray16le"), 1),
    "rgb": (lambda f: write_video(f / "a.mkv", [as_pix_fmt("bgr0")], codec="ffv1", pix_fmt="bgr0"), 1),
    "png": (lambda f: write_video(f / "%02d.png", [grey(RAMP)], codec="png", pix_fmt="gray", container="image2"), 0),
}


@pytest.mark.parametrize("kind", READERS)
def test_brightness_is_read_with_its_own_range(kind: str, tmp_path: Path) -> None:
    make, tolerance = READERS[kind]
    [plane] = read(make(tmp_path))
    assert plane.shape == RAMP.shape
    assert np.abs(plane.astype(int) - RAMP).max() <= tolerance


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "ffv1")])
def test_full_range_video_is_not_stretched(suffix: str, codec: str, tmp_path: Path) -> None:
    picture = grey(RAMP).reformat(format="yuv420p", dst_color_range=ColorRange.JPEG)
    options = {"qp": "0"} if codec == "libx264" else {}
    path = write_video(tmp_path / f"a.{suffix}", [picture], codec=codec, options=options, colour=(1, 2, 1, 1))
    [plane] = read(path)
    assert np.abs(plane.astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_video_is_compared_upright(tmp_path: Path, orientation: int) -> None:
    images = [grey(np.ascontiguousarray(stored(quartered(), orientation)[..., 0]))]
    path = write_video(tmp_path / "a.mkv", images, codec="ffv1", pix_fmt="gray", display=MATRIX[orientation])
    (plane,) = read(path)
    assert np.array_equal(plane, quartered()[..., 0])


def coloured_with_alpha(pix_fmt: str) -> av.VideoFrame:
    if pix_fmt == "yuva420p":  # FFmpeg's own conversion to it is off by 1
        return to_av(Frame(flat(90, 100, 180, 256, 16), 0, Fraction(1, 30), alpha=RAMP), pix_fmt)
    rgba = np.full((16, 256, 4), (200, 30, 90, 0), np.uint8)
    rgba[..., 3] = RAMP
    return av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pix_fmt)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "tolerance"),
    [
        ("mkv", "ffv1", "bgra", 0),
        ("mkv", "ffv1", "yuva420p", 0),
        ("mov", "prores_ks", "yuva444p10le", 1),
        ("webm", "libvpx-vp9", "yuva420p", 6),
        ("png", "png", "rgba", 0),
    ],
)
def test_transparency_is_preferred_to_brightness(
    suffix: str, codec: str, pix_fmt: str, tolerance: int, tmp_path: Path
) -> None:
    container = "image2" if suffix == "png" else None
    options = {"crf": "1", "b": "0"} if suffix == "webm" else {}
    name = "0001" if suffix == "png" else "a"
    path = tmp_path / f"{name}.{suffix}"
    write_video(
        path, [coloured_with_alpha(pix_fmt)], codec=codec, pix_fmt=pix_fmt, container=container, options=options
    )
    [plane] = read(path)
    assert np.abs(plane.astype(int) - RAMP).max() <= tolerance


def test_a_gif_is_read_by_brightness_unless_a_pixel_is_transparent(tmp_path: Path) -> None:
    """FFmpeg decodes every GIF to a format with transparency, even a grey matte."""
    matte = write_video(tmp_path / "m.gif", [grey(RAMP), grey(255 - RAMP)], codec="gif", pix_fmt="gray")
    for plane, wanted in zip(read(matte), (RAMP, 255 - RAMP), strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= 1
    frames, clear = PatternSource(96, 64, 3), np.where(truth() < 128, 0, 255).astype(np.uint8)
    cut = tmp_path / "cut.gif"
    pump(frames, Unchanged(alpha=clear), open_sink(cut, Options(), Settings()))
    planes = read(cut)
    assert len(planes) == 3
    for plane in planes:
        np.testing.assert_array_equal(plane, clear)


def numbered_pngs(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir()
    for n, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((4, 4), 10 * n, np.uint8))
    return folder


def test_a_sequence_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    folder = numbered_pngs(tmp_path / "a", ["f8.png", "f9.png", "f10.png", "f011.PNG"])
    (folder / "notes.txt").write_text("not a picture")
    assert [int(p[0, 0]) for p in read(folder)] == [0, 10, 20, 30]
    padded = numbered_pngs(tmp_path / "b", ["00001.png", "00002.png", "other.png", "3.png"])
    assert [int(p[0, 0]) for p in read(padded / "%05d.png")] == [0, 10]
    assert [int(p[0, 0]) for p in read(padded / "%d.png")] == [0, 10, 30]


# mismatches and bad files


def test_sizes_that_differ_name_both(tmp_path: Path) -> None:
    small, large = video(tmp_path / "s.mkv", [RAMP]), video(tmp_path / "l.mkv", [np.vstack([RAMP, RAMP])])
    with pytest.raises(InputError, match=r"s\.mkv is 256x16, .*l\.mkv is 256x32"):
        evaluate(small, large, Settings())


@pytest.mark.parametrize("swapped", [False, True])
def test_one_surplus_frame_is_ignored_with_a_warning(swapped: bool, tmp_path: Path) -> None:
    three, four = (video(tmp_path / f"{n}.mkv", [RAMP] * n) for n in (3, 4))
    scores = evaluate(four, three, Settings()) if swapped else evaluate(three, four, Settings())
    assert (scores.frames, scores.mad) == (3, 0)
    assert re.search(r"3\.mkv has 3\b.*the first 3 were compared", scores.warning)
    assert re.search(r"4\.mkv has 4\b", scores.warning)


def test_a_greater_difference_in_length_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.mkv has 2 frames, .*b\.mkv has 4"):
        evaluate(video(tmp_path / "a.mkv", [RAMP] * 2), video(tmp_path / "b.mkv", [RAMP] * 4), Settings())


@pytest.mark.parametrize("name", ["missing.mkv", "missing/%05d.png", "%05d.png", "text.mkv", "text.png", "."])
def test_unreadable_files_are_reported_in_one_line(name: str, tmp_path: Path) -> None:
    for text in ("text.mkv", "text.png"):
        (tmp_path / text).write_text("ffconcat version 1.0\n")
    with pytest.raises(UnreadableMedia) as caught:
        evaluate(tmp_path / name, TALK_ALPHA, Settings())
    assert "\n" not in str(caught.value)


def test_limits_and_missing_video_are_reported(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="limit is 307,199 pixels"):
        evaluate(TALK_ALPHA, TALK_ALPHA, Settings(max_pixels=640 * 480 - 1))
    with av.open(str(tmp_path / "sound.mkv"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        out.mux(stream.encode(sound))
    with pytest.raises(NoVideoStream):
        evaluate(tmp_path / "sound.mkv", TALK_ALPHA, Settings())


def test_an_enormous_picture_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((200, 300), np.uint8))
    with pytest.raises(TooLarge):
        read_with(tmp_path / "a.png", Settings(max_pixels=59_999))
    assert len(read_with(tmp_path / "a.png", Settings(max_pixels=60_000))) == 1


def test_progress_counts_frames(tmp_path: Path) -> None:
    seen: list[int] = []
    path = video(tmp_path / "a.mkv", [RAMP] * 3)
    scores = evaluate(path, path, Settings(), seen.append)
    assert seen == [1, 2, 3]
    assert isinstance(scores, Scores)


@pytest.mark.long
def test_a_video_of_colours_is_compared_by_brightness(tmp_path: Path) -> None:
    """The clip itself is not a matte, and scores badly."""
    talk, alpha = (first_frames(clip, tmp_path / f"{clip.stem}.mkv", 12) for clip in (TALK, TALK_ALPHA))
    assert evaluate(talk, alpha, Settings()).mad > 200
