"""GET /api/options: what can be chosen for a live picture, and which devices there are to compute it.

A page builds its controls from this, so that names, ranges, defaults and explanations stand in one place: `Options`.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from stream.records.options import Options
from web.context import Here, Owner
from web.options import ENGINES

router = APIRouter(prefix="/api", tags=["sessions"])


class ReadyWorker(BaseModel):
    """What a ready worker says of itself: its engine for `auto`, its device, and its load, 0-1."""

    engine: str
    device: str
    load: float


class Menu(BaseModel):
    """options: JSON Schema of the options, with the engines by name; workers: those that are ready."""

    options: dict[str, Any]
    workers: list[ReadyWorker]


@router.get("/options")
async def menu(owner: Owner, here: Here) -> Menu:
    schema = Options.model_json_schema()
    schema["properties"]["engine"]["enum"] = list(ENGINES)
    ready = [w for w in await here.store.workers("live") if w.state == "ready"]
    return Menu(options=schema, workers=[ReadyWorker(engine=w.engine, device=w.device, load=w.load) for w in ready])
