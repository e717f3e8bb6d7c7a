from dataclasses import asdict
from pathlib import Path

import pytest

from stream.settings import Settings
from tests.media import TALK
from workers.bench.file import bench_file


@pytest.mark.long
@pytest.mark.parametrize("clip", [pytest.param(None, marks=pytest.mark.slow), TALK])
def test_loop_pump_and_transcode_are_measured_on_the_same_clip(clip: Path | None) -> None:
    messages: list[str] = []
    (row,) = bench_file(clip, 30, 1, Settings(), messages.append, [("chroma", 96, 64)])
    assert messages == ["chroma 96x64: 1 of 1"]
    assert (row.engine, row.width, row.height, row.frames) == ("chroma", 96, 64, 30)
    for run in (row.loop, row.pump, row.smoothed, row.transcode):
        assert run.fps > 0
        assert run.cpu_ms > 0
        assert 0 < run.busy <= 1.05
        assert run.peak_mib > 20
    assert row.ratio == pytest.approx(row.pump.fps / row.loop.fps, abs=0.01)
    assert row.times_transcode == pytest.approx(row.transcode.fps / row.pump.fps, abs=0.01)
    assert row.smoothed_times_transcode == pytest.approx(row.transcode.fps / row.smoothed.fps, abs=0.01)
    speeds, ratios = {"loop", "pump", "smoothed", "transcode"}, {"ratio", "times_transcode", "smoothed_times_transcode"}
    assert set(asdict(row)) == {"engine", "width", "height", "frames"} | speeds | ratios
