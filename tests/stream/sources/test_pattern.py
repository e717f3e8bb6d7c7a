"""The generated video, opened by its address."""

import pytest

from stream.errors import UsageError
from stream.settings import Settings
from stream.sources import open_source, source_address
from stream.sources.base import SourceOptions
from stream.sources.pattern import PatternSource


def test_size_and_length_are_what_was_asked_for() -> None:
    for frames in (1, 7, 90, 240, 1001):
        asked = SourceOptions(size=(64, 0), end_s=frames / 30)
        source = open_source(source_address("pattern:room"), asked, Settings())
        assert source.info == PatternSource(64, 36, frames).info
    plain = open_source(source_address("pattern:"), SourceOptions(), Settings()).info
    assert (plain.width, plain.height, plain.frames) == (1280, 720, 300)


@pytest.mark.parametrize(("text", "end_s"), [("pattern:beach", 1.0), ("pattern:room", 0.0)])
def test_a_scene_that_is_not_known_and_no_length_are_refused(text: str, end_s: float) -> None:
    with pytest.raises(UsageError):
        open_source(source_address(text), SourceOptions(end_s=end_s), Settings())
