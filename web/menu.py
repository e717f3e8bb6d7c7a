"""GET /api/options: what can be chosen for a picture, the formats of results, and which devices compute it.

A page builds its controls from this, so that names, ranges, defaults and explanations stand in one place: `Options`.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from stream.records.formats import FORMATS
from stream.records.options import Options
from web.context import Here, Owner
from web.options import ENGINES

router = APIRouter(prefix="/api", tags=["sessions"])


class ReadyWorker(BaseModel):
    """What a ready worker says of itself: its engine for `auto`, its device, and its load, 0-1."""

    engine: str
    device: str
    load: float


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
    """options: JSON Schema of the options, with the engines by name; workers: those that are ready; formats: of the
    outputs of jobs, the default first."""

    options: dict[str, Any]
    workers: list[ReadyWorker]
    formats: list[FormatOut]


@router.get("/options")
async def menu(owner: Owner, here: Here) -> Menu:
    schema = Options.model_json_schema()
    schema["properties"]["engine"]["enum"] = list(ENGINES)
    ready = [w for w in await here.store.workers("live") if w.state == "ready"]
    workers = [ReadyWorker(engine=w.engine, device=w.device, load=w.load) for w in ready]
    return Menu(options=schema, workers=workers, formats=_FORMATS)
