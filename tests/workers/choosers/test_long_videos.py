"""Memory of a chooser over a long video."""

import gc
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.workers.choosers import tiny_models
from tests.workers.choosers.test_tracking import ask, load, subjects_at

FRAMES, WARM = int(os.environ.get("SOAK_FRAMES", "1500")), 200  # by hand: 10,000
SCRIPT = {0: ["point:0.2,0.5"], 100: ["point:-0.9,0.1"], 150: ["point:0.3,0.5"]}


def resident_bytes() -> int:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_flat(tmp_path: Path) -> None:
    chooser = load("sam2", tiny_models.sam2(tmp_path / "sam2", size=256))
    state: Any = None
    sizes: list[int] = []
    for number in range(FRAMES):
        state = ask(chooser, number, subjects_at(number, SCRIPT), state).state
        if number >= WARM and number % 100 == 0:
            sizes.append(resident_bytes())
    print(f"resident MiB after {WARM} frames: {sizes[0] >> 20}, largest: {max(sizes) >> 20}, last: {sizes[-1] >> 20}")
    assert max(sizes) <= 1.03 * sizes[0]
