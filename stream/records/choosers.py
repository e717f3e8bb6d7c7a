"""The choosers, one record each, and the only list of them. A chooser finds the subjects that prompts describe.

A new chooser is a file in `workers/choosers` (`base.py` there describes the class) and a record here. As for engines
(`stream/records/engines.py`), `place` is text, and packages that are not always installed are listed.
"""

from collections.abc import Collection
from dataclasses import dataclass

from stream.records.engines import AUTO, Rank
from stream.records.subjects import KINDS, PromptKind


@dataclass(frozen=True, slots=True)
class ChooserRecord:
    """Properties of a chooser that are known without loading it.

    name: used by users to select it. place: "module:Class" of its `Chooser`, in the workers. label: its entry in lists.
    sentence: one-line description. prompts: the kinds of prompts that it understands. heavy: on a CPU it is slower than
    live video. recurrent: it follows the subjects, so the frames of a video must be processed in order, from the first.
    lists: it is a `Lister`, which can list what could be a subject in a frame.

    live, files: its rank for `auto` among those that understand the prompts; None: `auto` never selects it.

    modules: Python modules that its file imports. extra: the extra in pyproject.toml that installs them. catalogue:
    module of the weights from which users can choose; `Settings` then has a field named after the chooser.
    """

    name: str
    place: str
    label: str
    sentence: str
    prompts: tuple[PromptKind, ...]
    heavy: bool = False
    recurrent: bool = False
    lists: bool = False
    live: Rank | None = None
    files: Rank | None = None
    modules: tuple[str, ...] = ()
    extra: str = ""
    catalogue: str = ""


_TRANSFORMERS = ("torch", "safetensors", "huggingface_hub", "transformers")

_RECORDS: tuple[ChooserRecord, ...] = (
    ChooserRecord(
        "mask", "workers.choosers.given:Given", "Own masks (mask)",
        "The masks are the subject: pictures or videos that you drew, or made with another program.",
        prompts=("mask",), live=Rank(30, "the masks are the subject"), files=Rank(30, "the masks are the subject"),
    ),
    ChooserRecord(
        "sam2", "workers.choosers.sam2:Sam2", "Follows subjects (sam2)",
        "SAM 2.1: finds a subject from points, boxes or masks, and follows it; the most accurate sizes need a GPU.",
        prompts=("point", "box", "mask"), heavy=True, recurrent=True, lists=True,
        live=Rank(10, "follows subjects from points, boxes and masks"),
        files=Rank(20, "the most accurate from points, boxes and masks"),
        modules=_TRANSFORMERS, extra="subjects", catalogue="workers.weights.transformers_repos",
    ),
    ChooserRecord(
        "edgetam", "workers.choosers.edgetam:EdgeTam", "Follows subjects, faster (edgetam)",
        "EdgeTAM: as SAM 2, smaller and faster, for live video.",
        prompts=("point", "box", "mask"), heavy=True, recurrent=True, lists=True,
        live=Rank(20, "the fastest from points, boxes and masks"),
        files=Rank(10, "follows subjects from points, boxes and masks"),
        modules=_TRANSFORMERS, extra="subjects", catalogue="workers.weights.transformers_repos",
    ),
    ChooserRecord(
        "sam3", "workers.choosers.sam3:Sam3", "Finds what words describe (sam3)",
        "SAM 3: finds everything that words describe; follows subjects from points, boxes and masks. Needs a GPU.",
        prompts=("point", "box", "mask", "words"), heavy=True, recurrent=True,
        live=Rank(5, "understands words"), files=Rank(5, "understands words"),
        modules=(*_TRANSFORMERS, "tokenizers"), extra="subjects", catalogue="workers.weights.transformers_repos",
    ),
    ChooserRecord(
        "mask2former", "workers.choosers.mask2former:Mask2former", "Classes (mask2former)",
        "Mask2Former: everything of a class, such as people or cars, without following single ones.",
        prompts=("class",), heavy=True, lists=True,
        live=Rank(8, "finds classes"), files=Rank(8, "finds classes"),
        modules=(*_TRANSFORMERS, "scipy"), extra="subjects",
        catalogue="workers.weights.transformers_repos",
    ),
    ChooserRecord(
        "eomt", "workers.choosers.eomt:Eomt", "Classes (eomt)",
        "EoMT: as mask2former, with a plain vision transformer; also for the classes of COCO.",
        prompts=("class",), heavy=True, lists=True,
        live=Rank(7, "finds classes"), files=Rank(7, "finds classes"),
        modules=(*_TRANSFORMERS, "scipy"), extra="subjects",
        catalogue="workers.weights.transformers_repos",
    ),
    ChooserRecord(
        "oneformer", "workers.choosers.oneformer:OneFormer", "Classes (oneformer)",
        "OneFormer: as mask2former, with a network for several tasks.",
        prompts=("class",), heavy=True, lists=True,
        live=Rank(6, "finds classes"), files=Rank(6, "finds classes"),
        modules=(*_TRANSFORMERS, "tokenizers", "scipy"), extra="subjects",
        catalogue="workers.weights.transformers_repos",
    ),
)  # fmt: skip

CHOOSERS = {record.name: record for record in _RECORDS}
"""By name, in the order of lists that users see."""


def chooser_names() -> tuple[str, ...]:
    """The names that users can choose: `auto`, then every chooser."""
    return (AUTO, *CHOOSERS)


def understanding(kinds: Collection[PromptKind]) -> list[ChooserRecord]:
    """The choosers that understand all of these kinds of prompts."""
    return [record for record in CHOOSERS.values() if set(kinds) <= set(record.prompts)]


def listing() -> list[ChooserRecord]:
    """The choosers that can list what could be a subject."""
    return [record for record in CHOOSERS.values() if record.lists]


def lister_names() -> tuple[str, ...]:
    """The names that users can choose for listing: `auto`, then every chooser that can."""
    return (AUTO, *(record.name for record in listing()))


def misunderstood(name: str, kinds: Collection[PromptKind]) -> str:
    """Why the chooser with this name does not understand prompts of these kinds, as text; for `auto`, why none does.
    "": it does, or there is no chooser with this name."""
    if name == AUTO:
        if understanding(kinds):
            return ""
        return f"no chooser understands {listed(kinds)} prompts{' together' if len(kinds) > 1 else ''}{_abilities()}"
    missing = set(kinds) - set(CHOOSERS[name].prompts) if name in CHOOSERS else set[PromptKind]()
    return f"the chooser {name} does not understand {listed(missing)} prompts{_abilities()}" if missing else ""


def listed(kinds: Collection[PromptKind]) -> str:
    """The kinds as text, in the order of `KINDS`."""
    return " and ".join(kind for kind in KINDS if kind in kinds)


def _abilities() -> str:
    """The kinds of prompts that each chooser understands, as the rest of a sentence."""
    return "".join(f"; {record.name} understands {', '.join(record.prompts)}" for record in CHOOSERS.values())
