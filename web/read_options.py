"""Options as clients send and read them: partial updates, and background specs."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from stream.errors import BackgroundError
from stream.records.engines import AUTO, offered
from stream.records.options import Options
from stream.records.versions import NEWER, NEWER_DETAIL, SharedRecord
from stream.settings import Settings
from web.http.problems import Problem, invalid
from web.stores.backgrounds import BackgroundStore

T = TypeVar("T", bound=Options)


def read_options(
    settings: Settings, background_store: BackgroundStore, owner: str, base: T, part: Mapping[str, Any]
) -> T:
    """`base`, updated with the fields of `part`; null resets a field to its default.

    Raises Problem 422 naming the invalid field. May open files: call it in a thread.
    """
    fields = base.model_dump(mode="json") | dict(part)
    if part.get("background") is not None:
        fields["background"] = _background(background_store, owner, part["background"])
    engines = [AUTO, *offered(settings)]
    if part.get("engine") is not None and part["engine"] not in engines:
        raise Problem(422, "invalid", f"must be one of: {', '.join(engines)}", field="options.engine")
    try:
        options = type(base).model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as exc:
        raise invalid(exc.errors(), "options") from None
    if fault := options.misplaced():
        raise Problem(422, "invalid", fault[1], field=f"options.{fault[0]}")
    return options


def check_known(record: SharedRecord) -> None:
    """Raises Problem 409 for a record with contents that this version does not know and would lose."""
    if record.newer:
        raise Problem(409, NEWER, f"{NEWER_DETAIL}; try again when all web processes are upgraded", retry_s=5)


def _background(background_store: BackgroundStore, owner: str, spec: object) -> str:
    if not isinstance(spec, str):
        raise Problem(422, "invalid", "must be text, such as color:#204060", field="options.background")
    try:
        return background_store.worker_spec(owner, spec)
    except BackgroundError as exc:
        raise Problem(422, exc.code, str(exc), field="options.background") from None


def public_options(background_store: BackgroundStore, options: Options) -> dict[str, Any]:
    """The options as JSON for a client, without paths of the server."""
    return options.model_dump(mode="json") | {"background": background_store.public_spec(options.background)}
