import gc
from collections.abc import Iterator

import pytest

from stream import loading


@pytest.fixture
def collector() -> Iterator[None]:
    """Restores the collector."""
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_modules_are_loaded(collector: None) -> None:
    loading.begin()
    assert not gc.isenabled()
    loading.end()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_the_end_alone_changes_nothing(collector: None) -> None:
    loading.end()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
