"""Options as clients send and read them: partial updates, background specs, and a guard for the viewers' view."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stream.errors import BackgroundError
from stream.records.engines import names
from stream.records.options import Options, View
from web.http.problems import Problem, invalid
from web.kept.shelf import Shelf

_SHOWS_ROOM = (View.OVERLAY, View.SIDE_BY_SIDE)


def read_options(shelf: Shelf, owner: str, base: Options, part: Mapping[str, Any]) -> Options:
    """`base`, updated with the fields of `part`; null resets a field to its default.

    Raises Problem 422 naming the invalid field. May open files: call it in a thread.
    """
    fields = base.model_dump(mode="json") | dict(part)
    if part.get("background") is not None:
        fields["background"] = _background(shelf, owner, part["background"])
    if part.get("engine") is not None and part["engine"] not in names():
        raise Problem(422, "invalid", f"must be one of: {', '.join(names())}", field="options.engine")
    try:
        options = Options.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as exc:
        raise invalid(exc.errors(), "options") from None
    if fault := options.misplaced():
        raise Problem(422, "invalid", fault[1], field=f"options.{fault[0]}")
    return options


def _background(shelf: Shelf, owner: str, spec: object) -> str:
    if not isinstance(spec, str):
        raise Problem(422, "invalid", "must be text, such as color:#204060", field="options.background")
    try:
        return shelf.worker_spec(owner, spec)
    except BackgroundError as exc:
        raise Problem(422, exc.code, str(exc), field="options.background") from None


def shows_room(options: Options) -> bool:
    """Whether unmatted parts of the camera's picture would be visible."""
    return options.background.kind == "none" or options.view in _SHOWS_ROOM


def keep_private(options: Options, meant: bool) -> None:
    """Raises Problem 422 if a stream would show its viewers the room. meant: the publisher allows that explicitly."""
    if shows_room(options) and not meant:
        field = "options.background" if options.background.kind == "none" else "options.view"
        detail = "this would show viewers the room; add show_room=true to allow it"
        raise Problem(422, "shows_room", detail, field=field)


def public_options(shelf: Shelf, options: Options) -> dict[str, Any]:
    """The options as JSON for a client, without paths of the server."""
    return options.model_dump(mode="json") | {"background": shelf.public_spec(options.background)}
