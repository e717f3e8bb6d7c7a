"""The output of `mattebox file`, pixel by pixel: the input at the subject, the background everywhere else."""

import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from stream.picture.frames import Frame, Plane
from stream.progress import JsonReporter
from stream.records.options import Options
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.media import GREEN_YUV, TALK, TALK_ALPHA, numbered_clip, pattern_clip, read, remuxed
from workers.measure.evaluate import evaluate
from workers.runs.file import FileRun, run_file
from workers.scene.composite import BLACK

SETTINGS = Settings()


def matted(source: Path, output: Path, end_s: float | None = None, **options: Any) -> list[Frame]:
    run_file(FileRun(source, output, Options(**options), end_s=end_s), SETTINGS, JsonReporter(StringIO()))
    return read(output)


def inner(mask: np.ndarray[Any, Any], margin: int = 8) -> np.ndarray[Any, Any]:
    """Pixels at least `margin` pixels inside of `mask`. The border of the picture is not an edge."""
    size = 2 * margin + 1
    shrunk = cv2.erode(mask.astype(np.uint8), np.ones((size, size), np.uint8), borderValue=1)
    return np.asarray(shrunk, bool)


def check(out: list[Frame], given: list[Frame], alphas: list[Plane]) -> None:
    """Away from edges, 99.9 % of the background is green within 3 levels, and the subject is the input."""
    green_total = green_right = 0
    subject_errors = []
    for made, frame, alpha in zip(out, given, alphas, strict=True):
        away, subject = inner(alpha < 2.55), inner(alpha > 252.45)
        off = np.max([np.abs(p.astype(int) - g) for p, g in zip(_full(made), GREEN_YUV, strict=True)], axis=0)
        green_total += int(away.sum())
        green_right += int((off[away] <= 3).sum())
        for p, q in zip(_full(made), _full(frame), strict=True):
            if subject.any():
                subject_errors.append(float(np.abs(p.astype(int) - q)[subject].mean()))
    assert green_total > 1000 * len(out)
    assert green_right >= 0.999 * green_total
    assert subject_errors
    assert max(subject_errors) <= 3


def _full(frame: Frame) -> list[Plane]:
    y, u, v = frame.planes()
    size = (frame.width, frame.height)
    return [y, *(np.asarray(cv2.resize(c, size, interpolation=cv2.INTER_NEAREST), np.uint8) for c in (u, v))]


@pytest.mark.parametrize("engine", [pytest.param("rvm", marks=pytest.mark.slow), "selfie"])
def test_the_background_is_green_and_the_subject_is_the_input(tmp_path: Path, engine: str) -> None:
    out = matted(TALK, tmp_path / "o.mp4", 1.0, engine=engine, background="green")
    mattes = matted(TALK, tmp_path / "m.mkv", 1.0, engine=engine, view="matte")
    levels = [_levels(frame) for frame in mattes]
    check(out, read(TALK, end_s=1.0), levels)


def _levels(matte: Frame) -> Plane:
    """The matte, 0-255, from limited-range luma."""
    return np.clip(np.rint((matte.planes()[0].astype(float) - 16) * 255 / 219), 0, 255).astype(np.uint8)


@pytest.mark.long
def test_chroma_composites_the_pattern_by_its_true_alpha(tmp_path: Path) -> None:
    pattern = PatternSource(640, 480, 45)
    clip = pattern_clip(tmp_path / "clip.mp4", 640, 480, 45)
    out = matted(clip, tmp_path / "o.mp4", engine="chroma", background="green")
    check(out, list(pattern), [pattern.alpha(n) for n in range(45)])


def test_chroma_finds_the_patterns_matte(tmp_path: Path) -> None:
    pattern = PatternSource(640, 480, 20)
    clip = pattern_clip(tmp_path / "clip.mp4", 640, 480, 20)
    out = matted(clip, tmp_path / "m.mkv", engine="chroma", view="matte")
    errors = [float(np.abs(_levels(f).astype(int) - pattern.alpha(n)).mean()) for n, f in enumerate(out)]
    assert max(errors) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "mad", "dtssd"), [("rvm", 25.0, 4.2), ("selfie", 31.0, 6.6)])
def test_quality_against_the_true_alpha(tmp_path: Path, engine: str, mad: float, dtssd: float) -> None:
    """The whole clip, without smoothing. The models run separately reached 24.5 and 4.06, and 30.1 and 6.27."""
    matted(TALK, tmp_path / "m.mkv", engine=engine, view="matte", temporal="off")
    scores = evaluate(tmp_path / "m.mkv", TALK_ALPHA, SETTINGS)
    print(f"{engine}: MAD {scores.mad:.2f}, dtSSD {scores.dtssd:.2f}")
    assert scores.frames == 120
    assert scores.mad <= mad
    assert scores.dtssd is not None
    assert scores.dtssd <= dtssd


def test_a_picture_without_background_replacement_is_unchanged(tmp_path: Path) -> None:
    """BT.601 in, BT.709 out, lossless, and decoded again."""
    out = matted(TALK, tmp_path / "o.mkv", 0.5, engine="chroma", background="none")
    for made, given in zip(out, read(TALK, end_s=0.5), strict=True):
        assert np.abs(made.pixels.astype(int) - given.pixels).max() == 0


@pytest.mark.parametrize("view", ["composite", "matte", "overlay", "side-by-side", "stacked"])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov", ".mkv", ".gif"])
def test_every_view_in_every_format(tmp_path: Path, view: str, suffix: str) -> None:
    width, height = 96, 64
    clip = pattern_clip(tmp_path / "clip.mkv", width, height, 4)
    out = matted(clip, tmp_path / f"o{suffix}", engine="chroma", view=view, background="green")
    assert len(out) == 4
    wide, high = view == "side-by-side", view == "stacked"
    assert {(f.width, f.height) for f in out} == {(2 * width if wide else width, 2 * height if high else height)}
    mattes = matted(clip, tmp_path / "lossless.mkv", engine="chroma", view="matte")
    pattern = PatternSource(width, height, 4)
    near = 3 if suffix == ".gif" else 2  # mean levels: GIF has 256 colours
    for n, (made, given, matte) in enumerate(zip(out, read(clip), mattes, strict=True)):
        picture, source, alpha = _full(made), _full(given), pattern.alpha(n)
        away, subject = inner(alpha < 2.55, 4), inner(alpha > 252.45, 4)
        grey = matte.planes()[0].astype(float)
        assert np.abs(_levels(matte).astype(int) - alpha).mean() < 4  # much of so small a picture is edge
        match view:
            case "composite":
                assert _off(picture, source, subject) <= near
                assert _off(picture, GREEN_YUV, away) <= near
            case "matte":
                assert _off(picture, (grey, 128, 128)) <= near
            case "overlay":
                assert _off(picture, source, subject) <= near
                assert (source[0].astype(int) - picture[0])[away].mean() > 30  # darker
                assert (picture[2].astype(int) - source[2])[away].mean() > 60  # redder
            case "side-by-side":
                left, right = [p[:, :width] for p in picture], [p[:, width:] for p in picture]
                assert _off(left, source) <= near
                assert _off(right, source, subject) <= near
                assert _off(right, GREEN_YUV, away) <= near
            case "stacked":
                above, below = [p[:height] for p in picture], [p[height:] for p in picture]
                assert _off(above, source, subject) <= near
                assert _off(above, BLACK, away) <= near
                assert _off(below, (grey, 128, 128)) <= near


def _off(picture: Sequence[Plane], expected: Sequence[Any], where: np.ndarray[Any, Any] | None = None) -> float:
    """Mean difference in levels, of the plane with the largest. expected: three planes or three numbers."""
    where = np.ones(picture[0].shape, bool) if where is None else where
    assert where.sum() > 100
    return max(float(np.abs(p.astype(float) - w)[where].mean()) for p, w in zip(picture, expected, strict=True))


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.webm", "out.mov"])
@pytest.mark.parametrize(("picture_s", "sound_s"), [(7.0, 5.0), (5.0, 7.0)])
def test_the_distance_between_the_starts_of_picture_and_sound_is_kept(
    tmp_path: Path, output: str, picture_s: float, sound_s: float
) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 30, sound_s=1.0)
    late = remuxed(clip, tmp_path / "late.mkv", picture_s=picture_s, sound_s=sound_s)
    matted(late, tmp_path / output, engine="chroma", temporal="off")
    assert _picture_after_sound_s(late) == pytest.approx(picture_s - sound_s, abs=0.03)
    assert _picture_after_sound_s(tmp_path / output) == pytest.approx(picture_s - sound_s, abs=0.03)


def _picture_after_sound_s(path: Path) -> float:
    """By the first packet of each."""
    first_s = {"video": math.inf, "audio": math.inf}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                kind = packet.stream.type
                first_s[kind] = min(first_s[kind], float(packet.pts * packet.time_base))
    return first_s["video"] - first_s["audio"]
