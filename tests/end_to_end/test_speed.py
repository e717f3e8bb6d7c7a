"""`mattebox bench live` against `mattebox serve`, with limits that hold on a moderately busy machine."""

import pytest

from stream.settings import Settings
from tests.end_to_end.serving import Served
from tests.media import TALK
from workers.bench.camera import encoded, film
from workers.bench.live import Row, measure

pytestmark = [pytest.mark.slow, pytest.mark.alone]
SETTINGS = Settings(hw_encode=False)
_BUSY = 2.5 + SETTINGS.cores() / 2  # the server and the fake camera themselves cause about 1.5


def measured(served: Served, size: tuple[int, int], plain_s: float, matted_s: float) -> tuple[Row, Row]:
    """The rows of `mattebox bench live` without a matte and with it, over so many seconds."""
    pictures = encoded(film(TALK, *size, SETTINGS), *size, SETTINGS)
    without, overlay = {"background": "none"}, {"view": "overlay", "engine": "selfie"}
    plain, matted = (
        quiet(measure(served.url, "", 1, size, options, seconds, pictures))
        for options, seconds in ((without, plain_s), (overlay, matted_s))
    )
    return plain, matted


def quiet(row: Row) -> Row:
    print(row)
    if row.load > _BUSY:
        pytest.skip(f"other programs keep this machine busy (load {row.load}): {row}")
    return row


def test_two_minutes_at_640x480(served: Served) -> None:
    plain, matted = measured(served, (640, 480), 20.0, 120.0)
    assert matted.fps_out >= 25
    assert matted.age_ms.p50 - plain.age_ms.p50 <= 60
    assert matted.age_ms.p95 - plain.age_ms.p95 <= 120
    assert matted.growth_ms <= 30
    first, last, _ = matted.rss_mib
    assert last <= first + 40


def test_the_servers_cpu_time_at_1280x720(served: Served) -> None:
    plain, matted = measured(served, (1280, 720), 15.0, 15.0)
    assert matted.fps_out > 10
    assert matted.cpu_ms <= 3 * plain.cpu_ms, "2.2 times as much, as measured"
