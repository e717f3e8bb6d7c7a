"""Options as clients send and read them: partial updates, and the specs of backgrounds and masks."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from stream.errors import BackgroundError
from stream.records.choosers import chooser_names
from stream.records.engines import AUTO, offered
from stream.records.options import Options
from stream.records.subjects import Subject
from stream.records.versions import NEWER, NEWER_DETAIL, SharedRecord
from stream.settings import Settings
from web.http.problems import Problem, invalid
from web.stores.backgrounds import BackgroundStore

T = TypeVar("T", bound=Options)

_LISTS = frozenset({"subjects"})
"""The options that are lists: queries and forms repeat them."""


def from_fields(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The options in the fields of a query or form. The last one counts if a field that is no list is repeated."""
    pairs = list(fields)
    lists = {name: [value for key, value in pairs if key == name] for name in _LISTS & {key for key, _ in pairs}}
    return dict(pairs) | lists


def read_options(
    settings: Settings, background_store: BackgroundStore, owner: str, base: T, part: Mapping[str, Any]
) -> T:
    """`base`, updated with the fields of `part`; null resets a field to its default.

    Raises Problem 422 naming the invalid field. May open files: call it in a thread.
    """
    fields = base.model_dump(mode="json") | dict(part)
    if part.get("background") is not None:
        fields["background"] = _background(background_store, owner, part["background"])
    _check_choice(part, "engine", [AUTO, *offered(settings)])
    _check_choice(part, "chooser", chooser_names())
    try:
        options = type(base).model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as exc:
        raise invalid(exc.errors(), "options") from None
    if part.get("subjects") is not None:
        subjects = tuple(_with_stored_masks(background_store, owner, *pair) for pair in enumerate(options.subjects))
        options = options.model_copy(update={"subjects": subjects})
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


def _check_choice(part: Mapping[str, Any], field: str, names: Collection[str]) -> None:
    if part.get(field) is not None and part[field] not in names:
        raise Problem(422, "invalid", f"must be one of: {', '.join(names)}", field=f"options.{field}")


def _with_stored_masks(background_store: BackgroundStore, owner: str, number: int, subject: Subject) -> Subject:
    """The subject from a client, with the storage keys of its masks. number: of the subject in its list."""
    try:
        return subject.with_masks(lambda path: background_store.worker_mask(owner, path))
    except BackgroundError as exc:
        raise Problem(422, exc.code, str(exc), field=f"options.subjects.{number}") from None


def public_options(background_store: BackgroundStore, options: Options) -> dict[str, Any]:
    """The options as JSON for a client, without paths of the server."""
    subjects = tuple(subject.with_masks(background_store.public_mask) for subject in options.subjects)
    public = options.model_copy(update={"subjects": subjects}).model_dump(mode="json")
    return public | {"background": background_store.public_spec(options.background)}
