"""The table of filters on the clip with true alpha: ours dominates every plain filter in it."""

from pathlib import Path

import pytest
from PIL import Image

from stream.settings import Settings
from tests.media import TALK, TALK_ALPHA
from workers.bench.plot import draw
from workers.bench.temporal import Row, bench_temporal


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return bench_temporal(TALK, TALK_ALPHA, "selfie", Settings(), lambda sentence: None)


def test_every_plain_filter_is_beaten_in_both_figures_by_one_of_ours(rows: list[Row]) -> None:
    plain = [row for row in rows if row.family in ("EMA", "median of 3")]
    ours = [row for row in rows if row.family in ("live", "live+1", "offline")]
    assert len(plain) == 4
    for row in plain:
        assert any(one.mad < row.mad and one.dtssd < row.dtssd for one in ours), row.filter


def test_off_is_the_measure_of_all(rows: list[Row]) -> None:
    (off,) = (row for row in rows if row.family == "off")
    assert (off.mad_ratio, off.dtssd_ratio) == (1.0, 1.0)
    assert off.dtssd == pytest.approx(6.28, abs=0.05)


def test_it_is_drawn(rows: list[Row], tmp_path: Path) -> None:
    draw(rows, "a title", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (900, 600)
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50
