"""Every class in a registry implements its protocol; so do the source and the sink of a WebRTC connection.

Engines whose modules are not installed are skipped.
"""

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
"""Created by a WebRTC connection, not opened by an address."""
TARGETS = [
    *((target, protocol) for entries, protocol in ((SOURCES, Source), (SINKS, Sink)) for target in entries.values()),
    *((record.place, Engine) for record in ENGINES.values()),
]
MODULES = {record.place: record.modules for record in ENGINES.values()}


@pytest.mark.parametrize(("target", "protocol"), [*TARGETS, *OF_A_CONNECTION])
def test_the_class_has_the_protocols_methods(target: str, protocol: type) -> None:
    for module in MODULES.get(target, ()):
        pytest.importorskip(module)
    found = find(target)
    assert found.__doc__
    methods = {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_abc")}
    required = {name for name in methods if name in ("__iter__",) or not name.startswith("_")}
    assert required
    assert all(callable(getattr(found, name, None)) for name in required)


@pytest.mark.parametrize("target", sorted({*SOURCES.values(), *SINKS.values()}))
def test_sources_and_sinks_are_opened_in_the_same_way(target: str) -> None:
    parameters = inspect.signature(find(target).from_address).parameters
    assert list(parameters) == ["address", "options", "settings"]


@pytest.mark.parametrize("target", sorted(set(SOURCES.values())))
def test_a_source_declares_whether_it_is_live_and_its_options(target: str) -> None:
    found = find(target)
    assert found.live in (True, False)
    assert found.takes < {field.name for field in fields(SourceOptions)}
    assert not found.live or (callable(found.end) and not found.takes & {"start_s", "end_s"})


@pytest.mark.parametrize(("package", "registry"), [(stream.sources, SOURCES), (stream.sinks, SINKS)])
def test_every_file_is_explained(package: object, registry: dict[str, str]) -> None:
    """Sources and sinks are in the registry; the package's docstring names all other files."""
    doc, file = str(package.__doc__), inspect.getsourcefile(package)  # type: ignore[arg-type]
    assert file is not None
    modules = {path.stem for path in Path(file).parent.glob("*.py")} - {"__init__", "base"}
    listed = {target.partition(":")[0].rpartition(".")[2] for target in registry.values()}
    assert {name for name in modules - listed if f"`{name}`" not in doc} == set()
