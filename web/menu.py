"""GET /api/options: what can be chosen for a video, by which engines, and which devices there are to compute it.

A page builds its controls from this, so that names, ranges, defaults and explanations stand in one place: `Options`,
and for engines their records.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from stream.records.engines import ENGINES, Rank, names
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


class Menu(BaseModel):
    """options: JSON Schema of the options, with the engines by name. engines: what is known of each. workers: those
    that are ready."""

    options: dict[str, Any]
    engines: list[EngineOut]
    workers: list[ReadyWorker]


@router.get("/options")
async def menu(owner: Owner, here: Here) -> Menu:
    schema = Options.model_json_schema()
    schema["properties"]["engine"]["enum"] = list(names())
    engines = [EngineOut.model_validate(record) for record in ENGINES.values()]
    ready = [w for w in await here.store.workers("live") if w.state == "ready"]
    workers = [ReadyWorker(engine=w.engine, device=w.device, load=w.load) for w in ready]
    return Menu(options=schema, engines=engines, workers=workers)
