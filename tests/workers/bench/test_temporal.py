from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream.errors import InputError
from stream.settings import Settings
from tests.media import TALK, TALK_ALPHA
from tests.workers.smoothing_clips import clip
from workers.bench.plot import draw
from workers.bench.temporal import Ema, Filter, MedianOfThree, Row, bench_temporal
from workers.steady.smooth import MattedFrame


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    found = bench_temporal(TALK, TALK_ALPHA, "selfie", Settings(), lambda _: None, strengths=(0.7,))
    return {row.filter: row for row in found}


@pytest.mark.slow
@pytest.mark.slow
def test_ours_meets_the_goals(rows: dict[str, Row]) -> None:
    """On this clip. The limits hold for the mean over many; measured here: 0.90/0.71, 0.86/0.64, 0.81/0.57."""
    for name, mad, dtssd in (("live 0.7", 1.0, 0.75), ("live+1 0.7", 0.98, 0.68), ("offline 0.7", 0.97, 0.58)):
        assert rows[name].mad_ratio <= mad
        assert rows[name].dtssd_ratio <= dtssd


@pytest.mark.slow
def test_offline_is_better_than_every_baseline_in_both_metrics(rows: dict[str, Row]) -> None:
    plain = [row for row in rows.values() if row.family in ("EMA", "median of 3")]
    assert len(plain) == 4
    for row in plain:
        assert rows["offline 0.7"].mad < row.mad
        assert rows["offline 0.7"].dtssd < row.dtssd


@pytest.mark.slow
def test_off_scores_like_the_engine(rows: dict[str, Row]) -> None:
    assert rows["off"].mad_ratio == rows["off"].dtssd_ratio == 1.0
    assert rows["off"].mad == pytest.approx(29.78, abs=0.1)  # as by `mattebox eval`
    assert rows["off"].dtssd == pytest.approx(6.28, abs=0.05)


@pytest.mark.long
@pytest.mark.parametrize(("made", "expected"), [(Ema(0.5), [0, 0.5, 0.25, 0.625]), (MedianOfThree(), [0, 0, 1, 1])])
def test_the_baselines_compute_what_their_names_say(made: Filter, expected: list[float]) -> None:
    frames = clip(lambda n: [320.0], 4).frames
    matted = [MattedFrame(f, np.full((2, 2), a, np.float32)) for f, a in zip(frames, (0, 1, 0, 1), strict=True)]
    out = [done for one in matted for done in made.push(one)] + made.flush()
    assert [one.frame.pts for one in out] == [0, 1, 2, 3]
    assert [float(one.alpha[0, 0]) for one in out] == expected


def test_the_truth_of_a_different_video_is_refused(tmp_path: Path) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "00001.png")
    with pytest.raises(InputError, match="does not match"):
        bench_temporal(TALK, tmp_path, "selfie", Settings(), lambda _: None, strengths=(0.7,))


@pytest.mark.slow
def test_the_plot_shows_every_family_in_its_colour(tmp_path: Path, rows: dict[str, Row]) -> None:
    weaker = replace(rows["live 0.7"], filter="live 0.3", mad=29.0, dtssd=5.5)
    draw([*rows.values(), weaker], "a clip", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (900, 600)
        colours = image.convert("RGB").getcolors(maxcolors=1 << 20)
    assert colours is not None
    found = {colour for _, colour in colours}
    assert {(214, 120, 40), (150, 90, 170), (38, 110, 200), (30, 150, 150), (46, 140, 60)} <= found
