"""GET /api/options: the schema of the options, the engines, the choosers, the formats of results, and the workers that
are ready.

Pages build their controls from it, so that names, ranges, defaults and explanations are defined once: in `Options` and
in the records of engines, choosers and formats.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from stream.records.choosers import CHOOSERS, chooser_names
from stream.records.engines import AUTO, Rank, offered
from stream.records.formats import FORMATS
from stream.records.options import Options
from stream.records.subjects import PromptKind
from web.context import Here, Owner

router = APIRouter(prefix="/api", tags=["sessions"])


class ReadyWorker(BaseModel):
    """A ready worker's engine for `auto`, its device, and its load, 0-1."""

    engine: str
    device: str
    load: float


class EngineOut(BaseModel):
    """An engine that can be chosen. label: its name in lists. sentence: a description. title: what its mattes are like,
    in a word or two; "": show its name. heavy: on a CPU it is slower than live video. coarse: its mattes are small and
    soft. colours: it estimates the foreground itself.

    options: those that this engine supports and others do not. implied_by: options that make `auto` choose it, each
    with the reason. live, files: its rank for `auto`, where the highest wins; cuda: only with a GPU. null: `auto` never
    chooses it.
    """

    model_config = ConfigDict(from_attributes=True)

    name: str
    label: str
    sentence: str
    title: str
    heavy: bool
    coarse: bool
    colours: bool
    options: list[str]
    implied_by: dict[str, str]
    live: Rank | None
    files: Rank | None


class ChooserOut(BaseModel):
    """A chooser, which finds the subjects that prompts describe. label, sentence, heavy, live, files: as of an engine.
    prompts: the kinds of prompts that it understands. recurrent: it follows the subjects, from the first frame on.
    lists: it can list what could be a subject, as POST /api/candidates does."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    label: str
    sentence: str
    prompts: list[PromptKind]
    heavy: bool
    recurrent: bool
    lists: bool
    live: Rank | None
    files: Rank | None


class FormatOut(BaseModel):
    """A format of results. title: its name in lists. suffix, mime: of the file. transparent: whether it supports
    transparency. played: whether browsers play or show it. still: it holds one picture, the result for a
    picture; the others are for videos. matte: the format of a matte saved along with it."""

    name: str
    title: str
    suffix: str
    mime: str
    transparent: bool
    played: bool
    still: bool
    matte: str


_FORMATS = [
    FormatOut(
        name=f.name, title=f.choice, suffix=f.result_suffix, mime=f.mime, transparent=f.transparent, played=f.played,
        still=f.still, matte=f.matte,
    )
    for f in FORMATS.values()
]  # fmt: skip


class Menu(BaseModel):
    """options: JSON Schema of the options, including the names of the engines and choosers. workers: the ready ones.
    choosers: those that a worker has the packages for. formats: for the outputs of jobs, the default first."""

    options: dict[str, Any]
    engines: list[EngineOut]
    choosers: list[ChooserOut]
    workers: list[ReadyWorker]
    formats: list[FormatOut]


@router.get("/options", operation_id="get_options", summary="Options, engines, choosers and formats")
async def menu(owner: Owner, here: Here) -> Menu:
    schema = Options.model_json_schema()
    known = offered(here.settings)
    schema["properties"]["engine"]["enum"] = [AUTO, *known]
    schema["properties"]["chooser"]["enum"] = list(chooser_names())
    engines = [EngineOut.model_validate(record) for record in known.values()]
    listed = await here.store.workers()
    usable = {name for worker in listed for name in worker.choosers}
    choosers = [ChooserOut.model_validate(record) for name, record in CHOOSERS.items() if name in usable]
    ready = [w for w in listed if (w.kind, w.state) == ("live", "ready")]
    workers = [ReadyWorker(engine=w.engine, device=w.device, load=w.load) for w in ready]
    return Menu(options=schema, engines=engines, choosers=choosers, workers=workers, formats=_FORMATS)
