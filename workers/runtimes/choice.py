"""Which runtime a network uses on this machine, and where that is stored.

A network has a runtime of its own, in which it computes in float32. Another one is used only after it was measured on
this machine, for this file and about this size of picture, to be faster and as accurate (`workers/measure/runtimes.py`
measures), or if the settings force it. Knows nothing about engines.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stream.settings import Settings
from stream.sinks.parts.partial import Partial
from workers.runtimes import processor
from workers.runtimes.base import Choice, Precision

_log = logging.getLogger(__name__)

SIZES = ((640, 480), (1280, 720), (1920, 1080))
"""The sizes of pictures, (width, height), for which is measured; others count as the nearest of them."""

FASTER = 0.95  # of the cost of the network's own runtime: a smaller gain is within the error of the measurement
LARGEST_MEAN, LARGEST_RATIO = 0.001, 1.01
_PACKAGES = ("onnxruntime", "openvino", "opencv-python-headless")
_FORMAT = 1  # of the stored files, and of what is measured

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Case:
    """What a choice is made for. network: the engine's name. sha256: of its weights. size: one of SIZES. own: the
    network's own runtime."""

    network: str
    sha256: str
    size: Size
    own: Choice


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate. ms, cpu_ms: medians per frame, of wall time and of processor time.

    mean: mean absolute difference of its alpha from that of the network's own runtime, 0 to 1. mad, dtssd: its error
    against the truth, relative to that of the own runtime; None without a truth. error: why it could not be measured.
    """

    choice: Choice
    ms: float = 0.0
    cpu_ms: float = 0.0
    mean: float = 0.0
    mad: float | None = None
    dtssd: float | None = None
    error: str = ""

    @property
    def cost(self) -> float:
        """Geometric mean of both times: other work on the machine disturbs the first, and the second says nothing about
        the use of several cores."""
        return math.sqrt(self.ms * self.cpu_ms)

    @property
    def accurate(self) -> bool:
        """Whether its alpha may replace that of the network's own runtime."""
        ratios = [ratio for ratio in (self.mad, self.dtssd) if ratio is not None]
        return not self.error and self.mean <= LARGEST_MEAN and all(ratio <= LARGEST_RATIO for ratio in ratios)


def candidates(own: Choice, settings: Settings, has_openvino: bool, flags: frozenset[str]) -> list[Choice]:
    """What to measure, the network's own runtime first. flags: of the processor."""
    if not has_openvino:
        return [own]
    reduced = [Choice("openvino", Precision.BFLOAT16)] if precision(settings, flags) is Precision.BFLOAT16 else []
    return [own, Choice("openvino"), *reduced]


def precision(settings: Settings, flags: frozenset[str]) -> Precision:
    """The lowest precision in which a processor with these flags computes by itself, unless the settings forbid it."""
    native = settings.half and flags & processor.BFLOAT16
    return Precision.BFLOAT16 if native else Precision.FLOAT32


def fastest(measured: Sequence[Measured]) -> Choice:
    """The choice among candidates, of which the first is the network's own runtime."""
    own, *others = measured
    usable = [each for each in others if each.accurate and each.cost < FASTER * own.cost]
    return min(usable, key=lambda each: each.cost, default=own).choice


def nearest(width: int, height: int) -> Size:
    """The one of SIZES that has most nearly as many pixels."""
    return min(SIZES, key=lambda size: abs(size[0] * size[1] - width * height))


def choose(case: Case, settings: Settings, has_openvino: bool) -> Choice:
    """The runtime for a network: a forced one, else as stored, else its own."""
    if not has_openvino or settings.runtime == "onnxruntime":
        return case.own
    if settings.runtime == "openvino":
        return Choice("openvino", precision(settings, processor.flags()))
    found = read(case, settings)
    return case.own if found is None else fastest(found)


def key(case: Case, settings: Settings) -> dict[str, Any]:
    """Everything on which a measurement depends; it is repeated if any of it changes."""
    return {
        "format": _FORMAT,
        "network": case.network,
        "sha256": case.sha256,
        "size": list(case.size),
        "processor": processor.name(),
        "cores": settings.cores(),
        "half": settings.half,
        "packages": {package: _version(package) for package in _PACKAGES},
    }


def path(case: Case, settings: Settings) -> Path:
    """The file of a measurement. Machines with different processors can share a folder."""
    own = key(case, settings)
    digest = sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]
    width, height = case.size
    return settings.cache_dir / "runtimes" / f"{case.network}-{width}x{height}-{digest}.json"


def read(case: Case, settings: Settings) -> list[Measured] | None:
    """The stored measurement; None if there is none, or it cannot be read."""
    try:
        stored = json.loads(path(case, settings).read_text())
        if stored["key"] != key(case, settings):
            return None
        found = [_measured(each) for each in stored["measured"]]
        return found if found and found[0].choice == case.own else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        _log.warning("the measurement of runtimes for %s cannot be read: %s", case.network, exc)
        return None


def write(case: Case, measured: Sequence[Measured], settings: Settings) -> None:
    """Store a measurement, as a whole or not at all. Raises DiskError, OSError."""
    target = path(case, settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    stored = {"key": key(case, settings), "measured": [asdict(each) for each in measured]}
    partial = Partial(target)
    try:
        partial.path.write_text(json.dumps(stored, indent=1))
        partial.publish()
    finally:
        partial.discard()


def _measured(stored: Mapping[str, Any]) -> Measured:
    choice = Choice(stored["choice"]["runtime"], Precision(stored["choice"]["precision"]))
    return Measured(**{**stored, "choice": choice})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
