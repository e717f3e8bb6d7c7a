"""Every name in a registry leads to a class that has what its protocol asks for, and so do those without a name."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import stream.sinks
import stream.sources
from stream.pump import Sink, Source
from stream.records.engines import ENGINES
from stream.registry import find
from stream.sinks import SINKS
from stream.sources import SOURCES
from stream.sources.base import SourceOptions
from workers.engines.base import Engine

OF_A_CONNECTION = (("stream.rtc.source:WebRtcSource", Source), ("stream.rtc.sink:LiveOutput", Sink))
"""Made by a WebRTC connection and not opened by an address."""
PLACES = [
    *((place, protocol) for entries, protocol in ((SOURCES, Source), (SINKS, Sink)) for place in entries.values()),
    *((record.place, Engine) for record in ENGINES.values()),
]


@pytest.mark.parametrize(("place", "protocol"), [*PLACES, *OF_A_CONNECTION])
def test_the_class_has_the_protocols_methods(place: str, protocol: type) -> None:
    found = find(place)
    assert found.__doc__
    methods = {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_abc")}
    wanted = {name for name in methods if name in ("__iter__",) or not name.startswith("_")}
    assert wanted
    assert all(callable(getattr(found, name, None)) for name in wanted)


@pytest.mark.parametrize("place", sorted({*SOURCES.values(), *SINKS.values()}))
def test_sources_and_sinks_are_opened_in_one_way(place: str) -> None:
    parameters = inspect.signature(find(place).from_address).parameters
    assert list(parameters) == ["address", "options", "settings"]


@pytest.mark.parametrize("place", sorted(set(SOURCES.values())))
def test_a_source_says_whether_it_is_live_and_what_it_takes(place: str) -> None:
    found = find(place)
    assert found.live in (True, False)
    assert found.takes < {field.name for field in fields(SourceOptions)}
    assert not found.live or (callable(found.end) and not found.takes & {"start_s", "end_s"})


@pytest.mark.parametrize(("package", "registry"), [(stream.sources, SOURCES), (stream.sinks, SINKS)])
def test_a_newcomer_is_told_of_each_file_what_it_is(package: object, registry: dict[str, str]) -> None:
    """Sources and sinks have a line in the registry; the package's docstring names the parts of these."""
    doc, file = str(package.__doc__), inspect.getsourcefile(package)  # type: ignore[arg-type]
    assert file is not None
    modules = {path.stem for path in Path(file).parent.glob("*.py")} - {"__init__", "base"}
    listed = {place.partition(":")[0].rpartition(".")[2] for place in registry.values()}
    assert {name for name in modules - listed if f"`{name}`" not in doc} == set()
