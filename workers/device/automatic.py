"""What `auto` selects on this machine: the engine or the chooser of the highest rank that can run.

Knows their records (`stream/records/engines.py`, `stream/records/choosers.py`), and none of their classes.
"""

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from stream.install import needs
from stream.records.engines import Rank
from stream.settings import Settings
from workers.weights.known import catalogue


class Ranked(Protocol):
    """The fields of a record that decide whether `auto` selects it, as in `EngineRecord`."""

    @property
    def name(self) -> str: ...
    @property
    def live(self) -> Rank | None: ...
    @property
    def files(self) -> Rank | None: ...
    @property
    def modules(self) -> tuple[str, ...]: ...
    @property
    def extra(self) -> str: ...
    @property
    def catalogue(self) -> str: ...


Record = TypeVar("Record", bound=Ranked)


@dataclass
class Lacking:
    """What those of a higher rank lack on this machine, as sentences: weights and packages, each with the command that
    installs them; a GPU."""

    weights: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    gpu: list[str] = field(default_factory=list)


def select(
    records: Iterable[Record], live: bool, settings: Settings, has_cuda: Callable[[], bool]
) -> tuple[Record | None, str, Lacking]:
    """The record of the highest rank that can run here, and the reason as text, which names those that lack only their
    weights; None if none can run."""
    lacking = Lacking()
    for record, rank in ranked(records, live):
        if module := missing_module(record):
            lacking.packages.append(lacks(record, module))
        elif rank.cuda and not has_cuda():
            lacking.gpu.append(f"auto selects {record.name} only with a GPU")
        elif command := _missing_weights(record, settings):
            where = " for this GPU" if rank.cuda else ""
            lacking.weights.append(f"the weights of {record.name}{where} are missing; download them with: {command}")
        else:
            return record, "; ".join([rank.reason, *lacking.weights]), lacking
    return None, "", lacking


def ranked(records: Iterable[Record], live: bool) -> Iterator[tuple[Record, Rank]]:
    """The candidates of `auto` with their ranks, the best first."""
    ranks = [(record, record.live if live else record.files) for record in records]
    known = [(record, rank) for record, rank in ranks if rank is not None]
    yield from sorted(known, key=lambda pair: pair[1].order, reverse=True)


def missing_module(record: Ranked) -> str:
    """The first of the record's modules that is not installed, or "". Imports none of them."""
    return next((module for module in record.modules if not importable(module)), "")


def lacks(record: Ranked, module: str) -> str:
    """The sentence about a missing module, with the command that installs it."""
    return needs(record.name, module, f"mattebox[{record.extra}]" if record.extra else module)


def importable(module: str) -> bool:
    """Whether a module is installed. Does not import it."""
    return importlib.util.find_spec(module) is not None


def cuda() -> bool:
    """Whether torch can use a GPU. torch is imported only if it is installed and an NVIDIA driver is found."""
    if not importable("torch"):
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _missing_weights(record: Ranked, settings: Settings) -> str:
    """The command that downloads the selected weights, if MATTEBOX_OFFLINE is set and the weights are not on this
    machine; else ""."""
    if not record.catalogue or not settings.offline:
        return ""
    chosen = getattr(settings, record.name)
    at_hand = catalogue(record.name).find_local(chosen, settings)
    return "" if at_hand is not None else f"mattebox models pull {record.name}:{chosen}"
