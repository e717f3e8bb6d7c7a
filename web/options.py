"""Options as clients send them: part of them, backgrounds by word, and what shows the room only if meant."""

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
    """`base` with the fields of `part` in their place; null puts a field back to its default.

    Raises Problem 422 with the field that is at fault. May open files: call it in a thread.
    """
    fields = base.model_dump(mode="json") | dict(part)
    if part.get("background") is not None:
        fields["background"] = _background(shelf, owner, part["background"])
    if part.get("engine") is not None and part["engine"] not in names():
        raise Problem(422, "invalid", f"one of: {', '.join(names())}", field="options.engine")
    try:
        options = Options.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as exc:
        raise invalid(exc.errors(), "options") from None
    if fault := options.misplaced():
        raise Problem(422, "invalid", fault[1], field=f"options.{fault[0]}")
    return options


def _background(shelf: Shelf, owner: str, spec: object) -> str:
    if not isinstance(spec, str):
        raise Problem(
            422, "invalid", "a background is written as text, as in color:#204060", field="options.background"
        )
    try:
        return shelf.path_of(owner, spec)
    except BackgroundError as exc:
        raise Problem(422, exc.code, str(exc), field="options.background") from None


def shows_room(options: Options) -> bool:
    return options.background.kind == "none" or options.view in _SHOWS_ROOM


def keep_private(options: Options, meant: bool) -> None:
    """A stream has viewers. Raises Problem 422 if it would show them the room and that was not said to be meant."""
    if shows_room(options) and not meant:
        field = "options.background" if options.background.kind == "none" else "options.view"
        raise Problem(422, "shows_room", "this shows viewers the room; add show_room=true if you mean it", field=field)


def words(shelf: Shelf, options: Options) -> dict[str, Any]:
    """Options as a client may read them: no path of the server."""
    return options.model_dump(mode="json") | {"background": shelf.word_for(options.background)}
