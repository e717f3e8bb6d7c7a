"""The engines, one record each, and the only list of them.

A new engine is a file in `workers/engines` (`base.py` there describes the class) and a record here. The command line,
the HTTP API, the pages, the selection by `auto` and the tuning of temporal smoothing all read these records.

If the engine needs packages that are not always installed, its file imports them at the top, `modules` of its record
lists them, and an extra in pyproject.toml, named by `extra`, installs them. Where one of `modules` is missing, `auto`
does not select the engine, a request for it is refused with the command that installs the extra, and the tests of all
engines skip it. This module imports no engine: `place` is text, which the workers resolve.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.settings import Settings

AUTO = "auto"
"""The name for the best engine that the machine can run."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Makes an engine a candidate for `auto`: the highest `order` that can run wins. reason: for this choice, as text.
    cuda: `auto` selects the engine only if torch is installed and finds a CUDA device."""

    order: int
    reason: str
    cuda: bool = False


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """Properties of an engine that are known without loading it.

    name: used by users to select it. place: "module:Class" of its `Engine`, in the workers. label: its entry in lists.
    sentence: one-line description. title: what its mattes are like, in a word or two, for users who know no engines;
    "": its name is shown.

    heavy: on a CPU it is slower than live video. coarse: its mattes are small and soft, so temporal smoothing also fits
    them to the picture. steady: its mattes need no smoothing, so `temporal` auto leaves them unchanged. colours: it
    estimates the subject's colours itself; for other engines they are estimated on the CPU, if requested.

    options: the special options that it supports ("key", "roi", "weights"); they are refused for engines that do not
    list them. implied_by: those of them that make `auto` select this engine, with the reason as text.

    still_px: a still picture of more pixels is scaled to this number for the engine, whose memory grows with it; 0: no
    limit. still_passes: how often it gets a still picture; more than once for a recurrent engine.

    live, files: its rank for `auto`; None: `auto` never selects it.

    modules: Python modules that its file imports, by their import names. extra: the extra in pyproject.toml that
    installs them; "" if they are always installed. weights: "module:NAME" of its `Weights`, if it has exactly one file
    of weights. catalogue: module of the weights from which users can choose (see `workers/weights/birefnet_hub.py`);
    `Settings` then has a field named after the engine. chosen_weights: it has no default weights, so servers offer it
    only if that field is set.
    """

    name: str
    place: str
    label: str
    sentence: str
    title: str = ""
    heavy: bool = False
    coarse: bool = False
    steady: bool = False
    colours: bool = False
    still_px: int = 0
    still_passes: int = 1
    options: tuple[str, ...] = ()
    implied_by: Mapping[str, str] = field(default_factory=dict)
    live: Rank | None = None
    files: Rank | None = None
    modules: tuple[str, ...] = ()
    extra: str = ""
    weights: str = ""
    catalogue: str = ""
    chosen_weights: bool = False


_RECORDS = (
    EngineRecord(
        "birefnet", "workers.engines.birefnet:Birefnet", "Sharpest, for GPUs (birefnet)",
        "BiRefNet: the best matte, of any subject; takes seconds per frame on a CPU.",
        title="Sharpest", heavy=True, colours=True, options=("roi", "weights"),
        implied_by={"weights": "its weights were specified"},
        live=Rank(20, "best matte; a GPU is available", cuda=True),
        files=Rank(20, "best matte; a GPU is available", cuda=True),
        modules=("torch", "safetensors", "huggingface_hub"), extra="birefnet", catalogue="workers.weights.birefnet_hub",
    ),
    EngineRecord(
        "rvm", "workers.engines.rvm:Rvm", "Sharp, finer hair (rvm)",
        "RobustVideoMatting: people, with fine hair; stable over time.",
        # At 4096x2160 the program's memory reaches 1.6 GB. Means over 20 frames of our clip, each given N times: MAD
        # 24.7, 22.8, 21.8, 21.4, 21.4, 21.5 for N = 1 to 6, rising to 22.6 for 12; MSE 18.0 for 1 and 16.5 for 5.
        still_px=4096 * 2160, still_passes=5,
        title="Sharp", heavy=True, files=Rank(10, "best matte on a CPU, for files"),
        modules=("onnxruntime",), weights="workers.weights.known:RVM",
    ),
    EngineRecord(
        "selfie", "workers.engines.selfie:Selfie", "Smooth, the fastest (selfie)",
        "MediaPipe selfie segmentation: people near the camera; a few milliseconds per frame on any CPU.",
        title="Smooth", coarse=True, live=Rank(10, "fastest on a CPU, for live video"),
        modules=("cv2",), weights="workers.weights.known:SELFIE",
    ),
    EngineRecord(
        "chroma", "workers.engines.chroma:Chroma", "Green screen (chroma)",
        "Colour key: everything that does not have the colour of a green or blue screen.",
        title="Green screen", steady=True, colours=True, options=("key",),
        implied_by={"key": "a screen colour was specified"},
    ),
    EngineRecord(
        "onnx", "workers.engines.onnx_file:OnnxFile", "Own network (onnx)",
        "Any network in an ONNX file that computes a matte from one picture; the operator selects the file.",
        title="Own network", heavy=True, coarse=True, options=("weights",),
        modules=("onnxruntime", "onnx"), catalogue="workers.weights.onnx_cards", chosen_weights=True,
    ),
)  # fmt: skip

ENGINES = {record.name: record for record in _RECORDS}
"""By name, in the order of lists that users see."""


def names() -> tuple[str, ...]:
    """The names that users can choose: `auto`, then every engine."""
    return (AUTO, *ENGINES)


def offered(settings: "Settings") -> dict[str, EngineRecord]:
    """The engines that a server with these settings offers, by name: those without default weights only if the
    operator has selected some."""
    return {name: record for name, record in ENGINES.items() if not record.chosen_weights or getattr(settings, name)}


def special_options() -> tuple[str, ...]:
    """The options that only some engines support."""
    return tuple(dict.fromkeys(option for record in ENGINES.values() for option in record.options))


def taking(option: str) -> tuple[str, ...]:
    """Names of the engines that support a special option."""
    return tuple(name for name, record in ENGINES.items() if option in record.options)


def implied_by(option: str) -> EngineRecord | None:
    """The engine that `auto` selects when this option is set; None: the option implies none."""
    return next((record for record in ENGINES.values() if option in record.implied_by), None)
