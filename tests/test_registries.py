"""Every name in a registry leads to a class that has what its protocol asks for."""

import pytest

from stream.pump import Sink, Source
from stream.records.engines import ENGINES
from stream.registry import find
from stream.sinks import SINKS
from stream.sources import SOURCES
from workers.engines.base import Engine

PLACES = [
    *((place, protocol) for entries, protocol in ((SOURCES, Source), (SINKS, Sink)) for place in entries.values()),
    *((record.place, Engine) for record in ENGINES.values()),
]


@pytest.mark.parametrize(("place", "protocol"), PLACES)
def test_the_class_has_the_protocols_methods(place: str, protocol: type) -> None:
    found = find(place)
    assert found.__doc__
    methods = {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_abc")}
    wanted = {name for name in methods if name in ("__iter__",) or not name.startswith("_")}
    assert wanted
    assert all(callable(getattr(found, name, None)) for name in wanted)
