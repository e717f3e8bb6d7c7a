"""URLs that cannot be downloaded. Wheels are tested in `test_known.py`."""

import time
from pathlib import Path

import pytest

from stream.errors import WeightsError
from workers.weights.sources import Url


@pytest.mark.clocked
def test_an_unreachable_url_fails_soon(tmp_path: Path) -> None:
    start_s = time.monotonic()
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1"):
        Url("https://127.0.0.1:9/file").fetch(tmp_path / "file", 10)
    assert time.monotonic() - start_s < 6


def test_only_https_is_supported(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1/file", (tmp_path / "file").as_uri()):
        with pytest.raises(WeightsError, match="https"):
            Url(url).fetch(tmp_path / "out", 10)
