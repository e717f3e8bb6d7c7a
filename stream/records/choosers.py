"""The choosers, one record each, and the only list of them. A chooser finds the subjects that prompts describe.

A new chooser is a file in `workers/choosers` (`base.py` there describes the class) and a record here. As for engines
(`stream/records/engines.py`), `place` is text, and packages that are not always installed are listed.
"""

from dataclasses import dataclass

from stream.records.engines import Rank
from stream.records.subjects import PromptKind


@dataclass(frozen=True, slots=True)
class ChooserRecord:
    """Properties of a chooser that are known without loading it.

    name: used by users to select it. place: "module:Class" of its `Chooser`, in the workers. label: its entry in lists.
    sentence: one-line description. prompts: the kinds of prompts that it understands. heavy: on a CPU it is slower than
    live video. recurrent: it follows the subjects, so the frames of a video must be processed in order, from the first.

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
    live: Rank | None = None
    files: Rank | None = None
    modules: tuple[str, ...] = ()
    extra: str = ""
    catalogue: str = ""


_TRANSFORMERS = ("torch", "safetensors", "huggingface_hub", "transformers")

_RECORDS: tuple[ChooserRecord, ...] = (
    ChooserRecord(
        "sam2", "workers.choosers.sam2:Sam2", "Follows subjects (sam2)",
        "SAM 2.1: finds a subject from points, boxes or masks, and follows it; the most accurate sizes need a GPU.",
        prompts=("point", "box", "mask"), heavy=True, recurrent=True,
        live=Rank(10, "follows subjects from points, boxes and masks"),
        files=Rank(20, "the most accurate from points, boxes and masks"),
        modules=_TRANSFORMERS, extra="subjects", catalogue="workers.weights.transformers_repos",
    ),
    ChooserRecord(
        "edgetam", "workers.choosers.edgetam:EdgeTam", "Follows subjects, faster (edgetam)",
        "EdgeTAM: as SAM 2, smaller and faster, for live video.",
        prompts=("point", "box", "mask"), heavy=True, recurrent=True,
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
)  # fmt: skip

CHOOSERS = {record.name: record for record in _RECORDS}
"""By name, in the order of lists that users see."""
