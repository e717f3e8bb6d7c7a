"""`mattebox bench live` against `mattebox serve`, with limits that hold on a moderately busy machine."""

from collections.abc import Iterator

import pytest

from stream.settings import Settings
from tests.end_to_end.serving import Served
from tests.media import TALK
from workers.bench.live import Row, bench_live

pytestmark = pytest.mark.slow
_BUSY = 2.5 + Settings().cores() / 2  # the server and the fake camera themselves cause about 1.5


def rows(served: Served, size: tuple[int, int], seconds: float) -> Iterator[Row]:
    for row in bench_live(served.url, [1], [size], "selfie", seconds, "", print, TALK, Settings(hw_encode=False)):
        print(row)
        if row.load > _BUSY:
            pytest.skip(f"other programs keep this machine busy (load {row.load}): {row}")
        yield row


def test_two_minutes_at_640x480(served: Served) -> None:
    plain, matted = rows(served, (640, 480), 120.0)
    assert matted.fps_out >= 25
    assert matted.age_ms.p50 - plain.age_ms.p50 <= 60
    assert matted.age_ms.p95 - plain.age_ms.p95 <= 120
    assert matted.growth_ms <= 30
    first, last, _ = matted.rss_mib
    assert last <= first + 40


def test_the_servers_cpu_time_at_1280x720(served: Served) -> None:
    _, matted = rows(served, (1280, 720), 15.0)
    assert matted.fps_out > 10
    assert matted.cpu_ms <= 30
