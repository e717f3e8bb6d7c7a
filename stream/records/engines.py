"""The engines: one record each. This is the only list of them; a new engine is a file in `workers/engines` and a line
in `ENGINES`.

Everything that other parts know about an engine stands here: the command line, the HTTP API, the pages, the choice that
`auto` makes and the steadying of mattes all read it. Knows no engine's code: `place` is text, imported by the workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

AUTO = "auto"
"""The name that stands for the best engine of a machine."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Makes an engine one that `auto` may choose: the highest `order` that can run wins. reason: why, in words.
    cuda: only where torch has a CUDA device."""

    order: int
    reason: str
    cuda: bool = False


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """What is known of an engine without loading it.

    name: as users write it. place: "module:Class" of an `Engine` of the workers. label: in lists. sentence: what it is.

    coarse: its mattes are small and soft, so that steadying also fits them to the picture. steady: its mattes need no
    steadying, so that `temporal` auto leaves them alone. colours: it gives the subject's colours itself; for others
    they are estimated on the CPU where that is asked for.

    options: the options that are refused for engines which do not name them: "key", "roi", "weights". implied_by: those
    of them that make `auto` this engine when they are set, with the reason in words.

    live, files: its rank for `auto`; None: it is never chosen by itself.

    modules: what it imports, as Python names. extra: of this package, which installs them; "" if they always come
    along. weights: "module:NAME" of its `Weights`, where it has one file of them. catalogue: module of the weights
    among which a user may choose (see `workers/weights/hub.py`); `Settings` then has a field of the engine's name.
    """

    name: str
    place: str
    label: str
    sentence: str
    coarse: bool = False
    steady: bool = False
    colours: bool = False
    options: tuple[str, ...] = ()
    implied_by: Mapping[str, str] = field(default_factory=dict)
    live: Rank | None = None
    files: Rank | None = None
    modules: tuple[str, ...] = ()
    extra: str = ""
    weights: str = ""
    catalogue: str = ""


_RECORDS = (
    EngineRecord(
        "birefnet", "workers.engines.birefnet:Birefnet", "birefnet, finest, for GPUs",
        "BiRefNet: the finest matte, of any subject; a CPU takes seconds for a frame.",
        colours=True, options=("roi", "weights"), implied_by={"weights": "weights of it were named"},
        live=Rank(20, "best matte, and a GPU to run it", cuda=True),
        files=Rank(20, "best matte, and a GPU to run it", cuda=True),
        modules=("torch", "safetensors", "huggingface_hub"), extra="birefnet", catalogue="workers.weights.hub",
    ),
    EngineRecord(
        "rvm", "workers.engines.rvm:Rvm", "rvm, finer hair",
        "RobustVideoMatting: people, with fine hair, steady over time.",
        files=Rank(10, "best matte on a CPU, for files"),
        modules=("onnxruntime",), weights="workers.weights.known:RVM",
    ),
    EngineRecord(
        "selfie", "workers.engines.selfie:Selfie", "selfie, fastest",
        "MediaPipe selfie segmentation: people near the camera, in a few milliseconds on any CPU.",
        coarse=True, live=Rank(10, "fastest on a CPU, for live video"),
        modules=("cv2",), weights="workers.weights.known:SELFIE",
    ),
    EngineRecord(
        "chroma", "workers.engines.chroma:Chroma", "chroma, green screen",
        "A colour key: whatever does not have the colour of a green or blue screen.",
        steady=True, colours=True, options=("key",), implied_by={"key": "a screen's colour was given"},
    ),
)  # fmt: skip

ENGINES = {record.name: record for record in _RECORDS}
"""By name, in the order in which people see them."""


def names() -> tuple[str, ...]:
    """What may be asked for: `auto`, then every engine."""
    return (AUTO, *ENGINES)


def special_options() -> tuple[str, ...]:
    """Every option that only some engines take."""
    return tuple(dict.fromkeys(option for record in ENGINES.values() for option in record.options))


def taking(option: str) -> tuple[str, ...]:
    """Names of the engines that take a special option."""
    return tuple(name for name, record in ENGINES.items() if option in record.options)


def implied_by(option: str) -> EngineRecord | None:
    """The engine that `auto` stands for when this option is set; None: it implies none."""
    return next((record for record in ENGINES.values() if option in record.implied_by), None)
