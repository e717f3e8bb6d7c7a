"""GET /api/options: what can be chosen for a video, by which engines, which formats, and the workers that are ready.

A page builds its controls from this, so that names, ranges, defaults and explanations stand in one place: `Options`,
and for engines and formats their records.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from stream.records.engines import ENGINES, Rank, names
from stream.records.formats import FORMATS
from stream.records.options import Options
from web.context import Here, Owner

router = APIRouter(prefix="/api", tags=["sessions"])


class ReadyWorker(BaseModel):
    """What a ready worker says of itself: its engine for `auto`, its device, and its load, 0-1."""

    engine: str
    device: str
    load: float


class EngineOut(BaseModel):
    """An engine that may be chosen. label: in lists; sentence: what it is. coarse: its mattes are small and soft.
    colours: it gives the subject's colours itself.

    options: the options that only some engines take, and this one too; implied_by: those that make `auto` this engine,
    and why. live, files: its rank for `auto`, higher is better; cuda: only with a GPU. null: `auto` never takes it.
    """

    model_config = ConfigDict(from_attributes=True)

    name: str
    label: str
    sentence: str
    coarse: bool
    colours: bool
    options: list[str]
    implied_by: dict[str, str]
    live: Rank | None
    files: Rank | None


class FormatOut(BaseModel):
    """A format of results. title: for a list to choose from; suffix and mime: of the file; transparent: can it be?
    played: do browsers play it? matte: the format for its matte, where that is wanted beside it."""

    name: str
    title: str
    suffix: str
    mime: str
    transparent: bool
    played: bool
    matte: str


_FORMATS = [
    FormatOut(
        name=f.name, title=f.choice, suffix=f.result_suffix, mime=f.mime, transparent=f.transparent, played=f.played,
        matte=f.matte,
    )
    for f in FORMATS.values()
]  # fmt: skip


class Menu(BaseModel):
    """options: JSON Schema of the options, with the engines by name. engines: what is known of each. workers: those
    that are ready. formats: of the outputs of jobs, the default first."""

    options: dict[str, Any]
    engines: list[EngineOut]
    workers: list[ReadyWorker]
    formats: list[FormatOut]


@router.get("/options")
async def menu(owner: Owner, here: Here) -> Menu:
    schema = Options.model_json_schema()
    schema["properties"]["engine"]["enum"] = list(names())
    engines = [EngineOut.model_validate(record) for record in ENGINES.values()]
    ready = [w for w in await here.store.workers("live") if w.state == "ready"]
    workers = [ReadyWorker(engine=w.engine, device=w.device, load=w.load) for w in ready]
    return Menu(options=schema, engines=engines, workers=workers, formats=_FORMATS)
